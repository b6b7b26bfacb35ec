"""A fast product held against reverse mode twice, and that against differences of gradients.

Second derivatives in torch can be silently wrong: a forward-mode formula, a number that was read
from one piece of the data and baked into a graph, a backward pass that cannot be differentiated
itself.
"""

import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor

from landscope.problem import Batch, Problem
from landscope.problem.checks import first_line
from landscope.products.batch_derivative import BatchDerivative
from landscope.products.piece import Piece, PlainPiece
from landscope.system.interruption import uncovering_interrupts

ROUNDINGS = 4
"""So many times what one way is rounded by may two ways differ by."""

NEARBY_POINTS = 3
"""Points at all of which a backward pass that is wrong is off."""

FEW_EXAMPLES = 8
"""So many examples tell how large logits are."""

LARGEST_CHECKED_WIDE = 3_000_000
"""Parameters of the largest model of which one example is checked in float64."""

LARGEST_WIDENED = 30_000_000
"""Parameters of the largest model that is taken to float64 to measure a rounding."""

SHORTER = 4.0
"""Ratio of the two steps by which a difference quotient shows that it has converged."""


class WrongDerivativeError(ArithmeticError):
    """No way of differentiating the model twice gives a derivative that can be right."""


class SelfCheck:
    """What tells a right product of a derivative from a wrong one.

    Parameters
    ----------
    problem : Problem
        The model, loss and data at one point of weight space.
    derivative : callable
        (problem, batch) ↦ the derivative of the batch.
    """

    def __init__(
        self, problem: Problem, derivative: Callable[[Problem, Batch], BatchDerivative]
    ) -> None:
        self._problem, self._derivative = problem, derivative

    def check_reverse_mode(self) -> None:
        """Hold reverse mode twice against differences of first derivatives, and its own transpose.

        On one example, in float64 where that is cheap, and near the weights, since at them
        activations may lie at kinks. What is off near one point is looked at near others: a kink
        is not met everywhere.

        Raises
        ------
        WrongDerivativeError
            Where torch cannot differentiate twice, or does so wrongly.
        """
        errors = []
        for seed in range(NEARBY_POINTS):
            error = self._error_near(seed)
            if error is None:
                return
            errors.append(error)
        raise WrongDerivativeError(
            "reverse mode twice is off from differences of first derivatives by "
            f"{min(errors):.1e}: a backward function of this model cannot be differentiated itself "
            "(weight_norm's), or it stops gradients (detach); write it in differentiable "
            "operations, take differences with method='finite_difference', or measure what "
            "reverse mode gives with self_check=False"
        )

    def _error_near(self, seed: int) -> float | None:
        """By how much the two are apart; None where that is little, or differences are not sharp.

        A quotient that has not converged says nothing: one kink between its points spoils it.
        """
        for problem in self._widest_first(LARGEST_CHECKED_WIDE):
            derivative, u, v = self._one_example_near(problem, seed)
            if len(v) == problem.num_params:
                v = problem.without_padding(v, tied=True)
            try:
                with uncovering_interrupts():
                    exact = derivative.cached_graph()
                    expected = exact(v).flatten().double()
                    close, closer = (
                        derivative.finite_difference(shorter)(v).flatten().double()
                        for shorter in (1.0, SHORTER)
                    )
                    asymmetry = derivative.asymmetry(exact, u, v)
            except REFUSALS as failure:
                if problem is not self._problem:
                    continue  # the model computes in one dtype only
                raise WrongDerivativeError(
                    f"torch cannot differentiate this model twice ({first_line(failure)}); replace "
                    "the operation, or take differences of gradients with "
                    "method='finite_difference'"
                ) from failure
            break
        if not math.isfinite(asymmetry):
            return None  # at the weights themselves, a product says so
        sharp = problem.rounding < 1e-12
        if not asymmetry <= (1e-6 if sharp else 1e-2):
            raise WrongDerivativeError(
                "torch differentiates this model wrongly in every mode (the products miss "
                f"symmetry by {asymmetry:.1e}); replace the module without a right second "
                "derivative, such as weight_norm, leave its parameters out with params=, or take "
                "differences of gradients with method='finite_difference'"
            )
        off = float((closer - expected).norm())
        size = max(float(expected.norm()) + derivative.scale(v), 1e-300)
        converged = float((closer - close).norm()) < 0.1 * off
        return off / size if converged and off > (1e-3 if sharp else 0.1) * size else None

    def check_differences(self) -> None:
        """Refuse differences of gradients that are the derivative of no scalar function.

        Where a model stops gradients, gradients change along directions in which they say that
        nothing does.

        Raises
        ------
        WrongDerivativeError
            If products miss symmetry near all of some weights.
        """
        asymmetries = []
        for seed in range(NEARBY_POINTS):
            problem = self._widest_first(LARGEST_CHECKED_WIDE)[0]
            derivative, u, v = self._one_example_near(problem, seed)
            if len(v) == problem.num_params:
                u, v = problem.without_padding(u), problem.without_padding(v)
            try:
                with uncovering_interrupts():
                    found = derivative.asymmetry(derivative.finite_difference(), u, v)
            except REFUSALS as failure:
                raise WrongDerivativeError(
                    f"torch cannot differentiate this model ({first_line(failure)}); replace the "
                    "operation"
                ) from failure
            asymmetries.append(found)
            if asymmetries[-1] <= (1e-4 if problem.rounding < 1e-12 else 0.1):
                return
        raise WrongDerivativeError(
            f"differences of gradients miss symmetry by {min(asymmetries):.1e}: the model stops "
            "gradients (detach, no_grad) or has a wrong first derivative; measure what reverse "
            "mode gives with method='double_backward' and self_check=False"
        )

    def _one_example_near(
        self, problem: Problem, seed: int
    ) -> tuple[BatchDerivative, Tensor, Tensor]:
        """The derivative of one example beside the weights, and two vectors for it."""
        derivative = self._derivative(
            problem.at(_moved(problem.weights, seed)), _one_example(problem)
        )
        u, v = (random_vector(problem, i + seed, derivative.length) for i in (0, 100))
        return derivative, u, v

    def find_error(
        self, derivatives: Iterable[BatchDerivative], pieces: Iterable[Piece]
    ) -> str | None:
        """How the product of some piece differs from reverse mode twice; None where none does."""
        for derivative, piece in zip(derivatives, pieces, strict=True):
            v = random_vector(self._problem, seed=0, length=derivative.length)
            expected = self._reference_product(derivative, v)
            try:
                with uncovering_interrupts():
                    found = piece.product(v)
            except FAILURES as failure:
                if isinstance(failure, torch.OutOfMemoryError):
                    raise
                return f"it fails on some of the data ({first_line(failure)})"
            error = _relative(found, expected, derivative, v, self._usual)
            if self._is_wrong(error, derivative):
                return f"it differs from double backward by {error:.1e}"
        return None

    def _reference_product(self, derivative: BatchDerivative, v: Tensor) -> Tensor:
        """By reverse mode; by forward mode where that is no number, as at a norm of zero."""
        expected = PlainPiece(derivative.reverse_mode()).product(v)
        if bool(expected.isfinite().all()):
            return expected
        load_forward_mode()
        try:
            with uncovering_interrupts():
                return PlainPiece(derivative.forward_mode()).product(v)
        except FAILURES:
            return expected

    def _is_wrong(self, error: float, derivative: BatchDerivative) -> bool:
        """Whether an error is more than rounding, which is measured where it is large."""
        return not error <= self._usual and not error <= ROUNDINGS * self._rounding(derivative)

    @property
    def _usual(self) -> float:
        """A relative distance that needs no further look."""
        return 1e-8 if self._problem.rounding < 1e-12 else 1e-3

    def _rounding(self, derivative: BatchDerivative) -> float:
        """By how much this problem's dtype rounds a product.

        Logits that are rounded by |z|ε move probabilities, and with them curvature, by as much;
        where the model can be widened, reverse mode in float64 says more exactly.
        """
        v = random_vector(self._problem, seed=0, length=derivative.length)
        for wide in self._widest_first(LARGEST_WIDENED):
            if wide is self._problem:
                break
            exact = self._derivative(wide, derivative.batch)
            try:
                with uncovering_interrupts():
                    expected = exact.reverse_mode()(v.double())
            except REFUSALS:
                break  # the model computes in one dtype only
            return _relative(derivative.reverse_mode()(v), expected, derivative, v)
        return self._problem.rounding * self._largest_logit(derivative.batch)

    def _largest_logit(self, batch: Batch) -> float:
        few = batch.take(torch.arange(min(batch.num_rows, FEW_EXAMPLES)))
        with torch.no_grad():
            z = self._problem.batch_logits(few)(self._problem.weights)
        return float(z.abs().max()) if z.numel() else 0.0

    def _widest_first(self, largest: int) -> Sequence[Problem]:
        """The problem, and before it the same in float64, where that is small and another one."""
        if self._problem.num_params > largest or self._problem.dtype == torch.float64:
            return [self._problem]
        try:
            return [self._problem.widened(), self._problem]
        except REFUSALS:  # the model computes in one dtype only
            return [self._problem]


