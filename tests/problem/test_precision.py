"""Float32 in full while measuring; what the user set, before and after."""

import pytest
import torch
from torch import nn

import landscope as ls
from landscope.problem.precision import full_float32

BACKENDS = (torch.backends.cudnn.conv, torch.backends.cudnn.rnn, torch.backends.cuda.matmul)


def precisions():
    return [backend.fp32_precision for backend in BACKENDS]


@pytest.fixture
def with_tf32(monkeypatch):
    """As on a GPU with its defaults, and TF32 matrix products besides."""
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    before = precisions()
    for backend in BACKENDS:
        backend.fp32_precision = "tf32"
    yield
    for backend, precision in zip(BACKENDS, before, strict=True):
        backend.fp32_precision = precision


@pytest.mark.usefixtures("with_tf32")
def test_settings_come_back_also_after_an_error():
    class FailedError(Exception):
        pass

    @full_float32()
    def fail():
        assert precisions() == ["ieee"] * 3
        raise FailedError

    with pytest.raises(FailedError):
        fail()
    assert precisions() == ["tf32"] * 3


@pytest.mark.usefixtures("with_tf32")
def test_everything_measured_is_measured_in_full():
    seen = []

    class Watched(nn.Linear):
        def forward(self, x):
            seen.append(precisions())
            return super().forward(x)

    model = nn.Sequential(Watched(3, 4), nn.Tanh(), nn.Linear(4, 2))
    problem = ls.Problem(model, (torch.randn(6, 3), torch.arange(6) % 2))
    measurements = {
        "gradient": problem.gradient,
        "loss": problem.loss,
        "logits": problem.logits,
        "product": lambda: ls.Hessian(problem) @ problem.parameters_vector(),
        "block": lambda: ls.GaussNewton(problem) @ torch.ones(problem.num_params, 2),
        "clustering": lambda: ls.logit_clustering(problem),
        "spectrum": lambda: ls.gram_spectrum(problem),
    }
    for name, measure in measurements.items():
        seen.clear()
        measure()
        assert seen, name
        assert all(one == ["ieee"] * 3 for one in seen), name
    assert precisions() == ["tf32"] * 3


def test_no_gpu_no_change():
    before = precisions()
    with full_float32():
        assert precisions() == before
