import numpy as np
import pytest
import torch
from torch import nn

import landscope as ls
from landscope.linalg import diagonal

NUM_RUNS = 200


class OnWeightSpace:
    """A dense matrix that names the problem whose weights it acts on."""

    def __init__(self, matrix, problem):
        self.matrix, self.problem = matrix, problem
        self.shape, self.dtype, self.device = tuple(matrix.shape), matrix.dtype, matrix.device
        self.num_products = 0

    def __matmul__(self, vectors):
        self.num_products += 1 if vectors.ndim == 1 else vectors.shape[1]
        return self.matrix @ vectors


@pytest.fixture(name="hessian", scope="module")
def _hessian():
    generator = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 7), nn.Tanh(), nn.Linear(7, 4)).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    inputs = torch.randn(50, 6, generator=generator, dtype=torch.float64)
    labels = torch.randint(4, (50,), generator=generator)
    problem = ls.Problem(model, (inputs, labels))
    return OnWeightSpace(ls.Hessian(problem).to_dense(), problem)


def exact_blocks(hessian):
    """By the order and the sizes of the parameters."""
    entries = hessian.matrix.diagonal().split([42, 7, 28, 4])
    names = ["0.weight", "0.bias", "2.weight", "2.bias"]
    return {name: part.sum().item() for name, part in zip(names, entries, strict=True)}


@pytest.mark.usefixtures("unchecked")
def test_intervals_cover_each_block_and_errors_are_the_scatter(hessian):
    truth = exact_blocks(hessian)
    runs = [ls.block_traces(hessian, 30, seed) for seed in range(NUM_RUNS)]
    for name, value in truth.items():
        ends = [run[name].interval() for run in runs]
        assert 0.90 <= np.mean([low <= value <= high for low, high in ends]) <= 0.99
        scatter = np.std([float(run[name]) for run in runs])
        stated = np.sqrt(np.mean([run[name].stderr ** 2 for run in runs]))
        assert scatter == pytest.approx(stated, rel=0.25)
        mean = np.mean([float(run[name]) for run in runs])
        assert abs(mean - value) < 4 * stated / np.sqrt(NUM_RUNS)


def test_blocks_add_up_to_modules_and_to_the_trace(hessian):
    by_parameter = ls.block_traces(hessian, seed=3)
    by_module = ls.block_traces(hessian, seed=3, by="module")
    assert list(by_parameter) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert list(by_module) == ["0", "2"]
    for module, estimate in by_module.items():
        parts = [by_parameter[f"{module}.{kind}"] for kind in ("weight", "bias")]
        assert estimate == pytest.approx(sum(parts), rel=1e-12)
    total = sum(by_module.values())
    assert total == pytest.approx(diagonal(hessian, seed=3).values.sum().item(), rel=1e-12)
    low, high = ls.trace(hessian).interval(0.9999)
    error = sum(estimate.stderr for estimate in by_module.values())
    assert low - 4 * error < total < high + 4 * error


def test_small_blocks_are_exact_when_asked(hessian):
    hessian.num_products = 0
    found = ls.block_traces(hessian, 30, exact_up_to=7)
    assert hessian.num_products == 30 + 7 + 4
    truth = exact_blocks(hessian)
    for name in ("0.bias", "2.bias"):
        assert found[name].exact
        assert found[name] == pytest.approx(truth[name], rel=1e-12)
    assert not found["0.weight"].exact


def test_all_are_exact_where_the_probes_span_the_space(hessian):
    found = ls.block_traces(hessian, num_probes=81)
    assert all(estimate.exact for estimate in found.values())
    assert dict(found) == pytest.approx(exact_blocks(hessian), rel=1e-12)


def test_blocks_of_a_network_in_float32():
    generator = torch.Generator().manual_seed(1)
    model = nn.Sequential(nn.Conv2d(1, 3, 5), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 4, 5))
    data = (torch.randn(20, 1, 6, 6, generator=generator), torch.arange(20) % 5)
    G = ls.GaussNewton(ls.Problem(model, data))
    found = ls.block_traces(G, by="module")
    dense = G.to_dense().diagonal().double().split([78, 65])
    for estimate, part in zip(found.values(), dense, strict=True):
        low, high = estimate.interval(0.9999)
        assert low < part.sum().item() < high


def test_bad_arguments_are_refused(hessian):
    with pytest.raises(TypeError, match="operator is a Tensor; it must be one on weight space"):
        ls.block_traces(hessian.matrix)
    with pytest.raises(ValueError, match="by is 'layer'; it must be one of parameter, module"):
        ls.block_traces(hessian, by="layer")
    with pytest.raises(ValueError, match="num_probes is"):
        ls.block_traces(hessian, num_probes=1)
