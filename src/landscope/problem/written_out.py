"""Layers without a second derivative in torch, written out in operations that have one."""

from collections import Counter
from collections.abc import Callable, Mapping
from types import MethodType
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from landscope.problem.named_state import tied_names

EMBEDDINGS = (nn.Embedding, nn.EmbeddingBag)


def write_out(model: nn.Module) -> None:
    """Let every such layer of `model` compute the same in elementary operations.

    Gradients of embeddings become dense; their ``max_norm`` is for `shorten_rows`.

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
        if isinstance(module, EMBEDDINGS):
            module.sparse, module.max_norm = False, None
        if written := WRITTEN_OUT.get(type(module)):
            # Bound to the module, so that a copy of the model has its own.
            vars(module)["forward"] = MethodType(written, module)


@torch.no_grad()
def shorten_rows(model: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state with no row beyond its embedding's ``max_norm``, where a pass would shorten it.

    Parameters
    ----------
    model : nn.Module
        As the user has it.
    state : mapping of names to tensors
        Its parameters and buffers.
    """
    shortened = dict(state)
    for name, layer in model.named_modules(remove_duplicate=False):
        weight = f"{name}.weight" if name else "weight"
        if not isinstance(layer, EMBEDDINGS) or layer.max_norm is None or weight not in state:
            continue
        W = state[weight]
        norms = W.norm(p=layer.norm_type, dim=1, keepdim=True)
        # torch divides by a little more than the norm.
        shortened[weight] = torch.where(
            norms > layer.max_norm, W * (layer.max_norm / (norms + 1e-7)), W
        )
    return shortened


def padding_rows(model: nn.Module, tied: bool) -> dict[str, int]:
    """The rows to which an embedding gives no gradient, by the name of its weight.

    Parameters
    ----------
    model : nn.Module
        With or without embeddings.
    tied : bool
        Whether to name weights that another layer uses too, and gives a gradient.
    """
    holders = Counter(id(p) for m in model.modules() for p in m._parameters.values())
    first_names = tied_names(model)
    rows = {}
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Embedding) and layer.padding_idx is not None:
            weight = f"{name}.weight" if name else "weight"
            if tied or holders[id(layer.weight)] == 1:
                rows[first_names.get(weight, weight)] = layer.padding_idx
    return rows


def _hardsigmoid(self: nn.Hardsigmoid, x: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """min(max(x + 3, 0), 6)/6: torch's own backward pass cannot be differentiated."""
    return F.relu6(x + 3) / 6


def _embedding_bag(
    self: nn.EmbeddingBag,
    input: Int[Tensor, "*n"],
    offsets: Int[Tensor, " bags"] | None = None,
    per_sample_weights: Float[Tensor, "*n"] | None = None,
) -> Float[Tensor, "bags d"]:
    """Sum, mean or maximum of the rows of each bag; padding belongs to none."""
    if input.ndim == 2:
        num_bags, bag_of = len(input), torch.arange(len(input), device=input.device)
        bag_of = bag_of[:, None].expand_as(input).flatten()
    else:
        assert offsets is not None, "a flat input comes with offsets"
        num_bags = len(offsets) - bool(self.include_last_offset)
        places = torch.arange(len(input), device=input.device)
        bag_of = torch.searchsorted(offsets[:num_bags].contiguous(), places, right=True) - 1
    rows = F.embedding(input.flatten(), self.weight)
    counted = torch.ones_like(bag_of, dtype=torch.bool)
    if self.padding_idx is not None:
        counted = input.flatten() != self.padding_idx
    if self.mode == "max":
        return _largest_of_each_bag(rows, bag_of, counted, num_bags)
    shares = counted.to(rows.dtype)
    if per_sample_weights is not None:
        shares = shares * per_sample_weights.flatten()
    sums = rows.new_zeros(num_bags, rows.shape[1]).index_add(0, bag_of, rows * shares[:, None])
    if self.mode == "sum":
        return sums
    sizes = rows.new_zeros(num_bags).index_add(0, bag_of, counted.to(rows.dtype))
    return sums / sizes.clamp_min(1)[:, None]


def _largest_of_each_bag(
    rows: Float[Tensor, "n d"], bag_of: Int[Tensor, " n"], counted: Tensor, num_bags: int
) -> Float[Tensor, "bags d"]:
    """Zero for an empty bag; of equal entries the first, as torch's own backward pass has it."""
    in_bag = (bag_of == torch.arange(num_bags, device=rows.device)[:, None]) & counted
    masked = torch.where(in_bag[:, :, None], rows.detach(), -torch.inf)
    first = masked.argmax(1)
    return rows.gather(0, first) * in_bag.any(1)[:, None]


WRITTEN_OUT: dict[type[nn.Module], Callable[..., Any]] = {
    nn.Hardsigmoid: _hardsigmoid,
    nn.EmbeddingBag: _embedding_bag,
}
