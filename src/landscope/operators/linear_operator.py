"""What every operator is: a linear map between flat torch vectors, applied with ``@``."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse.linalg
import torch
from jaxtyping import Float
from torch import Tensor

from landscope.distributed import Ranks
from landscope.linalg.product import expect
from landscope.linalg.replicated import ReplicatedSpace
from landscope.linalg.space import VectorSpace
from landscope.problem.checks import check_surroundings
from landscope.problem.measuring import measuring

PRODUCTS_OF_A_SOLVER = 100
"""Products that a solver of another library is taken to make."""


class LinearOperator(ABC):
    """A linear map R^n → R^m that is known by its products.

    Attributes
    ----------
    shape : tuple of int
        (m, n).
    dtype : torch.dtype
        Of the vectors it takes and gives.
    device : torch.device
        Of the vectors it takes and gives.
    symmetric : bool
        Whether it equals its transpose.
    psd : bool
        Whether it is positive semi-definite.
    ranks : Ranks or None
        The processes that compute its products together, where there are several.
    parts : sequence of operators
        What its products are made of products with.
    """

    symmetric: bool = False
    psd: bool = False
    ranks: Ranks | None = None
    parts: Sequence[Any] = ()

    def __init__(self, shape: tuple[int, int], dtype: torch.dtype, device: torch.device) -> None:
        self.shape = shape
        self.dtype = dtype
        self.device = device

    def expect(self, num_products: int) -> None:
        """Hear that so many products are to come: operators choose their way by it.

        Algorithms of `landscope` say so themselves; say it before the first product of a loop of
        your own. Results differ by no more than rounding, and by what it decides at ties.
        """
        for part in self.parts:
            expect(part, num_products)

    @property
    def space(self) -> VectorSpace | None:
        """Where its vectors lie: whole on each of several processes, None for one."""
        if self.ranks is None:
            return None
        return ReplicatedSpace(self.shape[1], self.dtype, self.device, self.ranks)

    @property
    def columns(self) -> int:
        """Length of the vectors that it takes here: n, or a part where they are cut."""
        return self.shape[1]

    def fingerprint(self) -> str | None:
        """What tells it from other operators, equal in other processes; None where nothing does.

        A checkpoint of an iteration with it is refused to another one.
        """
        return None

    @abstractmethod
    def matvec(self, v: Float[Tensor, " n"]) -> Float[Tensor, " m"]:
        """Product with one vector."""

    def matmat(self, V: Float[Tensor, "n k"]) -> Float[Tensor, "m k"]:
        """Product with a block of vectors: by default one by one."""
        return torch.stack([self.matvec(column) for column in V.T], dim=1)

    def rmatvec(self, u: Float[Tensor, " m"]) -> Float[Tensor, " n"]:
        """Product of the transpose with one vector."""
        if self.symmetric:
            return self.matvec(u)
        raise NotImplementedError(f"{type(self).__name__} has no transpose")

    def rmatmat(self, U: Float[Tensor, "m k"]) -> Float[Tensor, "n k"]:
        """Product of the transpose with a block of vectors: by default one by one."""
        return torch.stack([self.rmatvec(column) for column in U.T], dim=1)

    def __matmul__(self, v: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Product with a vector (n,) or a block of vectors (n, k).

        Raises
        ------
        TypeError
            For anything but a tensor of the operator's dtype.
        ValueError
            For another length, number of dimensions, or device.
        """
        check_surroundings()
        if not isinstance(v, Tensor):
            raise TypeError(f"v is a {type(v).__name__}; it must be a torch tensor")
        if v.dtype != self.dtype:
            raise TypeError(f"v has dtype {v.dtype}; it must have the operator's, {self.dtype}")
        if v.ndim not in (1, 2) or len(v) != self.columns:
            raise ValueError(
                f"v has shape {tuple(v.shape)}; it must be ({self.columns},) or ({self.columns}, k)"
            )
        if v.device != self.device:
            raise ValueError(f"v is on {v.device}; it must be on the operator's {self.device}")
        v = v.detach()
        if v.ndim == 2 and v.shape[1] == 0:
            return v.new_empty(self.columns if self.symmetric else self.shape[0], 0)
        with measuring():
            return self.matvec(v) if v.ndim == 1 else self.matmat(v)

    def __sub__(self, other: "LinearOperator") -> "LinearOperator":
        """The difference of two operators of the same shape.

        Raises
        ------
        ValueError
            For an operator of another shape.
        """
        if self.shape != other.shape:
            raise ValueError(
                f"other has shape {other.shape}; it must be the operator's {self.shape}"
            )
        return Difference(self, other)

    @property
    def T(self) -> "LinearOperator":
        """The transpose."""
        return self if self.symmetric else Transpose(self)

    @measuring()
    def to_dense(self) -> Float[Tensor, "m n"]:
        """The matrix itself, by one product per column."""
        self.expect(self.shape[1])
        dense = torch.empty(self.shape, dtype=self.dtype, device=self.device)
        for i in range(self.shape[1]):
            unit = torch.zeros(self.shape[1], dtype=self.dtype, device=self.device)
            unit[i] = 1
            dense[:, i] = self.matvec(unit)
        return dense

    def to_scipy(self) -> scipy.sparse.linalg.LinearOperator:
        """The same map on numpy arrays, for SciPy's solvers."""
        own = self
        own.expect(PRODUCTS_OF_A_SOLVER)

        def to_numpy(tensor: Tensor) -> np.ndarray:
            return tensor.cpu().numpy()

        def to_torch(array: np.ndarray) -> Tensor:
            return torch.as_tensor(np.array(array), dtype=own.dtype, device=own.device)

        return scipy.sparse.linalg.LinearOperator(
            shape=self.shape,
            dtype=to_numpy(torch.empty(0, dtype=self.dtype)).dtype,
            matvec=lambda v: to_numpy(own @ to_torch(v).reshape(-1)),
            rmatvec=lambda u: to_numpy(own.T @ to_torch(u).reshape(-1)),
            matmat=lambda V: to_numpy(own @ to_torch(V)),
            rmatmat=lambda U: to_numpy(own.T @ to_torch(U)),
        )

    def __repr__(self) -> str:
        tags = [tag for tag in ("symmetric", "psd") if getattr(self, tag)]
        size = " × ".join(f"{n:,}" for n in self.shape)
        return f"{type(self).__name__}({', '.join([size, *tags])})"


