import inspect
from itertools import product

import numpy as np
import pytest
import torch
import xarray as xr

from landscope import geometry
from landscope.hyperplanes import AffineHyperplane, BasisKind
from landscope.problem import NonFiniteError
from landscope.runs import Run
from landscope.training import HyperplaneConfig, MeasureConfig, TrainConfig, train
from landscope.training.trainer import measured_problem

# Shapes are checked in the tests of what is measured, and are no matter of training.

CONFIG = TrainConfig(
    width=0.25,
    steps=12,
    batch_size=32,
    num_measurements=4,
    measure_examples=40,
    checkpoint_every=5,
)
VARIANTS = {
    "sgd": CONFIG,
    "adam": CONFIG.model_copy(update={"optimizer": "adam", "learning_rate": 0.003}),
    "batch_norm": CONFIG.model_copy(update={"normalization": "batch", "schedule": "cosine"}),
    "decayed": CONFIG.model_copy(
        update={"schedule": "step", "warmup_steps": 3, "weight_decay": 0.01, "momentum": 0.0}
    ),
    "hyperplane": CONFIG.model_copy(
        update={
            "normalization": "batch",
            "radius": 2.0,
            "hyperplane": HyperplaneConfig(dim=20, kind=BasisKind.SPARSE),
        }
    ),
}


def loss_and_gradient(problem, reference=None):
    """Stand for `measure`: quick."""
    way = problem.parameters_vector() - reference.parameters_vector()
    return xr.Dataset(
        {
            "loss": float(problem.loss()),
            "gradient": ("parameter", problem.gradient().numpy()),
            "way": float(way.double().norm()),
        }
    )


class StoppedError(Exception):
    pass


def stop_at(moment):
    def progress(step, num_steps, doing):
        if (step, doing) == moment:
            raise StoppedError

    return progress


