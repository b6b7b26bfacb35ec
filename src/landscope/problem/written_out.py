"""Layers without a second derivative in torch, written out in operations that have one."""

from types import MethodType

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import relu6


def write_out(model: nn.Module) -> None:
    """Let every such layer of `model` compute the same in elementary operations.

    Examples
    --------
    >>> import torch
    >>> layer, x = nn.Hardsigmoid(), torch.tensor([-4.0, 0.0, 1.5])
    >>> before = layer(x)
    >>> write_out(layer)
    >>> bool(torch.equal(layer(x), before))
    True
    """
    for module in model.modules():
        if type(module) is nn.Hardsigmoid:
            # Bound to the module, so that a copy of the model has its own.
            vars(module)["forward"] = MethodType(_hardsigmoid, module)


def _hardsigmoid(self: nn.Hardsigmoid, x: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """min(max(x + 3, 0), 6)/6: torch's own backward pass cannot be differentiated."""
    return relu6(x + 3) / 6
