"""Conformance suite for operators: what every linear map on torch vectors must do.

A pytest class inherits the suite by writing two methods:

    class TestMyOperator(OperatorConformance):
        def operator(self):
            return MyOperator(...)

        def dense(self):
            return ...  # the matrix, computed in another way

``check_operator`` runs the same checks anywhere else. An operator needs only ``@``, ``shape``,
``dtype`` and ``device``; a check that needs more is skipped.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from unittest import SkipTest

import numpy as np
import torch
from torch import Tensor

__all__ = ["OperatorConformance", "check_operator"]


@dataclass(frozen=True)
class _Case:
    """An operator under test, its reference, and how close is close."""

    operator: Any
    dense: Any
    rtol: float | None
    atol: float
    seed: int

    @property
    def reference(self) -> Tensor | None:
        """The dense matrix in float64 on the CPU."""
        return None if self.dense is None else _in_float64(torch.as_tensor(self.dense))

    @property
    def tolerance(self) -> float:
        """Accepted relative error."""
        if self.rtol is not None:
            return self.rtol
        return 1e-10 if self.operator.dtype == torch.float64 else 1e-4

    def domain(self, *block: int, stream: int = 0) -> Tensor:
        """Random vectors that the operator takes."""
        return self._random(self.operator.shape[1], *block, stream=stream)

    def codomain(self, *block: int, stream: int = 0) -> Tensor:
        """Random vectors of the kind that the operator gives."""
        return self._random(self.operator.shape[0], *block, stream=stream)

    def _random(self, *shape: int, stream: int) -> Tensor:
        generator = torch.Generator().manual_seed(1_000 * self.seed + stream)
        numbers = torch.randn(*shape, generator=generator, dtype=torch.float64)
        return numbers.to(dtype=self.operator.dtype, device=self.operator.device)

    def assert_close(self, actual: Any, expected: Any, what: str, scale: float = 0.0) -> None:
        """Compare in the Euclidean norm, relative to the expected or to a larger scale."""
        actual, expected = _in_float64(actual), _in_float64(expected)
        _require(
            actual.shape == expected.shape,
            f"{what} has shape {tuple(actual.shape)} instead of {tuple(expected.shape)}",
        )
        error = (actual - expected).norm().item()
        allowed = self.tolerance * max(expected.norm().item(), scale) + self.atol
        _require(error <= allowed, f"{what} is off by {error:.2e}, more than {allowed:.2e}")


Property = Callable[[_Case], None]


def shape_dtype_and_device(case: _Case) -> None:
    """``shape`` is a pair of positive integers, ``dtype`` and ``device`` are torch's."""
    operator = case.operator
    _require(len(operator.shape) == 2, f"shape is {operator.shape}, not a pair")
    _require(
        all(isinstance(n, int) and n > 0 for n in operator.shape), f"shape is {operator.shape}"
    )
    _require(isinstance(operator.dtype, torch.dtype), f"dtype is {operator.dtype!r}")
    _require(operator.dtype.is_floating_point, f"dtype is {operator.dtype}, not a floating one")
    torch.device(operator.device)
    if case.reference is not None:
        _require(
            tuple(case.reference.shape) == tuple(operator.shape),
            f"shape is {tuple(operator.shape)}, the reference's {tuple(case.reference.shape)}",
        )


def product_with_a_vector(case: _Case) -> None:
    """``A @ x`` has the right shape, dtype and device, and equals the dense product."""
    _assert_product(case, case.domain())


def product_with_a_block(case: _Case) -> None:
    """``A @ X`` likewise, for blocks of one column and of several."""
    _assert_product(case, case.domain(1))
    _assert_product(case, case.domain(3))


def block_equals_columns(case: _Case) -> None:
    """``A @ X`` is ``A @ x`` for each column."""
    block = case.domain(3)
    columns = [case.operator @ column for column in block.T]
    case.assert_close(case.operator @ block, torch.stack(columns, dim=1), "A @ X")


