import numpy as np
import pytest
import torch

from landscope.linalg.checkpoint import Checkpoint
from landscope.linalg.lanczos import tridiagonalise
from landscope.linalg.product import CountedProduct

from .test_krylov import start


def test_projection_is_tridiagonal_and_gives_moments(operator_with):
    operator = operator_with(np.linspace(-1, 1, 60))
    v = start(60)
    T = tridiagonalise(CountedProduct(operator), 5 * v, num_steps=8)
    assert T.shape == (8, 8)
    outside = torch.triu(T, 2)
    assert outside.abs().max() < 1e-14
    power, moment = torch.eye(8, dtype=T.dtype), v
    for _ in range(16):  # Gauss quadrature: exact up to degree 15
        assert power[0, 0].item() == pytest.approx((v.T @ moment).item(), abs=1e-13)
        power, moment = power @ T, operator.matrix @ moment


def test_stops_at_the_dimension(operator_with):
    operator = operator_with([1.0, 2.0, 4.0])
    T = tridiagonalise(CountedProduct(operator), start(3), num_steps=10)
    assert operator.num_products == 3
    values = torch.linalg.eigvalsh(T)
    torch.testing.assert_close(values, torch.tensor([1.0, 2.0, 4.0], dtype=T.dtype))


def test_goes_on_from_a_checkpoint(operator_with, tmp_path):
    operator = operator_with(np.linspace(-1, 1, 60))
    whole = tridiagonalise(CountedProduct(operator), start(60), num_steps=20)
    path = tmp_path / "density.safetensors"
    running = Checkpoint(path, {"seed": 0})
    running.state["finished"] = torch.ones(3)
    tridiagonalise(CountedProduct(operator), start(60), 12, running)
    running = Checkpoint(path, {"seed": 0})
    product = CountedProduct(operator)
    assert torch.equal(tridiagonalise(product, start(60), 20, running), whole)
    assert torch.equal(running.state["finished"], torch.ones(3))


def test_basis_on_disk_gives_the_same(operator_with):
    operator = operator_with(np.linspace(-1, 1, 60))
    dense, stored = (
        tridiagonalise(CountedProduct(operator, storage), start(60), num_steps=12)
        for storage in ("device", "disk")
    )
    torch.testing.assert_close(dense, stored, rtol=0, atol=1e-12)
