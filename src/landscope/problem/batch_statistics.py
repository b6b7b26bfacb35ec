"""BatchNorm with the statistics of the batch: the loss of the whole batch, examples coupled."""

from types import MethodType

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def use_batch_statistics(model: nn.Module) -> None:
    """Let every BatchNorm layer of `model` normalise with the batch, in either mode.

    Running statistics are neither used nor changed.

    Examples
    --------
    >>> layer = nn.BatchNorm1d(1, eps=0.0).eval()
    >>> use_batch_statistics(layer)
    >>> layer(torch.tensor([[1.0], [3.0]])), layer.running_mean
    (tensor([[-1.],
            [ 1.]], grad_fn=<...>), tensor([0.]))
    """
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            # Bound to the module, so that a copy of the model has its own.
            vars(module)["forward"] = MethodType(_normalized, module)


def _normalized(self: _BatchNorm, x: Float[Tensor, "n C *places"]) -> Float[Tensor, "n C *places"]:
    """(x − mean)/√(var + ε) over examples and places, times weight plus bias.

    Written out, since derivatives of ``batch_norm`` in training mode are silently wrong in some
    modes of torch.
    """
    over = [dim for dim in range(x.ndim) if dim != 1]
    centred = x - x.mean(over, keepdim=True)
    normal = centred * torch.rsqrt(centred.square().mean(over, keepdim=True) + self.eps)
    if self.weight is None:
        return normal
    per_channel = (-1, *[1] * (x.ndim - 2))
    return normal * self.weight.view(per_channel) + self.bias.view(per_channel)
