"""A spectral density whose run was stopped goes on from its checkpoint."""

from functools import cache

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from landscope.linalg import eigsh, spectral_density

from .conftest import DiagonalOperator, Interrupted, kill_at

EIGENVALUES = torch.cat([torch.tensor([9.0, 8.0, -5.0]), torch.linspace(0, 1, 597)]).double()
SETTINGS = {"num_probes": 3, "num_steps": 12, "seed": 3, "num_grid": 50}
KNOWN = eigsh(DiagonalOperator(EIGENVALUES), 3, "LM", 1e-9)
RUNS = {
    "plain": {},
    "settled": {"deflate": "converged"},
    "known eigenpairs": {"deflate": KNOWN},
    "until the error is small": {"num_probes": None, "rtol": 0.02, "width": 0.2, "deflate": KNOWN},
    "the same, settled": {"num_probes": 5, "rtol": 1e-3, "deflate": "converged"},
}


def run(operator, path=None, **settings):
    return spectral_density(operator, **(SETTINGS | settings), checkpoint=path)


def interrupt(path, limit, block_size=None, **settings):
    operator = Interrupted(EIGENVALUES)
    operator.limit, operator.block_size = limit, block_size
    with pytest.raises(KeyboardInterrupt):
        run(operator, path, **settings)


def check_equal(resumed, whole):
    for name in ("grid", "density", "stderr", "dof", "nodes", "weights"):
        assert torch.equal(getattr(resumed, name), getattr(whole, name)), name
    assert resumed.num_probes == whole.num_probes


@cache
def uninterrupted(name):
    return run(DiagonalOperator(EIGENVALUES), **RUNS[name])


@pytest.mark.parametrize(
    ("limit", "name"),
    [(1, "plain"), (12, "plain"), (5, "settled"), (35, "settled"), (17, "known eigenpairs")]
    + [(35, "until the error is small"), (17, "the same, settled")]
    + [
        pytest.param(limit, name, marks=pytest.mark.slow)
        for name, limits in {
            "plain": (5, 17, 35),
            "settled": (1, 12, 17),
            "known eigenpairs": (5, 35),
            "until the error is small": (12,),
            "the same, settled": (1,),
        }.items()
        for limit in limits
    ],
)
def test_goes_on_with_the_same_steps(always_due, tmp_path, limit, name):
    """In the first steps, within a probe, between two, and in the last step."""
    path = tmp_path / "state.safetensors"
    settings, whole = RUNS[name], uninterrupted(name)
    assert whole.num_products >= 36
    interrupt(path, limit, **settings)
    operator = DiagonalOperator(EIGENVALUES)
    resumed = run(operator, path, **settings)
    check_equal(resumed, whole)
    assert operator.num_products == whole.num_products - limit + 1  # one compares the operators
    assert resumed.num_products == whole.num_products + 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "stops",
    [
        (5, 6),
        (-36,),
        *(pytest.param(s, marks=pytest.mark.slow) for s in [(-37,), (-30, 8, 9), (-1,)]),
    ],
)
def test_goes_on_in_the_search_for_outliers_and_after_it(always_due, tmp_path, stops):
    """Stopped after so many products, or so many before the end; again and again."""
    path = tmp_path / "state.safetensors"
    whole = run(DiagonalOperator(EIGENVALUES), deflate=3)
    for stop in stops:
        interrupt(path, stop % whole.num_products, deflate=3)
    operator = DiagonalOperator(EIGENVALUES)
    resumed = run(operator, path, deflate=3)
    check_equal(resumed, whole)
    saved = stops[-1] % whole.num_products
    assert operator.num_products <= whole.num_products - saved + 2  # which compare the operators
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("limit", [3, 14, 30])
def test_probes_that_ran_side_by_side_go_on_so(always_due, tmp_path, limit):
    path = tmp_path / "state.safetensors"
    whole_operator, operator = DiagonalOperator(EIGENVALUES), DiagonalOperator(EIGENVALUES)
    whole_operator.block_size = operator.block_size = 2
    whole = run(whole_operator)
    interrupt(path, limit, block_size=2)
    check_equal(run(operator, path), whole)
    assert operator.num_products <= 36 - limit + 2


