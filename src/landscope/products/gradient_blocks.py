"""Logit gradients restricted to one layer, in the form in which the layer gives them.

A block stands for ∂z_k^μ/∂θ, (T, K, p): T loss terms μ, K cotangents k, p parameters θ in units of
equal width (the rows of a weight matrix, its bias included). Every kind of block gives its rows,
their inner products within each term, and their weighted sums over groups of terms.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int64
from torch import Tensor

Groups = Sequence[slice | Tensor]
"""Which terms belong to each group: places along the terms of a chunk."""


@runtime_checkable
class GradientBlock(Protocol):
    """∂z_k^μ/∂θ for the terms of one chunk and the parameters θ of one layer."""

    def rows(self) -> Float[Tensor, "T K p"]:
        """The gradients themselves."""

    def gram(self) -> Float[Tensor, "T K K"]:
        """∂z_k^μ/∂θ · ∂z_l^μ/∂θ, within each term."""

    def sums(self, weights: Float[Tensor, "s T K"], groups: Groups) -> list[Tensor]:
        """Σ_{μ in group} w_k^μ ∂z_k^μ/∂θ for each group, of shape (s, K, p)."""

    def units(self, chosen: slice) -> "GradientBlock":
        """The block of some of its units."""

    def condensed(self) -> "GradientBlock":
        """The same in whichever form Gram and sums cost least."""

    def numbers_per_term(self, num_cotangents: int) -> int:
        """How many numbers a term takes, condensed, with that many cotangents."""


@dataclass(frozen=True)
class Rows:
    """Explicit gradients.

    Attributes
    ----------
    values : Tensor, shape (T, K, p)
    width : int
        Parameters per unit.
    """

    values: Float[Tensor, "T K p"]
    width: int = 1

    def rows(self) -> Float[Tensor, "T K p"]:
        """The gradients themselves."""
        return self.values

    def gram(self) -> Float[Tensor, "T K K"]:
        """Inner products within each term."""
        return self.values @ self.values.mT

    def sums(self, weights: Float[Tensor, "s T K"], groups: Groups) -> list[Tensor]:
        """Weighted sums over each group."""
        return [
            torch.einsum("stk,tkp->skp", weights[:, group], self.values[group]) for group in groups
        ]

    def units(self, chosen: slice) -> "Rows":
        """Some of the columns."""
        columns = slice(chosen.start * self.width, chosen.stop * self.width)
        return Rows(self.values[:, :, columns], self.width)

    def condensed(self) -> "Rows":
        """Itself."""
        return self

    def numbers_per_term(self, num_cotangents: int) -> int:
        """Its rows."""
        return num_cotangents * self.values.shape[2]


@dataclass(frozen=True)
class OuterProducts:
    """Gradients of a matrix that meets each input at several places: Σ_i g_k^μ(i) x^μ(i)ᵀ.

    Linear layers (i: positions of a sequence, or one), and convolutions (i: places of the kernel,
    x: the patch there; q: the groups of channels).

    Attributes
    ----------
    inputs : Tensor, shape (T, q, n, i)
    gradients : Tensor, shape (T, K, q, o, i)
    """

    inputs: Float[Tensor, "T q n i"]
    gradients: Float[Tensor, "T K q o i"]

    def rows(self) -> Float[Tensor, "T K p"]:
        """Σ_i g_k(i) x(i)ᵀ, one matrix product per term."""
        K, o = self.gradients.shape[1], self.gradients.shape[3]
        stacked = self.gradients.transpose(1, 2).flatten(2, 3)  # (T, q, K·o, i)
        products = stacked @ self.inputs.mT
        return products.unflatten(2, (K, o)).transpose(1, 2).flatten(2)

    def gram(self) -> Float[Tensor, "T K K"]:
        """Σ_ij (x(i)·x(j)) (g_k(i)·g_l(j)): no row is formed."""
        among_inputs = self.inputs.mT @ self.inputs  # (T, q, i, i)
        g = self.gradients.transpose(1, 2)
        carried = (g.flatten(2, 3) @ among_inputs).view_as(g)
        return torch.einsum("tqkoi,tqloi->tkl", carried, g)

    def sums(self, weights: Float[Tensor, "s T K"], groups: Groups) -> list[Tensor]:
        """Weighted sums over each group, one matrix product over its terms and places."""
        found = []
        for group in groups:
            weighted = weights[:, group, :, None, None, None] * self.gradients[group]
            products = torch.einsum("stkqoi,tqni->skqon", weighted, self.inputs[group])
            found.append(products.flatten(2))
        return found

    def units(self, chosen: slice) -> "GradientBlock":
        """Some of the outputs."""
        if self.inputs.shape[1] > 1:
            return Rows(self.rows()).units(chosen)
        return OuterProducts(self.inputs, self.gradients[:, :, :, chosen])

    def condensed(self) -> "GradientBlock":
        """Rows where the positions are so many that they cost less."""
        n, i = self.inputs.shape[2:]
        K, _, o = self.gradients.shape[1:4]
        # Multiplications per term for Gram and two sums; passing through a row costs like eight.
        by_places = i * i * (n + K * o) + K * K * o * i + 2 * K * o * n * i
        by_rows = K * o * n * (i + K + 2 * 8)
        return self if by_places < by_rows else Rows(self.rows(), width=n)

    def numbers_per_term(self, num_cotangents: int) -> int:
        """Its gradients, and either its inputs or, with several places, rows."""
        _, q, n, i = self.inputs.shape
        o = self.gradients.shape[3]
        rows = num_cotangents * o * n if i > 1 else 0
        return q * (num_cotangents * o * i + max(n * i, rows))


@dataclass(frozen=True)
class Lookups:
    """Gradients of a table, whose rows are looked up: Σ_i e(token^μ(i)) g_k^μ(i)ᵀ, transposed.

    Attributes
    ----------
    tokens : Tensor, shape (T, i)
    gradients : Tensor, shape (T, K, i, d)
        Zero where the token is padding.
    num_entries : int
        v, the rows of the table; units are its columns.
    """

    tokens: Int64[Tensor, "T i"]
    gradients: Float[Tensor, "T K i d"]
    num_entries: int

    def rows(self) -> Float[Tensor, "T K p"]:
        """The gradients themselves, mostly zero."""
        T, K, _, d = self.gradients.shape
        table = self.gradients.new_zeros(T, K, self.num_entries, d)
        place = self.tokens[:, None, :, None].expand_as(self.gradients)
        return table.scatter_add_(2, place, self.gradients).mT.flatten(2)

    def gram(self) -> Float[Tensor, "T K K"]:
        """Σ_ij [token(i) = token(j)] g_k(i)·g_l(j)."""
        same = (self.tokens[:, :, None] == self.tokens[:, None, :]).to(self.gradients.dtype)
        carried = same[:, None] @ self.gradients
        return torch.einsum("tkid,tlid->tkl", carried, self.gradients)

    def sums(self, weights: Float[Tensor, "s T K"], groups: Groups) -> list[Tensor]:
        """Weighted sums over each group, added up in the table."""
        K, _, d = self.gradients.shape[1:]
        found = []
        for group in groups:
            weighted = weights[:, group, :, None, None] * self.gradients[group]  # (s, t, K, i, d)
            flat = weighted.transpose(1, 2).flatten(2, 3)
            table = flat.new_zeros(len(weights), K, self.num_entries, d)
            table.index_add_(2, self.tokens[group].flatten(), flat)
            found.append(table.mT.flatten(2))
        return found

    def units(self, chosen: slice) -> "Lookups":
        """Some of the columns of the table."""
        return Lookups(self.tokens, self.gradients[..., chosen], self.num_entries)

    def condensed(self) -> "Lookups":
        """Itself."""
        return self

    def numbers_per_term(self, num_cotangents: int) -> int:
        """Tokens and gradients."""
        return self.tokens.shape[1] + num_cotangents * self.gradients[0, 0].numel()