def linearity(case: _Case) -> None:
    """``A @ (2x − y/3)`` is ``2 A @ x − (A @ y)/3``."""
    A, x, y = case.operator, case.domain(), case.domain(stream=1)
    combined = 2 * (A @ x) - (A @ y) / 3
    scale = (A @ x).double().norm().item()
    case.assert_close(A @ (2 * x - y / 3), combined, "A @ (2x − y/3)", scale)


def determinism(case: _Case) -> None:
    """The same product twice gives the same vector."""
    x = case.domain()
    case.assert_close(case.operator @ x, case.operator @ x, "the second A @ x")


def input_is_left_alone(case: _Case) -> None:
    """A product changes neither its vector nor its block."""
    for given in (case.domain(), case.domain(3)):
        before = given.clone()
        case.operator @ given
        _require(torch.equal(given, before), "A @ x changed x in place")


def adjoint(case: _Case) -> None:
    """⟨Ax, y⟩ = ⟨x, Aᵀy⟩ with ``A.T``."""
    A, x, y = case.operator, case.domain(), case.codomain(stream=1)
    transpose = _attribute(case, "T")
    _require(
        tuple(transpose.shape) == tuple(A.shape)[::-1],
        f"A.T has shape {tuple(transpose.shape)}, A {tuple(A.shape)}",
    )
    try:
        image = transpose @ y
    except NotImplementedError as error:
        raise SkipTest(str(error)) from error
    _assert_adjoint(case, x, A @ x, y, image)


def symmetric_tag(case: _Case) -> None:
    """Where ``symmetric`` is set, ⟨Ax, y⟩ = ⟨x, Ay⟩."""
    A = case.operator
    if not getattr(A, "symmetric", False):
        raise SkipTest("the operator does not say that it is symmetric")
    _require(A.shape[0] == A.shape[1], f"symmetric is set, but the shape is {tuple(A.shape)}")
    x, y = case.domain(), case.domain(stream=1)
    _assert_adjoint(case, x, A @ x, y, A @ y)


def psd_tag(case: _Case) -> None:
    """Where ``psd`` is set, the operator is symmetric and no eigenvalue is negative."""
    A = case.operator
    if not getattr(A, "psd", False):
        raise SkipTest("the operator does not say that it is positive semi-definite")
    _require(getattr(A, "symmetric", False), "psd is set, symmetric is not")
    for stream in range(5):
        x = case.domain(stream=stream)
        image = A @ x
        power = (_in_float64(x) @ _in_float64(image)).item()
        allowed = case.tolerance * (x.norm() * image.norm()).item() + case.atol
        _require(power >= -allowed, f"⟨x, Ax⟩ = {power:.2e} for a random x")
    if case.reference is not None:
        values = torch.linalg.eigvalsh((case.reference + case.reference.T) / 2)
        allowed = case.tolerance * values.abs().max().item() + case.atol
        _require(values[0] >= -allowed, f"the dense reference has the eigenvalue {values[0]:.2e}")


def dense_form(case: _Case) -> None:
    """``to_dense`` equals the reference and the products."""
    dense = _attribute(case, "to_dense")()
    x = case.domain()
    _require(dense.dtype == case.operator.dtype, f"to_dense() has dtype {dense.dtype}")
    case.assert_close(dense @ x, case.operator @ x, "to_dense() @ x")
    if case.reference is not None:
        case.assert_close(dense, case.reference, "to_dense()")


def scipy_form(case: _Case) -> None:
    """``to_scipy`` gives the same products on numpy arrays."""
    A, scipy_operator = case.operator, _attribute(case, "to_scipy")()
    _require(tuple(scipy_operator.shape) == tuple(A.shape), f"shape is {scipy_operator.shape}")
    x, block, y = case.domain(), case.domain(3), case.codomain(stream=1)
    given, image = _to_numpy(x), scipy_operator.matvec(_to_numpy(x))
    _require(isinstance(image, np.ndarray), f"matvec gives a {type(image).__name__}")
    _require(image.dtype == given.dtype, f"matvec gives {image.dtype} for {given.dtype}")
    case.assert_close(image, A @ x, "matvec")
    case.assert_close(scipy_operator.matmat(_to_numpy(block)), A @ block, "matmat")
    if getattr(A, "symmetric", False) or hasattr(A, "T"):
        try:
            adjoint_image = scipy_operator.rmatvec(_to_numpy(y))
        except NotImplementedError:
            return
        _assert_adjoint(case, x, A @ x, y, adjoint_image)