@pytest.mark.parametrize("deflate", [0, 3, "converged"])
def test_goes_on_with_bases_on_disk(always_due, tmp_path, deflate):
    path = tmp_path / "state.safetensors"
    whole = run(DiagonalOperator(EIGENVALUES), deflate=deflate)
    interrupt(path, whole.num_products - 20, deflate=deflate, storage="disk")
    resumed = run(DiagonalOperator(EIGENVALUES), path, deflate=deflate, storage="disk")
    torch.testing.assert_close(resumed.grid, whole.grid, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(resumed.density, whole.density, rtol=1e-12, atol=1e-12)


KILLED = """
import sys, time
from tests.linalg.test_density_checkpoint import EIGENVALUES, DiagonalOperator, run

class Slow(DiagonalOperator):
    def __matmul__(self, vectors):
        time.sleep(0.05)
        return super().__matmul__(vectors)

run(Slow(EIGENVALUES), sys.argv[1], deflate="converged")
"""


@pytest.mark.slow  # the process is killed as that of eigsh is; this stops within the iteration
def test_killed_process_goes_on(tmp_path):
    path = tmp_path / "state.safetensors"
    kill_at(KILLED, path, size=10 * EIGENVALUES.nbytes)
    operator = DiagonalOperator(EIGENVALUES)
    resumed = run(operator, path, deflate="converged")
    assert operator.num_products < 36 - 5
    whole = run(DiagonalOperator(EIGENVALUES), deflate="converged")
    for name in ("grid", "density"):  # two processes may round differently
        ours, theirs = getattr(resumed, name), getattr(whole, name)
        torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-10)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seed": 4}, "written with seed = 3, this call has 4"),
        ({"num_steps": 13}, "written with num_steps = 12, this call has 13"),
        ({"num_probes": 4}, "written with num_probes = 3, this call has 4"),
        ({"rtol": 0.1}, "written with rtol = None, this call has 0.1"),
        ({"width": 0.1}, "written with width = None, this call has 0.1"),
        ({"limits": (0.0, 1.0)}, r"written with limits = None, this call has \[0.0, 1.0\]"),
        ({"deflate": "converged"}, "written with deflate = 0, this call has converged"),
        ({"deflate": KNOWN}, "written with deflate = 0"),
    ],
)
def test_other_settings_are_refused(always_due, tmp_path, settings, message):
    path = tmp_path / "state.safetensors"
    interrupt(path, 20)
    with pytest.raises(ValueError, match=message):
        run(DiagonalOperator(EIGENVALUES), path, **settings)
    assert path.exists()


def test_another_iteration_and_a_damaged_file_are_refused(always_due, tmp_path):
    path = tmp_path / "state.safetensors"
    interrupt(path, 20)
    operator = DiagonalOperator(EIGENVALUES)
    with pytest.raises(ValueError, match="algorithm = spectral_density, this call has eigsh"):
        eigsh(operator, 3, checkpoint=path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ValueError, match="is damaged or none of a Krylov iteration"):
        run(operator, path)


@pytest.mark.parametrize("changed", [0, 300])
def test_another_operator_is_refused(always_due, tmp_path, changed):
    """Be it in a deflated outlier, which the Krylov space knows nothing of, or in the bulk."""
    path = tmp_path / "state.safetensors"
    whole = run(DiagonalOperator(EIGENVALUES), deflate=3)
    interrupt(path, whole.num_products - 20, deflate=3)
    other = EIGENVALUES.clone()
    other[changed] += 0.5
    with pytest.raises(ValueError, match="belongs to another operator"):
        run(DiagonalOperator(other), path, deflate=3)


@pytest.mark.parametrize("missing", ["unit", "state.border"])
def test_a_file_of_an_older_version_is_refused(always_due, tmp_path, missing):
    path = tmp_path / "state.safetensors"
    interrupt(path, 20)
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    del tensors[missing], metadata["sha256"]
    save_file(tensors, path, metadata)
    with pytest.raises(ValueError, match="was written by an older version, without"):
        run(DiagonalOperator(EIGENVALUES), path)


@pytest.mark.parametrize("scale", [2.0**-660, 2.0**660])
@pytest.mark.parametrize("deflate", [0, 3])
def test_goes_on_in_the_unit_of_the_first_run(always_due, tmp_path, scale, deflate):
    path = tmp_path / "state.safetensors"
    whole = run(DiagonalOperator(scale * EIGENVALUES), deflate=deflate)
    operator = Interrupted(scale * EIGENVALUES)
    operator.limit = whole.num_products - 20
    with pytest.raises(KeyboardInterrupt):
        run(operator, path, deflate=deflate)
    resumed = run(DiagonalOperator(scale * EIGENVALUES), path, deflate=deflate)
    torch.testing.assert_close(resumed.nodes / scale, whole.nodes / scale)
    torch.testing.assert_close(resumed.weights, whole.weights)
