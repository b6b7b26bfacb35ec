"""The references must agree with each other and with torch before they judge anything."""

import pytest
import torch
from torch.autograd.functional import hessian
from torch.nn.attention import SDPBackend, sdpa_kernel

from tests.reference.clustering import Clustering
from tests.reference.dense import relative_error
from tests.reference.networks import CASES, dense


@pytest.mark.parametrize("name", CASES)
def test_the_two_terms_add_up_to_the_hessian(name):
    d = dense(name)
    assert d.num_params < 300
    assert relative_error(d.gauss_newton + d.logit_curvature, d.hessian) < 1e-12
    assert torch.linalg.vector_norm(d.logit_curvature) > 1e-3


@pytest.mark.parametrize("name", ["layer_norm", "attention", "mse"])
def test_the_hessian_is_that_of_autograd_functional(name):
    d = dense(name)
    with sdpa_kernel(SDPBackend.MATH):
        expected = hessian(lambda w: d.loss_of_logits(d.logits(w)), d.point)
    assert relative_error(d.hessian, expected) < 1e-12


@pytest.mark.parametrize("name", ["conv", "batch_norm", "tied"])
def test_the_jacobian_is_that_of_finite_differences(name):
    d = dense(name)
    direction = torch.randn(
        d.num_params, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    step = 1e-6 * direction
    difference = (d.logits(d.point + step) - d.logits(d.point - step)).reshape(-1) / 2e-6
    assert relative_error(d.jacobian @ direction, difference) < 1e-7


def test_clustering_of_a_jacobian_known_by_hand():
    # Two examples, two logits, two dimensions: logit 0 always e_x; logit 1 once e_y, once -e_y.
    jacobian = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[2.0, 0.0], [0.0, -3.0]]]).double()
    brute = Clustering(jacobian, torch.tensor([0, 0]))
    assert brute.q_slsc() == 1.0  # class 0 alone has a pair
    assert brute.q_sl() == 0.0  # (1 + (−1)) / 2
    assert brute.q_dl() == 0.0
    assert brute.q_dl_abs() == 0.0
    assert brute.table()[0, 0, 0, 0] == 1.0
    assert brute.table()[1, 0, 1, 0] == -1.0
    assert brute.table()[0, 1, 0, 1].isnan()