def wrong_length_is_refused(case: _Case) -> None:
    """A vector or block of another length raises an error that says something."""
    longer = torch.cat([case.domain(), case.domain()[:1]])
    _assert_refused(case, longer, "a vector that is too long")
    _assert_refused(case, longer[:, None].expand(-1, 2), "a block that is too long")


def wrong_dtype_is_refused(case: _Case) -> None:
    """A vector of another dtype raises an error that says something."""
    other = torch.float32 if case.operator.dtype == torch.float64 else torch.float64
    _assert_refused(case, case.domain().to(other), f"a vector of dtype {other}")


PROPERTIES: tuple[Property, ...] = (
    shape_dtype_and_device,
    product_with_a_vector,
    product_with_a_block,
    input_is_left_alone,
    determinism,
    block_equals_columns,
    linearity,
    adjoint,
    symmetric_tag,
    psd_tag,
    dense_form,
    scipy_form,
    wrong_length_is_refused,
    wrong_dtype_is_refused,
)


def check_operator(
    operator: Any,
    dense: Any = None,
    rtol: float | None = None,
    atol: float = 0.0,
    seed: int = 0,
) -> None:
    """Check that an operator does what every operator must do.

    Parameters
    ----------
    operator : operator of shape (m, n)
        With ``@`` on vectors (n,) and blocks (n, k), ``shape``, ``dtype`` and ``device``; where
        they are there, ``T``, ``to_dense()``, ``to_scipy()`` and the tags ``symmetric`` and
        ``psd`` are checked too.
    dense : array or Tensor of shape (m, n), optional
        The matrix, computed in another way.
    rtol : float, optional
        Accepted relative error in the Euclidean norm; by default 1e-10 in float64, 1e-4 otherwise.
    atol : float
        Accepted absolute error.
    seed : int
        Seed of the random vectors.

    Raises
    ------
    AssertionError
        Naming the property that fails and by how much.

    Examples
    --------
    >>> import torch
    >>> matrix = torch.tensor([[2.0, 1.0], [1.0, 3.0]])
    >>> check_operator(matrix, dense=matrix.numpy())
    >>> check_operator(matrix, dense=matrix.numpy().T + 1.0)
    Traceback (most recent call last):
        ...
    AssertionError: Tensor fails product_with_a_vector: A @ x is off by ...
    """
    case = _Case(operator, dense, rtol, atol, seed)
    for holds in PROPERTIES:
        try:
            _check(holds, case)
        except SkipTest:
            continue


