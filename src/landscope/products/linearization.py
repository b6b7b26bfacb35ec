"""The tangent map of a function at one point, its primal pass done once and kept."""

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

Tangent = Callable[[Tensor], Tensor]


def linearize(function: Callable[[Tensor], Tensor], w: Tensor) -> tuple[Tensor, Tangent, int]:
    """Value, tangent map v ↦ f′(w) v, and the bytes that the map keeps."""
    with warnings.catch_warnings():
        # torch warns about a graph attribute that constant folding leaves without a node.
        warnings.simplefilter("ignore")
        value, tangent = torch.func.linearize(function, w)
        tangent(torch.zeros_like(w))  # the primal pass runs, and is kept, at the first product
    return value, tangent, _bytes_kept(tangent)


def _bytes_kept(tangent: Tangent) -> int:
    """Bytes of the folded constants in the closure of torch's tangent map."""
    kept: dict[int, int] = {}
    for cell in tangent.__closure__ or ():
        content = cell.cell_contents
        if isinstance(content, torch.nn.Module):
            for tensor in (*content.parameters(), *content.buffers()):
                storage = tensor.untyped_storage()
                kept[storage.data_ptr()] = storage.nbytes()
    return sum(kept.values())