REFUSALS = (RuntimeError, TypeError, ValueError)
"""What torch raises of a model that it cannot differentiate, or not in this dtype."""

FAILURES = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError,
            ValueError)  # fmt: skip
"""What a product raises that was written down from one piece and meets another."""


def distance(
    derivatives: Iterable[BatchDerivative], pieces: Iterable[Piece], others: Iterable[Piece]
) -> float:
    """Largest relative distance of a piece's product from another way's."""
    distances = []
    for derivative, piece, other in zip(derivatives, pieces, others, strict=True):
        v = random_vector(derivative.problem, seed=0, length=derivative.length)
        distances.append(_relative(piece.product(v), other.product(v), derivative, v))
    return math.nan if any(map(math.isnan, distances)) else max(distances)


@cache
def load_forward_mode() -> None:
    """Let torch load its forward-mode rules, which warn of their own deprecated script compiler."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        torch.func.jvp(torch.sin, (torch.zeros(1),), (torch.ones(1),))


def random_vector(problem: Problem, seed: int, length: int) -> Float[Tensor, " n"]:
    """A Gaussian vector, the same for the same seed."""
    generator = torch.Generator(problem.device).manual_seed(seed)
    return torch.randn(length, generator=generator, dtype=problem.dtype, device=problem.device)


def _relative(
    found: Tensor, expected: Tensor, derivative: BatchDerivative, v: Tensor, small: float = 0.0
) -> float:
    """Distance of two products, relative to their size or the derivative's scale.

    The scale costs a gradient: it is left out where the distance is small without it.
    """
    found, expected = found.flatten().double(), expected.flatten().double()
    distance, size = float((found - expected).norm()), float(expected.norm())
    if distance <= small * size:
        return distance / max(size, 1e-300)
    return distance / max(size + derivative.scale(v), 1e-300)


def _moved(w: Float[Tensor, " D"], seed: int) -> Float[Tensor, " D"]:
    """Weights that a per cent of noise has taken away from kinks."""
    generator = torch.Generator(w.device).manual_seed(100 + seed)
    noise = torch.randn(len(w), generator=generator, dtype=w.dtype, device=w.device)
    typical = float(w.double().square().mean().sqrt()) or 1.0
    return w + 0.01 * typical * noise


def _one_example(problem: Problem) -> Batch:
    """The first example that has a loss term."""
    examples = (piece for batch in problem.batches for piece in batch.pieces(1))
    return next(piece for piece in examples if bool(piece.is_term.any()))