def weights(run):
    return {
        name: value
        for name, value in run.latest_checkpoint().tensors.items()
        if name.startswith("model.")
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    runs = {}

    def uninterrupted(variant):
        if variant not in runs:
            folder = tmp_path_factory.mktemp("whole") / variant
            runs[variant] = train(VARIANTS[variant], folder, measure=loss_and_gradient)
        return runs[variant]

    return uninterrupted


def test_a_run_measures_start_end_and_log_spaced_between(whole):
    run = whole("sgd")
    assert run.steps() == [0, 2, 5, 12]
    trajectory = run.trajectory()
    for name in ("learning_rate", "train_loss", "test_loss", "test_accuracy"):
        assert np.isfinite(trajectory[name]).all()
        assert trajectory[name].attrs.keys() >= {"long_name", "units", "definition"}
    assert trajectory.loss[-1] < trajectory.loss[0]
    assert run.config.items() >= CONFIG.identity().items()
    assert run.summary()["last"]["test_accuracy"] == float(trajectory.test_accuracy[-1])
    assert run.latest_checkpoint().step == 12


MOMENTS = [(1, "training"), (5, "measuring"), (8, "training"), (12, "measuring")]
# Each moment with one run or two, and each run with one moment.
COVERING = {*zip(VARIANTS, [*MOMENTS, MOMENTS[1]], strict=True)}


@pytest.mark.parametrize(
    ("variant", "moment"),
    [
        pytest.param(*pair, marks=() if pair in COVERING else pytest.mark.slow)
        for pair in product(VARIANTS, MOMENTS)
    ],
)
def test_a_stopped_run_goes_on_bit_identically(tmp_path, whole, variant, moment):
    config = VARIANTS[variant]
    with pytest.raises(StoppedError):
        train(config, tmp_path, stop_at(moment), measure=loss_and_gradient)
    torch.manual_seed(99)  # the global random state has no say
    resumed = train(config, tmp_path, measure=loss_and_gradient)
    expected = whole(variant)
    xr.testing.assert_identical(resumed.trajectory(), expected.trajectory())
    ours, theirs = weights(resumed), weights(expected)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_run_goes_on_from_its_last_checkpoint_rather_than_from_the_start(tmp_path):
    with pytest.raises(StoppedError):
        train(CONFIG, tmp_path, stop_at((11, "training")), measure=loss_and_gradient)
    steps = []
    train(CONFIG, tmp_path, lambda step, *_: steps.append(step), measure=loss_and_gradient)
    assert steps == [10, 11, 12]


def test_a_finished_run_is_left_as_it_is(tmp_path):
    measured = []

    def count(problem, reference):
        measured.append(1)
        return loss_and_gradient(problem, reference)

    train(CONFIG, tmp_path, measure=count)
    before = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*0*.*")}
    train(CONFIG, tmp_path, measure=count)
    assert len(measured) == 4
    assert {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*0*.*")} == before


def test_a_snapshot_that_was_lost_is_measured_again(tmp_path, whole):
    run = train(CONFIG, tmp_path, measure=loss_and_gradient)
    (run.path / "snapshots" / "00000002.nc").unlink()
    again = train(CONFIG, tmp_path, measure=loss_and_gradient)
    xr.testing.assert_identical(again.trajectory(), whole("sgd").trajectory())


def test_another_configuration_is_refused_and_another_place_is_not(tmp_path):
    train(CONFIG, tmp_path, measure=loss_and_gradient)
    with pytest.raises(ValueError, match=r"learning_rate is 0\.05 there and 0\.1 here"):
        train(CONFIG.model_copy(update={"learning_rate": 0.1}), tmp_path)
    elsewhere = CONFIG.model_copy(update={"data_root": tmp_path})
    train(elsewhere, tmp_path, measure=loss_and_gradient)


def test_divergence_names_its_step_and_keeps_what_was_measured(tmp_path):
    config = CONFIG.model_copy(update={"learning_rate": 1e20, "momentum": 0.0})
    with pytest.raises(NonFiniteError, match=r"loss is (nan|inf) at step \d+, .*has diverged"):
        train(config, tmp_path, measure=loss_and_gradient)
    assert Run.open(tmp_path).steps()[0] == 0


def test_a_failing_measurement_can_be_made_up_for(tmp_path, whole):
    scarce = tmp_path / "scarce"  # what makes it fail lies outside of it
    scarce.touch()
    late = float(whole("sgd").snapshot(2).loss)

    def fails_late(problem, reference):
        if scarce.exists() and float(problem.loss()) < late:
            raise RuntimeError("no memory")
        return loss_and_gradient(problem, reference)

    with pytest.raises(RuntimeError, match="no memory"):
        train(CONFIG, tmp_path / "run", measure=fails_late)
    assert Run.open(tmp_path / "run").steps() == [0, 2]
    scarce.unlink()
    repaired = train(CONFIG, tmp_path / "run", measure=fails_late)
    xr.testing.assert_identical(repaired.trajectory(), whole("sgd").trajectory())


def test_batch_norm_statistics_are_never_empty(whole):
    assert all(
        value > 0
        for name, value in weights(whole("batch_norm")).items()
        if name.endswith("num_batches_tracked")
    )


def test_the_measure_options_are_those_of_measure():
    accepted = inspect.signature(geometry.measure).parameters
    for name, field in MeasureConfig.model_fields.items():
        assert field.default == accepted[name].default
    own = {"parts", "seed", "reference", "eigenvectors", "problem"}
    assert {*MeasureConfig.model_fields} | own == {*accepted}


def test_the_real_measurements_are_kept(tmp_path):
    config = CONFIG.model_copy(
        update={
            "network": "fully_connected",
            "width": 0.03,
            "steps": 3,
            "num_measurements": 2,
            "classes": (0, 1, 2),
            "measure_examples": 12,
            "measure": MeasureConfig(num_eigenvalues=2, num_probes=2, num_steps=4),
        }
    )
    run = train(config, tmp_path)
    trajectory = run.trajectory()
    assert trajectory.attrs["failures"] == ""
    assert geometry.settings(run.snapshot(3)) == geometry.settings(run.snapshot(0))
    assert trajectory.hessian_eigenvalues.dims == ("step", "rank")
    assert trajectory.sizes["rank"] == 2
    assert trajectory.tangent_kernel_drift[0] == 0
    assert trajectory.tangent_kernel_drift[1] > 0


def test_training_keeps_to_its_hyperplane_and_starts_at_its_radius(tmp_path):
    config = VARIANTS["hyperplane"].model_copy(update={"normalization": "none"})
    points = []

    def watch(problem):
        points.append(problem.parameters_vector())
        return xr.Dataset({"loss": float(problem.loss())})

    run = train(config, tmp_path / "run", measure=watch)
    plain = measured_problem(config.model_copy(update={"radius": 1.0}))
    origin = 2 * plain.parameters_vector()
    torch.testing.assert_close(points[0], origin)
    hyperplane = AffineHyperplane(plain, 20, "sparse", config.seed, origin)
    inside = hyperplane.point(hyperplane.coordinates(points[-1]))
    torch.testing.assert_close(inside, points[-1], atol=1e-6, rtol=1e-5)
    assert (points[-1] - origin).norm() > 1e-3
    theta = run.latest_checkpoint().tensors["model.theta"]
    torch.testing.assert_close(hyperplane.point(theta), points[-1], atol=1e-6, rtol=1e-5)


def test_given_vectors_cannot_be_configured():
    with pytest.raises(ValueError, match="kind is 'given'; it must be one of dense, gaussian"):
        HyperplaneConfig(dim=3, kind="given")
