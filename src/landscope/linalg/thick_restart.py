"""Thick-restart Lanczos: the search for eigenpairs, and for what it may have missed."""

import math
from dataclasses import replace

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from landscope.linalg.checkpoint import Checkpoint
from landscope.linalg.eigenpairs import Eigenpairs, rayleigh_ritz
from landscope.linalg.ends import Margins, Which, by_preference, margins, span
from landscope.linalg.krylov import KrylovSubspace
from landscope.linalg.missed import RARE_SHARE, RARER_SHARE, Probe
from landscope.linalg.product import CountedProduct


class ThickRestart:
    """One search for eigenpairs: what was asked for, and the Ritz pairs at hand.

    ``values``, ``rotation`` and ``residuals`` are those of the current Krylov space, from the most
    to the least wanted. ``isolate`` asks to rule out copies of the last wanted eigenvalue too.
    """

    values: Float64[Tensor, " n"]
    rotation: Float64[Tensor, "n n"]
    residuals: Float64[Tensor, " n"]

    def __init__(
        self,
        product: CountedProduct,
        k: int,
        which: Which,
        tol: float,
        basis_size: int,
        max_products: int,
        seed: int,
        checkpoint: Checkpoint | None,
        isolate: bool = False,
    ):
        self.product = product
        self.k = k
        self.which: Which = which
        self.tol = tol
        self.basis_size = basis_size
        self.max_products = max_products
        self.generator = torch.Generator().manual_seed(seed)
        self.checkpoint = checkpoint
        self._rounding = torch.finfo(product.space.dtype).eps
        self.largest = 0.0  # the largest magnitude of a Ritz value so far
        self.probe: Probe | None = None
        self.none_missed = False
        self.isolate = isolate
        self.drawn = True  # whether the start is random
        self.comparisons = 0  # products by which resumed searches compared A
        self.ruled_out = Margins(-math.inf, math.inf)  # no eigenvalue beyond was missed

    def run(self, start: Float[Tensor, "D j"] | None) -> Eigenpairs:
        """Iterate until the wanted pairs have converged and no copy of them is missed."""
        krylov = self._krylov()
        if self.checkpoint and self.checkpoint.restore(krylov):
            self._recall(self.checkpoint.state)
            self.comparisons += 1
            self._project(krylov)
        else:
            self.drawn = start is None
            self._begin(krylov, self._fresh() if start is None else start)
        self._iterate(krylov)
        pairs, agrees = self._recurred(krylov)
        del krylov  # its basis, before another one is made
        pairs = pairs if agrees else self._refined(pairs)
        return replace(
            pairs,
            converged=pairs.converged and self.none_missed,
            num_products=self.product.count,
            rest=self.ruled_out,
        )

    def reached(self, residuals: Float64[Tensor, " k"]) -> bool:
        """Whether residuals are within the tolerance."""
        return bool(residuals.max() <= self.tol * self.largest)

    def _krylov(self) -> KrylovSubspace:
        return KrylovSubspace(self.product, self.basis_size + self.k + 2)

    def _begin(self, krylov: KrylovSubspace, start: Float[Tensor, "D j"]) -> None:
        """Apply A to the mean of the start vectors, and to all of them where that pays.

        The part of its image outside of their span is about as long as their residuals. Vectors
        that have almost converged gain most from a product each; others, from the Krylov space of
        their mean, which needs no product for each of them before it takes up anything new.
        """
        krylov.add(start)
        others = krylov.pending - 1
        if others:
            krylov.turn(torch.full((others + 1, 1), (others + 1) ** -0.5, dtype=torch.float64))
        krylov.expand(1)
        self._project(krylov)
        outside = krylov.coupling[others:].norm()
        if others and outside <= 2 * self.tol * self.largest and self._affords(others):
            krylov.expand(others)
            self._project(krylov)
        elif others:
            krylov.turn(krylov.coupling / krylov.coupling.norm())
            krylov.restart(torch.eye(1, dtype=torch.float64), num_pending=1)

    def _iterate(self, krylov: KrylovSubspace) -> None:
        """Expand until the wanted pairs have converged and none seems to be missed."""
        while not krylov.complete and self._affords(1):
            if self.checkpoint:
                self.checkpoint.state = self._state()
                self.checkpoint.save_if_due(krylov)
            direction = self._direction(krylov)
            if direction is None:
                return
            if krylov.pending > 1:
                turned = krylov.turn(direction[:, None])
                if self.probe:
                    self.probe.turn(turned)
            if krylov.basis.size >= self.basis_size + self.k:
                self._restart(krylov)
            krylov.expand(1)
            if self.probe:
                self.probe.grow(krylov.basis.size)
            self._project(krylov)
        if krylov.complete:
            self.none_missed, self.ruled_out = True, span(self.values[self.k :])

    def _direction(self, krylov: KrylovSubspace) -> Float64[Tensor, " w"] | None:
        """Where in W to apply A next; None where nothing is left to do."""
        if krylov.size < self.k:
            if krylov.pending == 0:
                krylov.add(self._fresh())
            return torch.eye(krylov.pending, dtype=torch.float64)[0]
        unconverged = self.residuals > max(self.tol, self._rounding) * self.largest
        if not self.none_missed:
            direction = self._probing_direction(krylov, unconverged)
            if direction is not None:
                return direction
        unconverged[self.k :] = False
        return self._residual_direction(krylov, unconverged) if unconverged.any() else None

    def _residual_direction(
        self, krylov: KrylovSubspace, chosen: Bool[Tensor, " n"]
    ) -> Float64[Tensor, " w"]:
        """The direction in W that most of the residuals of chosen Ritz pairs have in common."""
        return torch.linalg.svd(krylov.coupling @ self.rotation[:, chosen]).U[:, 0]

    def _probing_direction(
        self, krylov: KrylovSubspace, unconverged: Bool[Tensor, " n"]
    ) -> Float64[Tensor, " w"] | None:
        """Where a missed copy could hide; None where none can, or it is too early to look."""
        found = margins(
            self.values, self.k, self.which, self.tol * self.largest, self.isolate, self.drawn
        )
        if self.probe:
            self.probe.follow(found)
        else:
            beyond = found.beyond(self.values)
            if unconverged[beyond].any():
                return None
            if not found.points:
                self.none_missed = not bool(unconverged[: self.k].any())
                return None
            before, fresh = krylov.basis.size, self._fresh()
            krylov.add(fresh)
            if krylov.basis.size == before:
                self.none_missed = True
                return None
            # With what of it lies in W already, where an eigenvector may hide as well.
            w = krylov.basis.gram(fresh)[:, 0] / self.product.space.norms(fresh)
            weights = w.repeat(len(found.points), 1)
            self.probe = Probe(found, self.values, weights)
        beyond = self.probe.margins.beyond(self.values)
        if (beyond & unconverged).any():
            return self._residual_direction(krylov, beyond & unconverged)
        if int(beyond.sum()) > self.probe.num_known:  # copies came up: look again for more
            self.probe = None
            return self._probing_direction(krylov, unconverged)
        rest = self.values[~beyond], self.rotation[:, ~beyond]
        share, direction = self.probe.share(*rest, krylov.coupling @ rest[1])
        if share * self.product.space.dim > (RARER_SHARE if self.isolate else RARE_SHARE):
            return direction
        self.ruled_out = self.probe.margins
        self.probe, self.none_missed = None, True
        return None

    def _restart(self, krylov: KrylovSubspace) -> None:
        """Keep the most wanted half of the Ritz vectors, and what of W they couple to."""
        num_kept = max(self.k, (self.basis_size + self.k) // 2 - krylov.pending)
        kept, dropped = self.rotation[:, :num_kept], self.rotation[:, num_kept:]
        if krylov.pending > num_kept:  # the rest of W does not couple to what is kept
            krylov.turn(torch.linalg.svd(krylov.coupling @ kept).U)
            self.probe = None
        if self.probe:
            self.probe.restart(kept, self.values[num_kept:], dropped, krylov.coupling @ dropped)
        krylov.restart(kept, num_pending=min(krylov.pending, num_kept))

    def _project(self, krylov: KrylovSubspace) -> None:
        values, rotation = torch.linalg.eigh(krylov.projected)
        order = by_preference(values, self.which)
        self.values, self.rotation = values[order], rotation[:, order]
        self.residuals = (krylov.coupling @ self.rotation).norm(dim=0)
        self.largest = max(self.largest, values.abs().max().item())

    def _recurred(self, krylov: KrylovSubspace) -> tuple[Eigenpairs, bool]:
        """The wanted pairs with residuals by AQ = [Q W]H; and whether a product agrees with it.

        The relation holds to rounding for a linear map. One product, with a combination Xc of the
        wanted Ritz vectors with random signs, tells by how much it fails for all of them: the
        expected square of the deviation is the sum of squares of theirs.
        """
        space = self.product.space
        chosen = torch.arange(self.k)
        if self.which == "BE":
            chosen = self.values[: self.k].argsort(descending=True)
        values, rotation = self.values[chosen], self.rotation[:, chosen]
        residuals = self.residuals[chosen]
        signs = torch.randint(0, 2, (self.k, 1), generator=self.generator).double() * 2 - 1
        expected = krylov.basis.combine(krylov.H @ rotation @ signs)
        krylov.restart(rotation, num_pending=0)
        deviation = space.norms(self.product(krylov.basis.combine(signs)) - expected).item()
        vectors = krylov.basis.block(0, self.k)
        vectors = vectors * space.signs(vectors)
        pairs = Eigenpairs(values, vectors, residuals, self.reached(residuals), self.product.count)
        believable = deviation <= 0.1 * self.tol * self.largest
        return pairs, believable and self.tol >= 50 * self._rounding

    def _refined(self, pairs: Eigenpairs) -> Eigenpairs:
        """The pairs with residuals by explicit products, and on from there while that helps."""
        best, images = self._explicit(pairs)
        while not best.converged:
            krylov = self._krylov()
            krylov.add(best.vectors)
            krylov.absorb(images, self.product.space.norms(images))
            self._project(krylov)
            if not self._affords(1):
                break
            self._iterate(krylov)
            pairs = self._recurred(krylov)[0]
            del krylov
            pairs, images = self._explicit(pairs)
            stagnates = bool(pairs.residuals.max() > best.residuals.max() / 2)
            best = min(best, pairs, key=lambda found: found.residuals.max().item())
            if stagnates:
                break
        return best

    def _explicit(self, pairs: Eigenpairs) -> tuple[Eigenpairs, Float[Tensor, "D k"]]:
        images = self.product(pairs.vectors)
        return rayleigh_ritz(
            self.product, pairs.vectors, images, self.k, self.which, self.tol, self.largest
        )

    def _affords(self, num_products: int) -> bool:
        """Whether so many products leave those that confirm the result."""
        spent = self.product.count - self.comparisons
        return spent + num_products + self.k + 1 <= self.max_products

    def _state(self) -> dict[str, Tensor]:
        """What a checkpoint holds beside the Krylov space."""
        state = {
            "generator": self.generator.get_state(),
            "largest": torch.tensor(self.largest, dtype=torch.float64),
            "none_missed": torch.tensor(self.none_missed),
            "drawn": torch.tensor(self.drawn),
            "comparisons": torch.tensor(self.comparisons),
            "ruled_out": torch.tensor(self.ruled_out, dtype=torch.float64),
        }
        if self.probe:
            state["margins"] = torch.tensor(self.probe.margins, dtype=torch.float64)
            state["known"] = self.probe.known
            state["weights"] = self.probe.weights
        return state

    def _recall(self, state: dict[str, Tensor]) -> None:
        self.generator.set_state(state["generator"])
        self.largest = state["largest"].item()
        self.none_missed = bool(state["none_missed"])
        self.drawn = bool(state["drawn"])
        self.comparisons = int(state["comparisons"])
        self.ruled_out = Margins(*state["ruled_out"].tolist())
        if "margins" in state:
            found = Margins(*state["margins"].tolist())
            self.probe = Probe(found, state["known"], state["weights"])

    def _fresh(self) -> Float[Tensor, "D 1"]:
        space = self.product.space
        return space.random(1, self.generator) / space.dim**0.5
