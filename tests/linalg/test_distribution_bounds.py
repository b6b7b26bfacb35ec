import numpy as np
import pytest
import torch

from landscope.linalg.distribution_bounds import distribution_bounds
from landscope.linalg.product import CountedProduct
from landscope.linalg.quadrature import lanczos_quadratures

from .conftest import DiagonalOperator

SPECTRA = {
    "flat": np.linspace(-1, 2, 80),
    "power law": np.arange(1, 81.0) ** -1.5,
    "low rank": np.concatenate([[9.0, 7, 5], np.zeros(77)]),
}


def probe_of(values, num_steps):
    """A probe's measure on the eigenvalues, and what Lanczos knows of it."""
    start = torch.randn(1, len(values), dtype=torch.float64).T
    (found,) = lanczos_quadratures(
        CountedProduct(DiagonalOperator(values)), start, num_steps, len(values)
    )
    return (start[:, 0] / start.norm()) ** 2, found


@pytest.mark.parametrize("spectrum", SPECTRA)
@pytest.mark.parametrize("num_steps", [1, 2, 6, 15, 80])
def test_bounds_hold_and_are_those_of_a_gauss_radau_quadrature(spectrum, num_steps):
    torch.manual_seed(num_steps)
    values = torch.as_tensor(SPECTRA[spectrum])
    measure, found = probe_of(values, num_steps)
    x = torch.linspace(-1.2137, 9.47, 41, dtype=torch.float64)
    rows = (found.nodes[None], found.weights[None], found.border[None])
    low, high = (bound[0] for bound in distribution_bounds(x, *rows))
    up_to = ((values <= x[:, None]) * measure).sum(1)
    assert (low <= up_to + 1e-12).all()
    assert (up_to <= high + 1e-12).all()
    slack = 2e-3 * (high - low).max().item() + 1e-9
    assert (low.diff() >= -slack).all()
    for i, point in enumerate(x):
        omega = point - (found.border**2 / (point - found.nodes)).sum()
        bordered = torch.diag(torch.cat([found.nodes, omega[None]]))
        bordered[-1, :-1] = bordered[:-1, -1] = found.border
        _, vectors = torch.linalg.eigh(bordered)
        weights = (found.weights.sqrt() @ vectors[:-1]) ** 2
        left = int((found.nodes < point).sum())
        assert low[i].item() == pytest.approx(weights[:left].sum().item(), abs=slack)
        assert high[i].item() == pytest.approx(weights[: left + 1].sum().item(), abs=slack)


def test_bounds_at_a_node_are_the_steps_of_gauss():
    torch.manual_seed(0)
    _, found = probe_of(torch.linspace(-1, 2, 80, dtype=torch.float64), 9)
    rows = (found.nodes[None], found.weights[None], found.border[None])
    low, high = (bound[0] for bound in distribution_bounds(found.nodes, *rows))
    slack = 2e-3 * found.weights.max().item()
    torch.testing.assert_close(high, found.weights.cumsum(0), rtol=0, atol=slack)
    torch.testing.assert_close(high - low, found.weights, rtol=0, atol=slack)


@pytest.mark.parametrize("side", [-1, 1])
def test_bounds_on_either_side_of_a_node_go_on_to_it(side):
    """Nearer than rounding moves a node, too: both bounds are those of a point of that side."""
    torch.manual_seed(0)
    _, found = probe_of(torch.linspace(-1, 2, 80, dtype=torch.float64), 9)
    rows = (found.nodes[None], found.weights[None], found.border[None])
    near, nearest = (
        distribution_bounds(found.nodes + side * distance, *rows) for distance in (1e-9, 4e-15)
    )
    slack = 2e-3 * found.weights.max().item()
    for bound, expected in zip(nearest, near, strict=True):
        torch.testing.assert_close(bound, expected, rtol=0, atol=slack)


@pytest.mark.parametrize("scale", [1e-200, 1e-30, 1e100])
def test_the_unit_does_not_matter(scale):
    torch.manual_seed(0)
    _, found = probe_of(torch.linspace(-1, 2, 80, dtype=torch.float64), 9)
    x = torch.linspace(-2, 3, 30, dtype=torch.float64)
    plain = distribution_bounds(x, found.nodes[None], found.weights[None], found.border[None])
    scaled = distribution_bounds(
        x * scale, found.nodes[None] * scale, found.weights[None], found.border[None] * scale
    )
    for a, b in zip(plain, scaled, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-7)
