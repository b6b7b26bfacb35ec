"""What the tests of all trainers share: data, and cheap measurements."""

import torch
import xarray as xr

INPUTS = torch.randn(24, 4, generator=torch.Generator().manual_seed(1))
TARGETS = torch.arange(24) % 3


def loss_and_length(problem):
    """Stand for `measure`: quick, and careless about the global random state."""
    torch.manual_seed(0)
    length = float(problem.parameters_vector().double().norm())
    return xr.Dataset({"loss": float(problem.loss()), "weight_norm": length})


def quick(problem):
    """Bring a made-up curvature along, so that stability takes no product of the Hessian."""
    return loss_and_length(problem).assign(hessian_eigenvalues=("rank", [1.0]))


def assert_the_same_bits(one, other):
    """Compare parameters and buffers."""
    assert one.state_dict().keys() == other.state_dict().keys()
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


class Log:
    """A tracker that remembers."""

    def __init__(self):
        self.logged, self.closed = {}, 0

    def log(self, step, snapshot):
        self.logged[step] = float(snapshot.loss)

    def close(self):
        self.closed += 1
