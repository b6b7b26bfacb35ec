"""One data set with everything: its schema, its values, and that a seed repeats it."""

import warnings
from importlib import import_module

import numpy as np
import pytest
import torch
import xarray as xr

import landscope as ls
from landscope.geometry.measure import settings, single_eigenvalues
from landscope.geometry.point_operators import OPERATORS, PointOperators
from landscope.products import ProductMethod
from tests.reference.networks import CASES, dense

CASE = CASES["mlp"]
SCALARS = [
    "loss",
    "accuracy",
    "weight_norm",
    "gradient_norm",
    "num_examples",
    "num_params",
    "num_classes",
    "sigma_z",
    "entropy",
    "participation",
    "frozen_fraction",
    "q_slsc",
    "q_sl",
    "q_dl",
    "q_dl_abs",
    "sigma_c",
    "sigma_e",
    "logit_gradient_norm",
    "logit_gradient_norm_std",
    "hessian_trace",
    "hessian_frobenius_norm",
    "hessian_trace_over_norm",
    "hessian_num_outliers",
    "hessian_bulk_edge",
    "hessian_min_eigenvalue",
    "hessian_top_gradient_power",
    "gauss_newton_top_gradient_power",
    "gauss_newton_effective_rank",
    "gauss_newton_trace",
    "gauss_newton_frobenius_norm",
    "gauss_newton_trace_over_norm",
    "gauss_newton_num_outliers",
    "gauss_newton_bulk_edge",
    "logit_curvature_ratio",
    "tangent_kernel_trace",
    "tangent_kernel_drift",
    "hessian_density_width",
    "gauss_newton_density_width",
]
ESTIMATES = [
    "sigma_z",
    "entropy",
    "participation",
    "frozen_fraction",
    "hessian_trace",
    "hessian_frobenius_norm",
    "hessian_trace_over_norm",
    "gauss_newton_trace",
    "gauss_newton_frobenius_norm",
    "gauss_newton_trace_over_norm",
    "gauss_newton_effective_rank",
    "logit_curvature_ratio",
]
ARRAYS = {
    **{
        f"{x}_{what}": ("rank",)
        for x in ("hessian", "gauss_newton")
        for what in ("eigenvalues", "residuals", "gradient_cosines", "gradient_power")
    },
    **{
        f"{x}_density{what}": ("grid",)
        for x in ("hessian", "gauss_newton")
        for what in ("_grid", "", "_stderr")
    },
    "hessian_single_eigenvalues": ("hessian_single",),
    "gauss_newton_single_eigenvalues": ("gauss_newton_single",),
    "gauss_newton_share": ("rank",),
    "logit_curvature_eigenvalues": ("rank",),
    "clustering_table": ("logit", "true_class", "logit_2", "true_class_2"),
    "centroids_gram": ("logit", "logit_2"),
    "probabilities": ("example", "logit"),
    "targets": ("example",),
    "tangent_kernel_eigenvalues": ("kernel_rank",),
}


def problem():
    return ls.Problem(CASE.model(), CASE.data())


