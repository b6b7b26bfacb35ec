"""Weights by name, fitted to a model: those of another architecture are refused."""

from collections.abc import Collection, Mapping

from torch import Tensor, nn


def fitted(
    named: Mapping[str, Tensor],
    expected: Mapping[str, Tensor],
    optional: Collection[str] = (),
    aliases: Mapping[str, str] | None = None,
) -> dict[str, Tensor]:
    """The tensors of `expected`, by name and in its order, with the values of `named`.

    Parameters
    ----------
    named : mapping of names to tensors
        Parameters and buffers, such as a ``state_dict``.
    expected : mapping of names to tensors
        Those of the model.
    optional : collection of str
        Names that may be missing: they keep the values of `expected`.
    aliases : mapping of names to names, optional
        Other names under which `named` may have a tensor of `expected` (tied parameters).

    Raises
    ------
    ValueError
        Naming the first tensor that is missing, unknown or of another shape.

    Examples
    --------
    >>> import torch
    >>> model = {"weight": torch.zeros(2), "mean": torch.zeros(1)}
    >>> fitted({"weight": torch.ones(2)}, model, optional={"mean"})
    {'weight': tensor([1., 1.]), 'mean': tensor([0.])}
    """
    aliases = aliases or {}
    given = {aliases.get(name, name): value for name, value in named.items()}
    for name in named:
        if aliases.get(name, name) not in expected:
            raise ValueError(
                f"where is of another architecture: it has {name!r}, which the model has not"
            )
    for name, tensor in expected.items():
        if name not in given and name not in optional:
            raise ValueError(
                f"where is of another architecture: it lacks {name!r}, which the model has"
            )
        if name in given and given[name].shape != tensor.shape:
            raise ValueError(
                f"where is of another architecture: {name!r} has shape "
                f"{tuple(given[name].shape)} there and {tuple(tensor.shape)} in the model"
            )
    return {name: given.get(name, tensor) for name, tensor in expected.items()}


def tied_names(module: nn.Module) -> dict[str, str]:
    """Second names of parameters and buffers that a module has twice, with their first ones."""
    first: dict[int, str] = {}
    every = [
        *module.named_parameters(remove_duplicate=False),
        *module.named_buffers(remove_duplicate=False),
    ]
    for name, tensor in every:
        first.setdefault(id(tensor), name)
    return {name: first[id(tensor)] for name, tensor in every if first[id(tensor)] != name}
