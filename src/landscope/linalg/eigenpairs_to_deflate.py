"""Eigenpairs that random probes are to be orthogonal to: given, searched or from a checkpoint."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from landscope import arguments as check
from landscope.linalg.checkpoint import Checkpoint
from landscope.linalg.eigenpairs import Eigenpairs
from landscope.linalg.eigsh import eigsh
from landscope.linalg.normalised_product import NormalisedProduct, unit_near
from landscope.linalg.space import VectorSpace


def eigenpairs_to_deflate(
    A: Any,
    space: VectorSpace,
    deflate: int | str | Eigenpairs,
    seed: int,
    storage: str | Path,
    file: Checkpoint | None,
) -> Eigenpairs:
    """Eigenpairs to deflate, found or given; none where Ritz values are to be settled later."""
    if isinstance(deflate, Eigenpairs):
        if len(deflate.vectors) != space.local_dim:
            raise ValueError(
                f"deflate has vectors of {len(deflate.vectors)} entries; A acts on those of "
                f"{space.local_dim}"
            )
        return deflate
    count = 0 if isinstance(deflate, str) and deflate == "converged" else check.number_in(deflate)
    if not isinstance(count, int):
        raise ValueError(
            f"deflate is {check.shown(deflate)}; it must be a number of eigenpairs, Eigenpairs or "
            "'converged'"
        )
    if count:
        check.whole("deflate", count, 0, space.dim)
        if file and file.vectors:
            return _recalled_eigenpairs(A, file)
        return eigsh(A, count, "LM", tol=1e-5, seed=seed, storage=storage, checkpoint=file)
    none = torch.zeros(0, dtype=torch.float64)
    return Eigenpairs(none, space.basis(0).block(0, 0), none, converged=True, num_products=0)


def eigenpair_tensors(pairs: Eigenpairs) -> dict[str, Tensor]:
    """Deflated eigenpairs for a checkpoint, but for the vectors."""
    return {
        "values": pairs.values,
        "residuals": pairs.residuals,
        "converged": torch.tensor(pairs.converged),
        "num_products": torch.tensor(pairs.num_products),
    }


def _recalled_eigenpairs(A: Any, file: Checkpoint) -> Eigenpairs:
    """Deflated eigenpairs of a checkpoint, after a product with the mean of the vectors."""
    state, product = file.state, NormalisedProduct(A)
    values, residuals = state["values"], state["residuals"]
    product.unit = unit = unit_near(values.abs().max().item(), A.dtype)
    vectors = file.vectors["eigenvectors"].to(A.device)
    mean = torch.full((len(values), 1), len(values) ** -0.5, dtype=torch.float64)
    rounding = 1000 * torch.finfo(vectors.dtype).eps * (values.abs().max() / unit)
    file.compare_product(
        product,
        vectors @ mean.to(vectors),
        vectors @ (values[:, None] / unit * mean).to(vectors),
        (2 * (residuals / unit).norm() + rounding).item(),
    )
    count = int(state["num_products"]) + product.count
    return Eigenpairs(values, vectors, residuals, bool(state["converged"]), count)