def small():
    """A network of 34 weights, where values are not asked for."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = torch.nn.Linear(5, 3), torch.nn.Tanh(), torch.nn.Linear(3, 4)
    return ls.Problem(torch.nn.Sequential(*layers).double(), CASE.data())


def elsewhere():
    """The reference point of the tangent kernel."""
    here = problem()
    return here.at(1.1 * here.parameters_vector())


def measured():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return ls.measure(
            problem(),
            num_eigenvalues=9,
            num_probes=2,
            num_steps=12,
            reference=elsewhere(),
            seed=3,
        )


@pytest.fixture(scope="module")
def snapshot():
    return measured()


def test_every_variable_of_the_schema_is_there(snapshot):
    for name in SCALARS:
        assert snapshot[name].dims == (), name
    for name in ESTIMATES:
        assert snapshot[f"{name}_stderr"].dims == (), name
        assert float(snapshot[f"{name}_stderr"]) >= 0, name
    for name, dims in ARRAYS.items():
        assert snapshot[name].dims == dims, name
    assert snapshot.sizes["logit"] == 4
    assert snapshot.sizes["rank"] == 9
    assert snapshot.sizes["example"] == 12


def test_every_variable_says_what_it_is(snapshot):
    for name, variable in snapshot.data_vars.items():
        for attribute in ("long_name", "units", "definition", "source"):
            assert variable.attrs.get(attribute), f"{name} has no {attribute}"
    assert snapshot.attrs["source"] == "Fort & Ganguli 2019, arXiv:1910.05929"
    assert snapshot.attrs["seed"] == 3
    assert snapshot.attrs["torch_version"] == torch.__version__
    assert snapshot.attrs["landscope_version"] == ls.__version__
    assert snapshot.attrs["title"]


def test_it_says_how_products_were_computed(snapshot):
    for name in OPERATORS:
        assert snapshot.attrs[f"{name}_products"] in set(ProductMethod) - {"auto"}
    again = settings(snapshot)
    assert again["method"] == {name: snapshot.attrs[f"{name}_products"] for name in OPERATORS}
    assert again["memory_limit"] == snapshot.attrs["memory_limit"] > 0
    assert settings(xr.Dataset()) == {}


def test_kinds_of_numbers(snapshot):
    for name in ("num_examples", "num_params", "num_classes", "targets"):
        assert np.issubdtype(snapshot[name].dtype, np.integer), name
    for name in ("hessian_num_outliers", "gauss_newton_num_outliers"):
        assert np.issubdtype(snapshot[name].dtype, np.integer), name
    for name in SCALARS:
        if "bulk_edge" not in name:
            assert np.isfinite(snapshot[name]), name


def test_exact_values(snapshot):
    d = dense("mlp")
    expected = {
        "loss": d.loss,
        "weight_norm": d.point.norm(),
        "gradient_norm": d.gradient.norm(),
        "num_examples": d.num_examples,
        "num_params": d.num_params,
        "num_classes": d.num_classes,
        "tangent_kernel_trace": d.tangent_kernel.trace(),
        "logit_gradient_norm": d.per_example_jacobian.norm(dim=2).mean(),
        "logit_gradient_norm_std": d.per_example_jacobian.norm(dim=2).std(),
    }
    for name, value in expected.items():
        assert float(snapshot[name]) == pytest.approx(float(value), rel=1e-9), name
    values, vectors = torch.linalg.eigh(d.hessian)
    values, vectors = values.flip(0)[:9], vectors.flip(1)[:, :9]
    cosines = vectors.T @ d.gradient / d.gradient.norm()
    share = (vectors * (d.gauss_newton @ vectors)).sum(0) / values
    close = {"rtol": 0, "atol": 1e-3}  # eigenpairs to the default tolerance
    assert np.allclose(snapshot.hessian_eigenvalues, values, **close)
    assert np.allclose(np.abs(snapshot.hessian_gradient_cosines), cosines.abs(), **close)
    assert np.allclose(snapshot.hessian_gradient_power, cosines.square().cumsum(0), **close)
    assert np.allclose(snapshot.hessian_top_gradient_power, cosines[:4].square().sum(), **close)
    assert np.allclose(snapshot.gauss_newton_share, share, rtol=0, atol=1e-2)
    assert float(snapshot.hessian_min_eigenvalue) == pytest.approx(
        float(torch.linalg.eigvalsh(d.hessian)[0]), abs=1e-3
    )
    assert np.array_equal(snapshot.targets, d.targets.numpy())


def test_the_values_are_those_of_the_single_functions(snapshot):
    clustering = ls.logit_clustering(problem())
    for name in ("q_slsc", "q_sl", "q_dl", "q_dl_abs", "sigma_c", "sigma_e"):
        assert float(snapshot[name]) == pytest.approx(getattr(clustering, name), rel=1e-9)
    assert np.allclose(snapshot.clustering_table, clustering.table.numpy(), equal_nan=True)
    assert np.allclose(snapshot.centroids_gram, clustering.centroids_gram.numpy())

    probabilities = ls.class_probabilities(problem())
    for name in ("sigma_z", "entropy", "participation", "frozen_fraction", "accuracy"):
        assert float(snapshot[name]) == pytest.approx(float(getattr(probabilities, name)))
    assert np.allclose(snapshot.probabilities, probabilities.probabilities.numpy())

    curvature = ls.curvature(problem(), k=9, operator="gauss_newton", seed=3)
    assert np.allclose(snapshot.gauss_newton_eigenvalues, curvature.eigenvalues.numpy())
    assert float(snapshot.gauss_newton_trace) == pytest.approx(float(curvature.trace), rel=1e-6)
    assert float(snapshot.gauss_newton_trace_stderr) == pytest.approx(
        curvature.trace.stderr, rel=1e-4, abs=1e-12
    )

    kernel = ls.tangent_kernel(problem(), reference=elsewhere())
    count = snapshot.sizes["kernel_rank"]
    assert np.allclose(snapshot.tangent_kernel_eigenvalues, kernel.eigenvalues.numpy()[:count])
    assert float(snapshot.tangent_kernel_drift) == pytest.approx(float(kernel.drift), rel=1e-9)
    assert float(kernel.drift) > 0


@pytest.mark.usefixtures("unchecked")
def test_a_seed_repeats_it_and_leaves_the_global_random_state_alone(snapshot):
    state = torch.random.get_rng_state()
    again = measured()
    assert torch.equal(torch.random.get_rng_state(), state)
    assert set(again.data_vars) == set(snapshot.data_vars)
    xr.testing.assert_allclose(again, snapshot, rtol=1e-6)


@pytest.mark.usefixtures("unchecked")
def test_each_operator_is_built_once_and_computed_as_asked_for(monkeypatch):
    built = []

    def counting(name, kind):
        def build(problem, **options):
            built.append((name, options))
            return kind(problem, **options)

        return build

    for name, kind in list(OPERATORS.items()):
        monkeypatch.setitem(OPERATORS, name, counting(name, kind))
    quick = {"num_eigenvalues": 3, "num_probes": 2, "num_steps": 4}
    snapshot = ls.measure(small(), method="double_backward", memory_limit=4_000_000, **quick)
    options = {"method": "double_backward", "memory_limit": 1_000_000}
    assert sorted(built, key=lambda pair: pair[0]) == [
        (name, options) for name in sorted(OPERATORS)
    ]
    assert {snapshot.attrs[f"{name}_products"] for name in OPERATORS} == {"double_backward"}
    assert snapshot.attrs["memory_limit"] == 4_000_000
    assert snapshot.attrs["failures"] == ""


@pytest.mark.parametrize(
    ("options", "message"),
    [({"method": "magic"}, "'magic'"), ({"memory_limit": -1}, "memory_limit is -1")],
)
def test_settings_that_cannot_be_used_are_refused_at_the_door(options, message):
    with pytest.raises(ValueError, match=message):
        ls.measure(problem(), **options)


def test_the_density_and_the_single_eigenvalues_are_the_whole_spectrum():
    """Outliers are exact and each is there once; the grid has all others."""
    bulk = torch.linspace(-1, 1, 300, dtype=torch.float64)
    eigenvalues = torch.cat([bulk, torch.tensor([-30.0, 20.0, 21.0, 50.0], dtype=torch.float64)])
    A = torch.diag(eigenvalues)
    density = ls.spectral_density(A, num_probes=3, num_steps=30, deflate="converged")
    single = single_eigenvalues(density)
    assert single.tolist() == pytest.approx([50, 21, 20, -30], rel=1e-9)
    mass = torch.trapezoid(density.density, density.grid)
    assert float(mass) == pytest.approx(300 / 304, abs=2e-3)


def test_it_survives_a_file(snapshot, tmp_path):
    snapshot.to_netcdf(tmp_path / "snapshot.nc", engine="netcdf4")
    with xr.open_dataset(tmp_path / "snapshot.nc", engine="netcdf4") as read:
        xr.testing.assert_equal(read.load(), snapshot)


@pytest.mark.usefixtures("unchecked")
def test_what_cannot_be_measured_costs_nothing_else():
    # A regression with one output has no classes, hence no clustering and no probabilities.
    model = torch.nn.Sequential(
        torch.nn.Linear(5, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1)
    ).double()
    x = CASES["mse"].data()[0]
    with pytest.warns(UserWarning, match="clustering"):
        dataset = ls.measure(
            ls.Problem(model, (x, x[:, :1]), loss="mse"),
            num_eigenvalues=3,
            num_probes=2,
            num_steps=10,
        )
    assert "q_sl" not in dataset
    assert "clustering" in dataset.attrs["failures"]
    assert np.isnan(dataset.tangent_kernel_drift)  # no reference was given
    assert np.isfinite(dataset.hessian_trace)
    assert np.isfinite(dataset.hessian_eigenvalues).all()


def test_what_fails_is_tried_once_however_many_parts_need_it(monkeypatch):
    """Three parts need the eigenpairs of H and of G, and one operator cannot be built."""
    tried = []

    def failing(problem, k, operator, **options):
        tried.append(type(operator).__name__)
        raise FloatingPointError("no product is finite")

    class Unbuilt(OPERATORS["logit_curvature"]):
        def __init__(self, *arguments, **options):
            tried.append("LogitCurvature")
            raise FloatingPointError("no product is finite")

    monkeypatch.setattr(import_module("landscope.geometry.measure"), "curvature", failing)
    monkeypatch.setitem(OPERATORS, "logit_curvature", Unbuilt)
    parts = ("hessian", "gauss_newton", "hessian_split", "probabilities")
    with pytest.warns(UserWarning, match="no product is finite"):
        found = ls.measure(problem(), parts=parts)
    assert tried == ["Hessian", "GaussNewton"]
    assert found.attrs["failures"].count("no product is finite") == 3
    assert np.isfinite(found.entropy)
    point = PointOperators(problem())
    for _ in range(2):
        with pytest.raises(FloatingPointError):
            point["logit_curvature"]
    assert tried == ["Hessian", "GaussNewton", "LogitCurvature"]


def test_errors_stand_beside_what_comes_from_eigenpairs(snapshot):
    for name in ("hessian", "gauss_newton"):
        for what in ("eigenvalues", "gradient_cosines", "gradient_power"):
            error = snapshot[f"{name}_{what}_error"]
            assert error.dims == ("rank",)
            assert bool((error >= 0).all())
            assert error.attrs["long_name"].startswith("bound on the error of")
        assert snapshot[f"{name}_top_gradient_power_error"].dims == ()
    assert snapshot.gauss_newton_share_error.dims == ("rank",)


@pytest.mark.usefixtures("unchecked")
def test_parts_are_those_of_the_whole():
    here = small()
    quick = {"num_eigenvalues": 3, "num_probes": 2, "num_steps": 5}
    whole = ls.measure(here, **quick)
    parts = ls.measure(here, parts=("clustering", "hessian"), **quick)
    assert {"q_sl", "hessian_eigenvalues", "loss"} <= set(parts.data_vars)
    assert not {"sigma_z", "gauss_newton_eigenvalues", "hessian_density"} & set(parts.data_vars)
    for name in parts.data_vars:
        xr.testing.assert_allclose(parts[name], whole[name], rtol=1e-6)


@pytest.mark.parametrize("parts", ["hessian", ("hessian", "everything"), ()])
def test_unknown_parts_are_refused(parts):
    with pytest.raises(ValueError, match="accepted is a collection of probabilities, clustering"):
        ls.measure(problem(), parts=parts)


def test_ctrl_c_that_torch_has_made_an_error_is_no_part_left_out(monkeypatch):
    """As it comes out of a derivative that torch computes in TorchScript."""

    def interrupted(*arguments):
        raise RuntimeError(
            "The following operation failed in the TorchScript interpreter.\n"
            "RuntimeError: KeyboardInterrupt: \n\nAt:\n  mine.py(3): <module>\n"
        )

    monkeypatch.setattr(import_module("landscope.geometry.measure"), "_probabilities", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ls.measure(problem(), parts=["probabilities"])
