"""Which parameters span weight space, and the map between them and one flat vector."""

import math
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from landscope.arguments import shown

Selection = Iterable[str] | Callable[[str], bool] | None


def select_parameters(parameters: Mapping[str, Tensor], params: Selection) -> list[str]:
    """Names of the parameters that are measured, in the model's order.

    Parameters
    ----------
    parameters : mapping of names to tensors
        All parameters of the model.
    params : names, predicate or None
        Names of parameters or of modules (all that lies below them), in which ``*``, ``?`` and
        ``[...]`` match as in file names, a ``*`` dots as well; or a predicate on the name. None
        takes every parameter that requires a gradient.

    Raises
    ------
    ValueError
        When a name matches nothing, or nothing is selected.

    Examples
    --------
    >>> import torch
    >>> names = ["h.0.attn.q", "h.0.mlp.w", "h.1.attn.q", "head"]
    >>> select_parameters(dict.fromkeys(names, torch.ones(1)), "h.*.attn")
    ['h.0.attn.q', 'h.1.attn.q']
    """
    if params is None:
        chosen = [name for name, value in parameters.items() if value.requires_grad]
    elif callable(params):
        chosen = [name for name in parameters if params(name)]
    else:
        wanted = [params] if isinstance(params, str) else _names(params)
        for name in wanted:
            if not any(_lies_in(parameter, name) for parameter in parameters):
                raise ValueError(
                    f"params names {name!r}, which is neither a parameter nor a module with "
                    f"parameters of the model; its parameters are {_listing(parameters)}"
                )
        chosen = [p for p in parameters if any(_lies_in(p, name) for name in wanted)]
    if not chosen:
        raise ValueError(
            "params selects no parameter (by default those that require a gradient); the model's "
            f"parameters are {_listing(parameters)}"
        )
    return chosen


class Layout:
    """Where each named parameter lies in the flat vector of weight space.

    Parameters
    ----------
    shapes : mapping of names to shapes
        In the order in which the parameters are laid out.
    """

    def __init__(self, shapes: Mapping[str, torch.Size]) -> None:
        self.shapes = dict(shapes)
        self.sizes = [math.prod(shape) for shape in self.shapes.values()]
        self.size = sum(self.sizes)

    def flatten(self, named: Mapping[str, Tensor]) -> Float[Tensor, " D"]:
        """One vector from named tensors.

        Raises
        ------
        ValueError
            When a name is missing or unknown, or a shape differs.
        """
        if set(named) != set(self.shapes):
            raise ValueError(
                f"named holds {_listing(named)}; accepted are exactly {_listing(self.shapes)}"
            )
        for name, shape in self.shapes.items():
            if named[name].shape != shape:
                raise ValueError(
                    f"named[{name!r}] has shape {tuple(named[name].shape)}; it must be "
                    f"{tuple(shape)}"
                )
        return torch.cat([named[name].reshape(-1) for name in self.shapes])

    def unflatten(self, vector: Float[Tensor, " D"]) -> dict[str, Tensor]:
        """Named tensors, views into the vector."""
        return {
            name: piece.view(shape)
            for (name, shape), piece in zip(
                self.shapes.items(), vector.split(self.sizes), strict=True
            )
        }

    def name_of(self, index: int) -> str:
        """Name of the parameter that holds this entry of the flat vector."""
        for name, size in zip(self.shapes, self.sizes, strict=True):
            if index < size:
                return name
            index -= size
        raise IndexError(f"index lies beyond the {self.size} entries of the vector")


def _names(params: Any) -> list[str]:
    names = list(params) if isinstance(params, Iterable) and not isinstance(params, bytes) else []
    if not names or not all(isinstance(name, str) for name in names):
        raise TypeError(
            f"params is {shown(params)}; it must hold names of parameters or modules, or be a "
            "function of a parameter's name"
        )
    return names


def _lies_in(parameter: str, name: str) -> bool:
    return fnmatchcase(parameter, name) or fnmatchcase(parameter, f"{name}.*")


def _listing(named: Mapping[str, object], most: int = 8) -> str:
    names = list(named)
    shown = ", ".join(names[:most])
    return f"{shown}, … ({len(names)} in all)" if len(names) > most else shown
