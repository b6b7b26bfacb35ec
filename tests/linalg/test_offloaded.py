import subprocess
import sys
from pathlib import Path

import pytest
import torch

from landscope.linalg import eigsh
from landscope.linalg.offloaded import OffloadedBasis, stored_in
from landscope.linalg.space import Basis, DenseSpace

from .conftest import DiagonalOperator
from .test_space import filled_basis, gaussian


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("storage", ["host", "disk", "folder"])
def test_basis_does_what_a_dense_one_does(dtype, storage, tmp_path, monkeypatch):
    monkeypatch.setattr("landscope.linalg.offloaded.BYTES_PER_CHUNK", 40_000)  # many chunks
    dim = 20_000
    space = DenseSpace(dim, dtype)
    stored = stored_in(space, tmp_path if storage == "folder" else storage)
    vectors, block = gaussian(dim, 5, dtype=dtype), gaussian(dim, 2, dtype=dtype, seed=1)
    dense, basis = filled_basis(space, vectors), filled_basis(stored, vectors)
    assert isinstance(basis, Basis)
    tolerance = {"rtol": 1e-5 if dtype == torch.float32 else 1e-12, "atol": 1e-3}
    torch.testing.assert_close(basis.gram(block), dense.gram(block), **tolerance)
    weights = gaussian(5, 3, seed=2)
    torch.testing.assert_close(basis.combine(weights), dense.combine(weights), **tolerance)
    for coefficients, first in ((gaussian(3, 2, seed=3), 2), (gaussian(4, 2, seed=4), 0)):
        dense.rotate(coefficients, first)
        basis.rotate(coefficients, first)
        assert basis.size == dense.size
        torch.testing.assert_close(
            basis.block(0, basis.size), dense.block(0, dense.size), **tolerance
        )


@pytest.mark.parametrize("storage", ["host", "disk"])
def test_eigenpairs_do_not_depend_on_where_the_basis_lies(storage):
    eigenvalues = torch.cat([torch.tensor([9.0, 8.0, 8.0, -5.0]), torch.linspace(0, 1, 996)])
    runs = (
        eigsh(DiagonalOperator(eigenvalues.double()), 3, "BE", 1e-8, basis_size=12, storage=where)
        for where in ("device", storage)
    )
    dense, stored = runs
    assert dense.num_products == stored.num_products
    torch.testing.assert_close(dense.values, stored.values, rtol=1e-12, atol=0)
    torch.testing.assert_close(dense.vectors.abs(), stored.vectors.abs(), rtol=0, atol=1e-6)


def test_files_are_gone_afterwards(tmp_path):
    operator = DiagonalOperator(torch.linspace(0, 1, 200).double() ** 4)
    eigsh(operator, 2, tol=1e-6, storage=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_unknown_storage_is_refused(tmp_path):
    space = DenseSpace(3, torch.float32)
    with pytest.raises(ValueError, match="it must be device, host, disk or the Path"):
        stored_in(space, "cloud")
    with pytest.raises(ValueError, match="storage must name a folder that exists"):
        stored_in(space, tmp_path / "missing")
    assert stored_in(space, "device") is space
    assert isinstance(stored_in(space, "host").basis(1), OffloadedBasis)


PEAK = """
import resource, sys, warnings
from pathlib import Path
import torch
from tests.linalg.conftest import DiagonalOperator
from landscope.linalg import eigsh

warnings.simplefilter("ignore")
operator = DiagonalOperator(torch.linspace(0, 1, 1_000_000))
eigsh(DiagonalOperator(torch.linspace(0, 1, 10_000)), 1, max_products=50)  # what torch sets up
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
eigsh(operator, 1, tol=1e-6, max_products=55, basis_size=60, storage=Path(sys.argv[1]))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in kilobytes on Linux")
def test_a_basis_on_disk_takes_little_memory(tmp_path):
    """Room for about a dozen vectors and a chunk, whatever the number in the basis: here 54."""
    root = Path(__file__).parents[2]
    finished = subprocess.run(
        [sys.executable, "-c", PEAK, tmp_path],
        capture_output=True,
        text=True,
        check=True,
        cwd=root,
    )
    assert int(finished.stdout) < 18 * 4_000_000
