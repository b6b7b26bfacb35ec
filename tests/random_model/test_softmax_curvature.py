import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from landscope.random_model.softmax_curvature import curvature_eigenpairs, curvature_root, softmax


@given(seed=st.integers(0, 10**6), C=st.integers(2, 12), sigma_z=st.floats(0, 30))
def test_eigenpairs_rebuild_the_curvature(seed, C, sigma_z):
    p = softmax(sigma_z * np.random.default_rng(seed).standard_normal((4, C)))
    M = np.array([np.diag(row) - np.outer(row, row) for row in p])
    S = curvature_root(p)
    assert S @ S.transpose(0, 2, 1) == pytest.approx(M, abs=1e-15)
    m, U = curvature_eigenpairs(p)
    assert (U * m[:, None, :]) @ U.transpose(0, 2, 1) == pytest.approx(M, abs=1e-14)
    assert (m >= 0).all()
    assert (m <= 0.5 + 1e-14).all()


def test_eigenvalues_are_precise_below_rounding():
    p = np.array([[1 - 1e-30, 1e-30]])
    assert curvature_eigenpairs(p)[0][0, 0] == pytest.approx(2e-30, rel=1e-9)
