"""The normalisations a network of the zoo can be built with."""

import math

from torch import nn

from landscope.arguments import choice

NORMALIZATIONS = ("none", "batch", "layer", "group")
_LARGEST_NUM_GROUPS = 8


def make_normalization(name: str, num_channels: int, *, spatial: bool) -> nn.Module:
    """Return a new module that normalises `num_channels` channels.

    Parameters
    ----------
    name : {"none", "batch", "layer", "group"}
        "none" is the identity. "batch" is BatchNorm, whose statistics are empty at
        initialisation: pass data through the network in training mode, then use it in eval mode.
        "layer" is LayerNorm over the features of a linear layer, and GroupNorm with a single group
        (all channels and all positions of one image together) after a convolution.
        "group" is GroupNorm with the largest number of groups up to 8 that divides
        `num_channels`.
    num_channels : int
        Channels of a convolution, or features of a linear layer.
    spatial : bool
        True after a convolution: inputs are (N, channels, height, width), else (N, features).

    Returns
    -------
    nn.Module

    Raises
    ------
    ValueError
        If no normalisation has this name.

    Examples
    --------
    >>> make_normalization("layer", 16, spatial=True)
    GroupNorm(1, 16, ...)
    """
    match choice("normalization", name, NORMALIZATIONS):
        case "none":
            return nn.Identity()
        case "batch":
            return nn.BatchNorm2d(num_channels) if spatial else nn.BatchNorm1d(num_channels)
        case "layer":
            return nn.GroupNorm(1, num_channels) if spatial else nn.LayerNorm(num_channels)
        case "group":
            return nn.GroupNorm(_num_groups(num_channels), num_channels)
    raise AssertionError(f"{name} is listed and not made")


def _num_groups(num_channels: int) -> int:
    return max(n for n in range(1, _LARGEST_NUM_GROUPS + 1) if math.gcd(n, num_channels) == n)
