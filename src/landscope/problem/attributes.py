"""What a module keeps in plain attributes, put back to what it was before a pass.

Parameters and buffers are given to each pass anew. What a model computes from them and keeps, such
as a product of weights that is cached at the first call, would be that of other weights.
"""

from typing import Any

from torch import nn

CONTAINERS = (dict, list, set)


class Attributes:
    """The attributes of all modules of a model, and what plain containers among them hold.

    Parameters
    ----------
    model : nn.Module
        As it is now.

    Examples
    --------
    >>> layer = nn.Linear(2, 2)
    >>> before = Attributes(layer)
    >>> layer.kept = layer.weight**2
    >>> before.have_changed()
    True
    >>> before.restore()
    >>> hasattr(layer, "kept")
    False
    """

    def __init__(self, model: nn.Module) -> None:
        self._held = [(vars(module), dict(vars(module))) for module in model.modules()]
        self._contents = [
            (value, value.copy())
            for _, held in self._held
            for value in held.values()
            if type(value) in CONTAINERS
        ]

    def have_changed(self) -> bool:
        """Whether an attribute is another object than before, or a container holds other ones."""
        return any(
            _identities(now) != _identities(before)
            for now, before in (*self._held, *self._contents)
        )

    def restore(self) -> None:
        """Put back what was there."""
        for now, before in (*self._held, *self._contents):
            now.clear()
            now.extend(before) if isinstance(now, list) else now.update(before)


def _identities(container: Any) -> Any:
    if isinstance(container, dict):
        return {key: id(value) for key, value in container.items()}
    return list(map(id, container)) if isinstance(container, list) else set(map(id, container))
