"""The elementwise nonlinearities a network of the zoo can be built with."""

from collections.abc import Callable

from torch import nn

from landscope.arguments import choice

NONLINEARITIES: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "identity": nn.Identity,
}


def make_nonlinearity(name: str) -> nn.Module:
    """Return a new module for the nonlinearity called `name`.

    Parameters
    ----------
    name : str
        A key of `NONLINEARITIES`.

    Returns
    -------
    nn.Module

    Raises
    ------
    ValueError
        If no nonlinearity has this name.

    Examples
    --------
    >>> make_nonlinearity("tanh")
    Tanh()
    """
    return NONLINEARITIES[choice("nonlinearity", name, NONLINEARITIES)]()
