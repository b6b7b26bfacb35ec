"""The derivatives of all batches, checked before their first use and linearised when reused."""

import warnings
from collections.abc import Iterator
from functools import cache
from typing import Generic, Protocol, TypeVar, runtime_checkable

import psutil
import torch
from jaxtyping import Float
from torch import Tensor

LINEARIZE_AFTER = 24
"""Passes over the data after which linearising is taken to pay: it saves more than half of each
product, and costs some tens of products. A count, not a time, so that runs repeat themselves."""

DEFAULT_MEMORY_SHARE = 0.4
"""Share of the free memory that linearised batches may take by default."""


@runtime_checkable
class Derivative(Protocol):
    """A batch's derivative product, with a fast way, a cached way and a reference."""

    def linearize(self) -> int:
        """Keep the primal pass; the bytes that this takes."""

    def release(self) -> None:
        """Keep nothing."""

    def use_reference(self) -> None:
        """Compute by the slower reference."""

    def error(self, v: Tensor) -> float:
        """Relative distance between the present way and the reference."""


D = TypeVar("D", bound=Derivative)


class Repeated(Generic[D]):
    """The derivatives of all batches, to be visited product after product.

    Second derivatives in torch can be silently wrong, so the first batch's product is compared
    with an independent one on a random vector before its first use, and again once it is
    linearised; on a mismatch, or where torch has no forward-mode derivative, all batches go over
    to the reference with a warning.

    Parameters
    ----------
    derivatives : list
        One per batch.
    w : Tensor, shape (D,)
        The point, for the size and dtype of the vectors.
    memory_limit : int, optional
        Bytes that linearised batches may take; by default 40 % of the memory that is free.
    self_check : bool
        Whether to compare with the reference.
    """

    def __init__(
        self,
        derivatives: list[D],
        w: Float[Tensor, " D"],
        memory_limit: int | None = None,
        self_check: bool = True,
    ) -> None:
        load_forward_mode()
        self._derivatives = derivatives
        self._w = w
        self._memory_limit = memory_limit
        self._self_check = self_check
        self._passes = 0
        self._on_reference = False

    def __iter__(self) -> Iterator[D]:
        """One pass over the batches."""
        if self._passes == 0 and self._self_check:
            self._compare_with_reference()
        if self._passes == LINEARIZE_AFTER and not self._on_reference:
            self._linearize()
        self._passes += 1
        return iter(self._derivatives)

    def _compare_with_reference(self) -> None:
        generator = torch.Generator(self._w.device).manual_seed(0)
        v = torch.randn(
            self._w.shape, generator=generator, dtype=self._w.dtype, device=self._w.device
        )
        tolerance = 1e-8 if self._w.dtype == torch.float64 else 1e-3
        try:
            error = self._derivatives[0].error(v)
        except (NotImplementedError, RuntimeError) as refusal:
            # Only forward mode is missing; what fails in reverse mode too will say so itself.
            reason = f"has no forward-mode derivative ({str(refusal).splitlines()[0][:120]})"
        else:
            if error <= tolerance:
                return
            reason = f"differs from double backward by {error:.1e}"
        warnings.warn(
            f"the fast derivative product of this model {reason}; the slower reference is used",
            stacklevel=4,
        )
        self._on_reference = True
        for derivative in self._derivatives:
            derivative.use_reference()

    def _linearize(self) -> None:
        limit = free_bytes(self._w.device) * DEFAULT_MEMORY_SHARE
        if self._memory_limit is not None:
            limit = self._memory_limit
        used = 0
        for derivative in self._derivatives:
            try:
                used += derivative.linearize()
            except (NotImplementedError, RuntimeError):  # not traceable: the plain product stays
                derivative.release()
                return
            if used > limit:
                derivative.release()
                return
            if derivative is self._derivatives[0] and self._self_check:
                self._compare_with_reference()
                if self._on_reference:
                    return


@cache
def load_forward_mode() -> None:
    """Let torch load its forward-mode rules, which warn of their own deprecated script compiler."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        torch.func.jvp(torch.sin, (torch.zeros(1),), (torch.ones(1),))


def free_bytes(device: torch.device) -> int:
    """Memory that is free on the device."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available