class Transpose(LinearOperator):
    """The transpose of an operator.

    Parameters
    ----------
    operator : LinearOperator
        What is transposed.
    """

    def __init__(self, operator: LinearOperator) -> None:
        super().__init__(operator.shape[::-1], operator.dtype, operator.device)
        self._operator, self.parts = operator, (operator,)

    def matvec(self, v: Float[Tensor, " n"]) -> Float[Tensor, " m"]:
        """Product with one vector."""
        return self._operator.rmatvec(v)

    def matmat(self, V: Float[Tensor, "n k"]) -> Float[Tensor, "m k"]:
        """Product with a block of vectors."""
        return self._operator.rmatmat(V)

    def rmatvec(self, u: Float[Tensor, " m"]) -> Float[Tensor, " n"]:
        """Product of the transpose, the operator itself, with one vector."""
        return self._operator.matvec(u)

    def rmatmat(self, U: Float[Tensor, "m k"]) -> Float[Tensor, "n k"]:
        """Product of the operator itself with a block of vectors."""
        return self._operator.matmat(U)

    @property
    def T(self) -> LinearOperator:
        """The operator itself."""
        return self._operator

    def to_dense(self) -> Float[Tensor, "m n"]:
        """The transposed matrix."""
        return self._operator.to_dense().T


class Difference(LinearOperator):
    """A − B, by one product with each.

    Parameters
    ----------
    minuend, subtrahend : LinearOperator
        A and B, of the same shape.
    """

    def __init__(self, minuend: LinearOperator, subtrahend: LinearOperator) -> None:
        super().__init__(minuend.shape, minuend.dtype, minuend.device)
        self._minuend, self._subtrahend = self.parts = minuend, subtrahend
        self.ranks = minuend.ranks or subtrahend.ranks
        self.symmetric = minuend.symmetric and subtrahend.symmetric

    def matvec(self, v: Float[Tensor, " n"]) -> Float[Tensor, " m"]:
        """A v − B v."""
        return self._minuend.matvec(v) - self._subtrahend.matvec(v)

    def rmatvec(self, u: Float[Tensor, " m"]) -> Float[Tensor, " n"]:
        """Aᵀ u − Bᵀ u."""
        return self._minuend.rmatvec(u) - self._subtrahend.rmatvec(u)
