"""σ_z, entropy and participation against sums written out one example at a time."""

import math

import pytest
import torch
from torch import nn

import landscope as ls
from tests.reference import probabilities
from tests.reference.networks import CASES, dense


@pytest.mark.parametrize("name", ["conv", "mlp", "attention", "tied"])
def test_the_definitions(name):
    case, d = CASES[name], dense(name)
    measured = ls.class_probabilities(ls.Problem(case.model(), case.data(), batch_size=4))
    assert float(measured.sigma_z) == pytest.approx(probabilities.sigma_z(d.z), rel=1e-11)
    assert float(measured.entropy) == pytest.approx(probabilities.entropy(d.z), rel=1e-11)
    assert float(measured.participation) == pytest.approx(
        probabilities.participation(d.z), rel=1e-11
    )
    assert torch.allclose(measured.probabilities, d.z.softmax(1), rtol=0, atol=1e-13)
    hits = (d.z.argmax(1) == d.targets).double().mean()
    assert float(measured.accuracy) == pytest.approx(float(hits))


def scaled(scale):
    """Logits scale · x on the identity: one example for each class."""
    model = nn.Linear(3, 3, bias=False).double()
    with torch.no_grad():
        model.weight.copy_(scale * torch.eye(3))
    return ls.Problem(model, (torch.eye(3, dtype=torch.float64), torch.arange(3)))


def test_the_centre_and_the_corners_of_the_simplex():
    centre = ls.class_probabilities(scaled(0.0))
    assert float(centre.entropy) == pytest.approx(math.log(3))
    assert float(centre.participation) == pytest.approx(1 / 3)
    assert float(centre.sigma_z) == 0.0
    assert float(centre.frozen_fraction) == 0.0
    corner = ls.class_probabilities(scaled(2000.0))
    assert float(corner.entropy) == 0.0
    assert float(corner.participation) == 1.0
    assert float(corner.sigma_z) == pytest.approx(2000 / math.sqrt(3))
    assert float(corner.frozen_fraction) == 1.0
    assert float(corner.accuracy) == 1.0


def test_standard_errors_over_the_examples():
    d = dense("mlp")
    case = CASES["mlp"]
    measured = ls.class_probabilities(ls.Problem(case.model(), case.data()))
    participation = d.z.softmax(1).square().sum(1)
    stderr = float(participation.std()) / math.sqrt(len(participation))
    assert measured.participation.stderr == pytest.approx(stderr, rel=1e-10)
    # σ_z by the delta method: the error of σ_z² over 2 σ_z.
    variances = d.z.var(dim=1)
    stderr = float(variances.std()) / math.sqrt(len(variances)) / (2 * float(measured.sigma_z))
    assert measured.sigma_z.stderr == pytest.approx(stderr, rel=1e-10)
