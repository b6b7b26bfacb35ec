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

    def asymmetry(self, u: Tensor, v: Tensor) -> float:
        """Relative distance from the symmetry that the true derivative has."""


class WrongDerivativeError(ArithmeticError):
    """No way of differentiating the model twice gives a derivative that can be right."""


D = TypeVar("D", bound=Derivative)


class Repeated(Generic[D]):
    """The derivatives of all batches, to be visited product after product.

    Second derivatives in torch can be silently wrong, so the first batch's product is compared
    with an independent one on a random vector before its first use, and again once it is
    linearised; on a mismatch, or where torch has no forward-mode derivative, all batches go over
    to the reference with a warning. What is used in the end must be symmetric.

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

    Raises
    ------
    WrongDerivativeError
        At the first product, when the reference is no symmetric map either.
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
            self._check_symmetry()
        if self._passes == LINEARIZE_AFTER and not self._on_reference:
            self._linearize()
        self._passes += 1
        return iter(self._derivatives)

    def _compare_with_reference(self) -> None:
        try:
            error = self._derivatives[0].error(self._random_vector(seed=0))
        except (NotImplementedError, RuntimeError) as refusal:
            # Only forward mode is missing; what fails in reverse mode too will say so itself.
            reason = f"has no forward-mode derivative ({str(refusal).splitlines()[0][:120]})"
        else:
            if error <= self._tolerance:
                return
            reason = f"differs from double backward by {error:.1e}"
        warnings.warn(
            f"the fast derivative product of this model {reason}; the slower reference is used",
            stacklevel=4,
        )
        self._on_reference = True
        for derivative in self._derivatives:
            derivative.use_reference()

    def _check_symmetry(self) -> None:
        asymmetry = self._derivatives[0].asymmetry(
            self._random_vector(seed=0), self._random_vector(seed=1)
        )
        if asymmetry > self._tolerance:
            raise WrongDerivativeError(
                "torch differentiates this model wrongly in every mode (the products miss "
                f"symmetry by {asymmetry:.1e}); replace the module without a right second "
                "derivative, such as weight_norm, or leave its parameters out with params="
            )

    @property
    def _tolerance(self) -> float:
        return 1e-8 if self._w.dtype == torch.float64 else 1e-3

    def _random_vector(self, seed: int) -> Float[Tensor, " D"]:
        generator = torch.Generator(self._w.device).manual_seed(seed)
        return torch.randn(
            self._w.shape, generator=generator, dtype=self._w.dtype, device=self._w.device
        )

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
