"""Pictures and report of the random model, from small experiments."""

import numpy as np
import pytest
import torch
import xarray as xr

from landscope.experiments.model_fit import fit_variables
from landscope.experiments.random_model import (
    draw,
    eigenspectrum,
    freezing,
    gradient_overlap,
    phase,
    top_eigenvalue,
    trace_over_norm,
)
from landscope.experiments.random_model.sweep import sweep
from landscope.figures import model_fit, write_experiment_report
from landscope.figures.gallery import file_stem
from landscope.figures.random_model import PICTURES
from landscope.figures.random_model import eigenspectrum as spectrum
from landscope.figures.stages import NotMeasuredError
from landscope.figures.style import PAPER
from landscope.problem import Problem
from landscope.random_model import RandomModel

from .whole import assert_whole

SMALL = RandomModel(num_classes=4, num_examples=40, num_params=80)


def growth():
    x = np.geomspace(0.1, 8, 5)
    series = dict.fromkeys(("sigma_z", "sigma_c", "sigma_e"), ("training_step", x))
    return xr.Dataset(series, coords={"training_step": np.arange(5)})


def swept():
    models = [RandomModel(num_classes=4, num_examples=40, sigma_z=s) for s in (0.5, 2.0)]
    place = ("point", [0.5, 2.0])
    return sweep(models, num_draws=2).assign_coords(value=place).assign_attrs(swept="sigma_z")


axes = {"num_examples": (20, 40), "num_params": (40, 100)}
COMPUTED = {
    "model": lambda: draw.describe(SMALL, 0),
    "sweep": swept,
    "fig3b": lambda: freezing.compute(num_points=10, num_spreads=3),
    "fig5": lambda: eigenspectrum.compute(reference=SMALL, num_draws=1),
    "fig6": lambda: gradient_overlap.compute(reference=SMALL, num_draws=3),
    "fig7": lambda: top_eigenvalue.compute(
        growth=growth(), reference=SMALL, num_spreads=3, num_draws=2
    ),
    "fig8": lambda: trace_over_norm.compute(
        reference=SMALL, examples=(20, 100), num_spreads=2, num_draws=1
    ),
    "phase": lambda: phase.compute(reference=SMALL, axes=axes, sampled=axes, num_draws=1),
}


@pytest.fixture(scope="module")
def computed():
    """Each data set."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(draw, "NUM_AVERAGED", 1)
        return {name: compute() for name, compute in COMPUTED.items()}


def test_every_experiment_is_drawn_here():
    assert COMPUTED.keys() == PICTURES.keys()


EACH = [(name, picture) for name, pictures in PICTURES.items() for picture in pictures]


@pytest.mark.parametrize(("name", "picture"), EACH, ids=[f"{n}-{file_stem(p)}" for n, p in EACH])
def test_a_picture_is_whole_and_says_how_to_read_it(name, picture, computed):
    assert_whole(picture, computed[name])


def test_the_histogram_ends_where_the_outliers_begin(computed):
    bulk, theory, outliers = spectrum.histogram(computed["model"], "").curves
    edge = float(computed["model"]["edge_theory"])
    assert (outliers.x > edge).all()
    assert bulk.x[np.isfinite(bulk.y)].max() < outliers.x.min()
    assert theory.x.max() < 1.5 * edge


@pytest.mark.filterwarnings("error")
@pytest.mark.usefixtures("not_laid_out")
def test_no_residuals_have_no_edge_to_draw():
    drawn = draw.describe(RandomModel(4, 30, 200, sigma_e=0.0), seed=0)
    assert spectrum.histogram(drawn, "").levels == spectrum.ranks(drawn, "").levels == []
    spectrum.figure(drawn).draw_without_rendering()


@pytest.mark.usefixtures("not_laid_out")
def test_the_report_holds_claims_and_numbers(computed, tmp_path, monkeypatch):
    monkeypatch.setitem(PAPER, "savefig.dpi", 60)
    claim = {"statement": "nine <outliers>", "verdict": "holds in part", "measured": "8 & 9"}
    number = {"quantity": "λ", "drawn": 0.5, "drawn_stderr": 0.01, "theory": None}
    path = write_experiment_report(
        computed["model"],
        tmp_path / "report.html",
        "model",
        claims=[claim],
        numbers=[number | {"theory_stderr": None}],
        config={"model": {"sigma_z": 1.0}},
    )
    page = path.read_text()
    assert "<td>0.500 ± 0.010</td><td>–</td>" in page
    assert "nine &lt;outliers&gt;" in page
    assert "model.sigma_z" in page
    stems = {file_stem(picture) for picture in PICTURES["model"]}
    assert {file.stem for file in (tmp_path / "figures").iterdir()} == stems
    assert all(f'id="{stem}-data"' in page for stem in stems)


@pytest.fixture(scope="module")
def fitted(snapshot):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(5, 30), torch.nn.Tanh(), torch.nn.Linear(30, 3))
    problem = Problem(model, (torch.randn(30, 5), torch.arange(30) % 3))
    return snapshot.assign(fit_variables(problem))


@pytest.mark.usefixtures("not_laid_out")
def test_the_fit_is_drawn_over_the_measured_spectrum(fitted):
    values, shares = model_fit.figure(fitted).axes
    measured = values.lines[0].get_ydata()
    np.testing.assert_allclose(measured, fitted["gram_eigenvalues"][: len(measured)])
    predicted = values.lines[1].get_ydata()
    np.testing.assert_allclose(predicted, fitted["model_outliers"])
    assert shares.lines[0].get_ydata()[-1] == pytest.approx(1, abs=0.02)
    assert model_fit.interactive(fitted).data


def test_a_refused_fit_leaves_the_picture_out_with_its_reason(snapshot):
    refused = snapshot.assign_attrs(model_fit_refused="problem has one logit")
    with pytest.raises(NotMeasuredError, match="one logit"):
        model_fit.figure(refused)
    with pytest.raises(NotMeasuredError, match="gram_eigenvalues"):
        model_fit.interactive(snapshot)
