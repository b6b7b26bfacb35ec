"""A loss that is any function of outputs and targets: its terms, or their mean over a batch."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from landscope.arguments import first_line
from landscope.problem.losses.by_autograd import LossByAutograd
from landscope.problem.losses.loss import RefusedLossError
from landscope.problem.losses.targets import are_labels, floating_to
from landscope.problem.terms import flatten_logits

IGNORED = -100
"""Class indices that are no term where a function gives one mean, as torch's own functions do."""

TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-3}
"""Largest relative difference of a mean over a batch from those of its parts."""


class FunctionLoss(LossByAutograd):
    """A function (outputs, targets) ↦ a value for each term, or one mean of them for the batch.

    It is called with one row for each term: outputs (T, C) and targets (T,) or (T, C), or outputs
    (T,) where the model gives one number for each example. Values of shape (T, C) are averaged
    over the outputs of each term. What it gives for the outputs of the model as they come must be
    the mean over these rows.

    Parameters
    ----------
    function : callable
        Of outputs and targets: a function, or a module.

    Attributes
    ----------
    ignore_index : int or None
        The function's own, or −100 where it gives one mean for class indices.
    predicts, convex
        The function's own attributes, see `Loss`.

    Examples
    --------
    >>> import torch
    >>> loss = FunctionLoss(lambda z, y: (z - y).cosh().log().mean())
    >>> z, y = torch.zeros(2, 1), torch.ones(2, 1)
    >>> loss.read(z, y).gradient(z, y)
    tensor([[-0.7616],
            [-0.7616]])
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = copy.deepcopy(function) if isinstance(function, nn.Module) else function
        self.name = getattr(function, "__name__", type(function).__name__)
        self.ignore_index: int | None = getattr(function, "ignore_index", None)
        self.predicts: str | None = getattr(function, "predicts", None)
        self.convex = bool(getattr(function, "convex", False))
        self.gives_mean = False
        self.scalar = False

    def to(self, device: torch.device, dtype: torch.dtype) -> "FunctionLoss":
        """The same loss with a module's tensors on the device and in the dtype of the logits."""
        if not isinstance(self.function, nn.Module):
            return self
        moved = copy.copy(self)
        moved.function = copy.deepcopy(self.function).to(device, dtype)
        return moved

    def read(self, outputs: Float[Tensor, "..."], targets: Shaped[Tensor, "..."]) -> "FunctionLoss":
        """The same loss, knowing which of both the function gives for such outputs.

        Parameters
        ----------
        outputs, targets
            Of some examples, as they come from the model and the data.

        Raises
        ------
        RefusedLossError
            Where the function cannot be called so, gives anything else, or couples the terms of a
            batch.
        """
        with torch.no_grad():
            for dtype in dict.fromkeys((torch.float64, outputs.dtype)):
                try:
                    return self._read(*(floating_to(x, dtype) for x in (outputs, targets)))
                except RefusedLossError:
                    raise
                except Exception as error:  # of the function, whatever it is
                    failure = error
        raise RefusedLossError(
            f"loss {self.name} cannot take outputs of shape {tuple(outputs.shape)} with targets "
            f"{tuple(targets.shape)}, or one row for each of their terms: {first_line(failure)}"
        ) from failure

    def _read(
        self, outputs: Float[Tensor, "..."], targets: Shaped[Tensor, "..."]
    ) -> "FunctionLoss":
        z, y = flatten_logits(outputs, targets)
        found = copy.copy(self)
        if isinstance(self.function, nn.Module):
            found = self.to(z.device, z.dtype)
        whole = found.function(outputs, targets)
        if not isinstance(whole, Tensor) or whole.is_complex():
            raise RefusedLossError(
                f"loss {self.name} gave a {type(whole).__name__}; it must give a tensor of one "
                "value for each term, or one mean for the batch"
            )
        found.scalar, found.gives_mean = outputs.ndim == 1, whole.ndim == 0
        if found.gives_mean and found.ignore_index is None and are_labels(y):
            found.ignore_index = IGNORED
        if found.ignore_index is not None and are_labels(y):
            kept = y != found.ignore_index
            z, y = z[kept], y[kept]
        if len(z):
            found._check_rows(z, y, whole)
        if isinstance(self.function, nn.Module):
            found.function = self.function
        return found

    def terms(
        self, logits: Float[Tensor, "T C"], targets: Shaped[Tensor, "T ..."]
    ) -> Float[Tensor, " T"]:
        """Loss of each term; where the function gives a mean, that of each row alone."""
        if self.gives_mean:
            rows = range(len(logits))
            found = [self._called(logits[i : i + 1], targets[i : i + 1]) for i in rows]
            return torch.stack(found) if found else logits.sum(1)
        values = self._called(logits, targets)
        return values.flatten(1).mean(1) if values.ndim > 1 else values

    def total(
        self, logits: Float[Tensor, "T C"], targets: Shaped[Tensor, "T ..."]
    ) -> Float[Tensor, ""]:
        """Sum of the terms: their number times the mean that the function gives."""
        if self.gives_mean and len(logits):
            return len(logits) * self._called(logits, targets)
        return self.terms(logits, targets).sum()

    def _called(self, z: Float[Tensor, "T C"], y: Shaped[Tensor, "T ..."]) -> Tensor:
        if self.scalar:
            z = z[:, 0]
        return self.function(z, y.to(z.dtype) if y.is_floating_point() else y)

    def _check_rows(
        self, z: Float[Tensor, "T C"], y: Shaped[Tensor, "T ..."], whole: Float[Tensor, "..."]
    ) -> None:
        """Compare the batch with its rows together, and these with parts and some rows alone."""
        T = len(z)
        if not self.gives_mean and self._called(z, y).shape[:1] != (T,):
            raise RefusedLossError(
                f"loss {self.name} gave values of shape {tuple(whole.shape)} for {T} terms; it "
                "must give one value for each term, or one mean for the batch"
            )
        together = self.total(z, y)
        if self.ignore_index is None or self.gives_mean:
            self._agree(T * whole.mean(), together)
        order = torch.randperm(T, generator=torch.Generator().manual_seed(0)).to(z.device)
        parts = [order] if T == 1 else [order[: T // 3 or 1], order[T // 3 or 1 :]]
        self._agree(sum(self.total(z[part], y[part]) for part in parts), together)
        for row in order[:2, None]:
            if not self.gives_mean:
                self._agree(self.total(z[row], y[row]), self.terms(z, y)[row].sum())

    def _agree(self, found: Any, together: Float[Tensor, ""]) -> None:
        tolerance = TOLERANCE.get(together.dtype, TOLERANCE[torch.float32])
        if not abs(float(found - together)) <= tolerance * (abs(float(together)) + 1e-12):
            raise RefusedLossError(
                f"loss {self.name} gives a batch another value than the mean over its terms (sums "
                f"{float(found):.6g} and {float(together):.6g}), so that the terms depend on each "
                "other, on their weights or on shapes that broadcast; give a loss of each term, or "
                "objective= for a number of the whole batch"
            )