class OperatorConformance:
    """The checks as a class of tests, to be inherited by a pytest class.

    Attributes
    ----------
    rtol : float, optional
        Accepted relative error in the Euclidean norm; by default 1e-10 in float64, 1e-4 otherwise.
    atol : float
        Accepted absolute error.
    seed : int
        Seed of the random vectors.
    """

    rtol: float | None = None
    atol: float = 0.0
    seed: int = 0

    def operator(self) -> Any:
        """Give the operator under test: to be written."""
        raise NotImplementedError("write operator(self), the operator under test")

    def dense(self) -> Any:
        """Give the matrix, computed in another way: to be written; None where there is none."""
        raise NotImplementedError("write dense(self), an independent dense reference, or None")

    def _holds(self, holds: Property) -> None:
        _check(holds, _Case(self.operator(), self.dense(), self.rtol, self.atol, self.seed))

    def test_shape_dtype_and_device(self) -> None:
        """See ``shape_dtype_and_device``."""
        self._holds(shape_dtype_and_device)

    def test_product_with_a_vector(self) -> None:
        """See ``product_with_a_vector``."""
        self._holds(product_with_a_vector)

    def test_product_with_a_block(self) -> None:
        """See ``product_with_a_block``."""
        self._holds(product_with_a_block)

    def test_block_equals_columns(self) -> None:
        """See ``block_equals_columns``."""
        self._holds(block_equals_columns)

    def test_linearity(self) -> None:
        """See ``linearity``."""
        self._holds(linearity)

    def test_determinism(self) -> None:
        """See ``determinism``."""
        self._holds(determinism)

    def test_input_is_left_alone(self) -> None:
        """See ``input_is_left_alone``."""
        self._holds(input_is_left_alone)

    def test_adjoint(self) -> None:
        """See ``adjoint``."""
        self._holds(adjoint)

    def test_symmetric_tag(self) -> None:
        """See ``symmetric_tag``."""
        self._holds(symmetric_tag)

    def test_psd_tag(self) -> None:
        """See ``psd_tag``."""
        self._holds(psd_tag)

    def test_dense_form(self) -> None:
        """See ``dense_form``."""
        self._holds(dense_form)

    def test_scipy_form(self) -> None:
        """See ``scipy_form``."""
        self._holds(scipy_form)

    def test_wrong_length_is_refused(self) -> None:
        """See ``wrong_length_is_refused``."""
        self._holds(wrong_length_is_refused)

    def test_wrong_dtype_is_refused(self) -> None:
        """See ``wrong_dtype_is_refused``."""
        self._holds(wrong_dtype_is_refused)


def _check(holds: Property, case: _Case) -> None:
    """Raise an AssertionError that names the operator and the property."""
    try:
        holds(case)
    except SkipTest:
        raise
    except Exception as error:
        name, detail = type(case.operator).__name__, str(error) or type(error).__name__
        raise AssertionError(f"{name} fails {holds.__name__}: {detail}") from error


def _assert_product(case: _Case, given: Tensor) -> None:
    A, image = case.operator, case.operator @ given.clone()
    expected = (A.shape[0], *given.shape[1:])
    _require(isinstance(image, Tensor), f"A @ x is a {type(image).__name__}, not a tensor")
    _require(
        tuple(image.shape) == expected, f"A @ x has shape {tuple(image.shape)}, not {expected}"
    )
    _require(image.dtype == A.dtype, f"A @ x has dtype {image.dtype}, A {A.dtype}")
    _require(image.device == given.device, f"A @ x is on {image.device}, x on {given.device}")
    if case.reference is not None:
        case.assert_close(image, case.reference @ _in_float64(given), "A @ x")


def _assert_adjoint(case: _Case, x: Any, Ax: Any, y: Any, adjoint_y: Any) -> None:
    x, Ax, y, adjoint_y = (_in_float64(vector) for vector in (x, Ax, y, adjoint_y))
    scale = (Ax.norm() * y.norm()).item()
    case.assert_close(x @ adjoint_y, Ax @ y, "⟨x, Aᵀy⟩", scale)


def _assert_refused(case: _Case, given: Tensor, what: str) -> None:
    try:
        case.operator @ given
    except (TypeError, ValueError, RuntimeError) as error:
        _require(bool(str(error)), f"{what} is refused without a word")
        return
    raise AssertionError(f"{what} is accepted")


def _require(condition: bool, message: str) -> None:
    """Assert also under ``python -O``."""
    if not condition:
        raise AssertionError(message)


def _attribute(case: _Case, name: str) -> Any:
    if not hasattr(case.operator, name):
        raise SkipTest(f"the operator has no {name}")
    return getattr(case.operator, name)


def _in_float64(values: Any) -> Tensor:
    return torch.as_tensor(values).detach().to(device="cpu", dtype=torch.float64)


def _to_numpy(tensor: Tensor) -> np.ndarray:
    return tensor.cpu().numpy()
