import numpy as np
import pytest
import torch

from landscope.linalg.krylov import KrylovSubspace
from landscope.linalg.product import CountedProduct

from .conftest import DiagonalOperator


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


def test_one_start_vector_gives_a_tridiagonal_projection(operator_with):
    krylov = KrylovSubspace(CountedProduct(operator_with(np.linspace(-1, 1, 60))), capacity=9)
    krylov.add(start(60))
    for _ in range(8):
        krylov.expand()
    T = krylov.projected
    assert torch.triu(T, 2).abs().max() < 1e-14
    assert T.diagonal(1).min() > 0.1  # each step is a new direction


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


def test_expands_along_one_direction_and_keeps_the_rest(operator_with):
    operator = operator_with(np.linspace(-2, 5, 80))
    krylov = KrylovSubspace(CountedProduct(operator), capacity=40)
    krylov.add(start(80, 3))
    before = krylov.basis.block(0, 3).clone()
    direction = torch.tensor([1.0, 2.0, -2.0], dtype=torch.float64) / 3
    turned = krylov.turn(direction[:, None])
    torch.testing.assert_close(krylov.basis.block(0, 3), before @ turned)
    assert abs(turned[:, 0] @ direction) == pytest.approx(1.0)
    for _ in range(4):
        krylov.expand(1)
        check_relation(krylov, operator)
    assert (krylov.size, krylov.pending) == (4, 3)
    _, vectors = torch.linalg.eigh(krylov.projected)
    krylov.restart(vectors[:, -2:])
    check_relation(krylov, operator)


@pytest.mark.parametrize(("dtype", "rounding"), [(torch.float32, 1e-6), (torch.float64, 1e-13)])
def test_basis_stays_orthogonal_where_eigenpairs_have_converged(dtype, rounding):
    """Where plain Lanczos loses it: outliers of a long float32 run, through restarts."""
    eigenvalues = torch.linspace(0, 1, 100_000, dtype=dtype)
    eigenvalues[:5] = torch.tensor([50.0, 40.0, 30.0, 20.0, 10.0])
    krylov = KrylovSubspace(CountedProduct(DiagonalOperator(eigenvalues)), capacity=41)
    krylov.add(start(len(eigenvalues)).to(dtype))
    for _ in range(3):
        while krylov.size < 40:
            krylov.expand()
        basis = krylov.basis.block(0, krylov.basis.size).double()
        gram = basis.T @ basis
        assert torch.linalg.matrix_norm(gram - torch.eye(len(gram)), 2) <= rounding
        _, vectors = torch.linalg.eigh(krylov.projected)
        krylov.restart(vectors[:, -20:])
