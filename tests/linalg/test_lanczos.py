import numpy as np
import pytest
import torch

from landscope.linalg.lanczos import KrylovSubspace, tridiagonalise
from landscope.linalg.product import CountedProduct


def start(dim, count=1, seed=0):
    vectors = torch.randn(
        dim, count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    return vectors / vectors.norm(dim=0)


def check_relation(krylov, operator):
    """AQ = [Q W]H with [Q W] orthonormal."""
    basis = krylov.basis.block(0, krylov.basis.size)
    Q = basis[:, : krylov.size]
    gram = basis.T @ basis
    torch.testing.assert_close(gram, torch.eye(len(gram), dtype=gram.dtype), rtol=0, atol=1e-13)
    torch.testing.assert_close(operator.matrix @ Q, basis @ krylov.H, rtol=0, atol=1e-12)
    torch.testing.assert_close(krylov.projected, Q.T @ operator.matrix @ Q, rtol=0, atol=1e-12)


@pytest.mark.parametrize("block", [1, 3])
def test_relation_holds_through_growth_restart_and_fresh_vectors(operator_with, block):
    operator = operator_with(np.linspace(-2, 5, 80))
    krylov = KrylovSubspace(CountedProduct(operator), capacity=40)
    krylov.add(start(80, block))
    for _ in range(6):
        krylov.expand()
        check_relation(krylov, operator)
    _, vectors = torch.linalg.eigh(krylov.projected)
    krylov.restart(vectors[:, -4:])
    check_relation(krylov, operator)
    krylov.expand()
    krylov.add(start(80, 2, seed=1))
    krylov.expand()
    check_relation(krylov, operator)


def test_invariant_subspace_leaves_nothing_pending(operator_of):
    eigenvalues = [3.0, 3.0, 2.0, 2.0, 1.0, 1.0] + [0.0] * 30
    operator = operator_of(torch.diag(torch.tensor(eigenvalues, dtype=torch.float64)))
    krylov = KrylovSubspace(CountedProduct(operator), capacity=20)
    krylov.add(start(36))
    while krylov.pending:
        krylov.expand()
    assert krylov.size == 4
    check_relation(krylov, operator)
    values = torch.linalg.eigvalsh(krylov.projected)
    torch.testing.assert_close(values, torch.arange(4.0, dtype=values.dtype), rtol=0, atol=1e-12)


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
