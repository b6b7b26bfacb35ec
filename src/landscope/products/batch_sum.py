"""A derivative summed over the data: which way it is computed, checked, and kept."""

import math
import time
import warnings
import weakref
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import psutil
import torch
from jaxtyping import Float
from torch import Tensor

from landscope.arguments import flag, shown, whole
from landscope.problem import Batch, Problem
from landscope.problem.checks import first_line
from landscope.problem.measuring import measuring
from landscope.products.batch_derivative import BatchDerivative, Product
from landscope.products.method import ProductMethod
from landscope.products.piece import Piece, PlainPiece, TracedPiece, seconds
from landscope.products.self_check import FAILURES, SHORTER, SelfCheck, distance, load_forward_mode
from landscope.products.traced import TracedProduct
from landscope.products.work import Work, work_per_example
from landscope.system.interruption import uncovering_interrupts

TRACE_AFTER_FLOPS = 2e10
"""Arithmetic of plain products after which tracing is taken to pay: it costs less time, and saves
more than half of each product. A count, not a time, so that runs repeat themselves."""

TRACE_AFTER_PRODUCTS = 20
"""Plain products after which tracing is taken to pay however little their arithmetic: where calls
cost most, it costs the time of about ten. An algorithm of `linalg` announces more."""

EXPECTED_PRODUCTS = 3
"""Products that an operator is taken to make where nobody has said more."""

LARGEST_ACTIVATION = {"cpu": 4 * 2**20, "cuda": 512 * 2**20}
"""Bytes of the largest activation of one piece: on a CPU it is to stay in the cache."""

SIDE_BY_SIDE_BELOW_FLOPS = 1e7
"""Arithmetic of one product of one piece below which the columns of a block go at once."""

DEFAULT_MEMORY_SHARE = 0.4
"""Share of the free memory that products may take by default."""

COPIES = 6
"""Memory of a product in work, in activations of its forward pass."""

UNSHARP = 0.02
"""Relative change of differences with the step from which on they are not to be relied on."""

ROUNDINGS_OF_A_PRODUCT = 100
"""So many roundings of a product apart, two ways give one map."""


@dataclass(frozen=True)
class Explanation:
    """How products are computed, why so, and what they cost.

    Attributes
    ----------
    method : ProductMethod
        The way of the last product.
    reason : str
        Why this one.
    gradients : float
        Time of one product, in times of one gradient over the same data.
    kept_bytes : int
        Memory kept between products.
    num_pieces, num_kept : int
        Pieces that the data are cut into, and those of them of which something is kept.
    side_by_side : bool
        Whether the columns of a block are multiplied at once.
    check : float
        Time of the comparison with reverse mode before the first product, in gradients.
    """

    method: ProductMethod
    reason: str
    gradients: float
    kept_bytes: int
    num_pieces: int
    num_kept: int
    side_by_side: bool
    check: float

    def __str__(self) -> str:
        """In one sentence."""
        block = "at once" if self.side_by_side else "one by one"
        return (
            f"{self.method.value} ({self.reason}): {self.gradients:.2g} gradients per product, "
            f"{self.num_kept} of {self.num_pieces} pieces of the data kept "
            f"({self.kept_bytes / 2**20:.0f} MiB), columns of a block {block}, "
            f"checked before for {self.check:.2g} gradients"
        )


class BatchSum:
    """The derivatives of all data, applied product after product.

    The data are cut into pieces whose activations stay in the cache. Second derivatives in torch
    can be silently wrong (`self_check`), so the product of every piece is compared with reverse
    mode twice before its first use; where one differs, or fails at any time, reverse mode is used
    with a warning.

    The product at one point is one map. AUTO picks its way by how many products are expected, and
    changes it after many only if both ways agree to rounding on every piece: at ties (a ReLU at
    zero, two equal maxima) a sign that rounding decides gives each way a map of its own.

    Parameters
    ----------
    problem : Problem
        The model, loss and data at one point of weight space.
    derivative : callable
        (problem, batch) ↦ its derivative.
    method : ProductMethod or str
        How to compute.
    memory_limit : int, optional
        Bytes that products may take beside the model and the data; by default 40 % of the memory
        that is free.
    self_check : bool
        Whether to compare with the reference.

    Raises
    ------
    WrongDerivativeError
        At construction, where torch cannot differentiate the model twice or does so wrongly.
    """

    def __init__(
        self,
        problem: Problem,
        derivative: Callable[[Problem, Batch], BatchDerivative],
        method: ProductMethod | str = ProductMethod.AUTO,
        memory_limit: int | None = None,
        self_check: bool = True,
    ) -> None:
        self._asked = checked_method(method)
        self._problem = problem
        self._derivative = derivative
        self._memory_limit = None if memory_limit is None else whole("memory_limit", memory_limit)
        self._self_check = flag("self_check", self_check)
        self.method = self._asked
        self._reason = "as asked for"
        self._num_products, self._num_expected = 0, EXPECTED_PRODUCTS
        self._pieces: Sequence[Piece] = ()
        self._traced: Sequence[TracedPiece] = ()
        self._check = SelfCheck(problem, derivative)
        self._check_seconds = 0.0
        if self._self_check:
            self._check_derivatives()

    def _check_derivatives(self) -> None:
        """Once for each kind of derivative of one model, loss and data."""
        differences = self._asked is ProductMethod.FINITE_DIFFERENCE
        check = self._check.check_differences if differences else self._check.check_reverse_mode
        example = next(self._problem.batches[0].pieces(1))
        known = (check.__name__, self._derivative(self._problem, example).kind)
        if known not in self._problem.graphs:
            with measuring():
                check()
            self._problem.graphs[known] = True

    def expect(self, num_products: int) -> None:
        """Hear that so many products are to come, which the way is chosen for."""
        self._num_expected = max(self._num_expected, self._num_products + num_products)

    def products(self, v: Float[Tensor, " n"]) -> Iterator[Float[Tensor, " m"]]:
        """A v of each piece."""
        self._prepare(1)
        return self._each(lambda piece, _: piece.product(v))

    def products_of(self, vectors: Sequence[Tensor]) -> Iterator[Float[Tensor, " m"]]:
        """A v of each piece, each with its own vector."""
        self._prepare(1)
        return self._each(lambda piece, index: piece.product(vectors[index]))

    def block_products(self, V: Float[Tensor, "n k"]) -> Iterator[Float[Tensor, "m k"]]:
        """A V of each piece; what the columns share is done once."""
        self._prepare(V.shape[1])
        columns = V.T.contiguous()
        return self._each(lambda piece, _: piece.block_product(columns))

    def _each(self, multiply: Callable[[Piece, int], Tensor]) -> Iterator[Tensor]:
        for index in range(len(self._pieces)):
            try:
                with uncovering_interrupts():
                    product = multiply(self._pieces[index], index)
            except FAILURES as failure:
                if self.method in REFERENCES or isinstance(failure, torch.OutOfMemoryError):
                    raise
                self._replace(index, failure)
                product = multiply(self._pieces[index], index)
            yield product

    @cached_property
    def term_counts(self) -> list[int]:
        """Loss terms of each piece."""
        return [int(part.batch.is_term.sum()) for part in self._derivatives]

    @cached_property
    def batch_of_piece(self) -> list[int]:
        """Index of the batch that each piece is from."""
        return [
            index
            for index, batch in enumerate(self._problem.batches)
            for _ in batch.pieces(self._rows_per_piece)
        ]

    @measuring()
    def explain(self, product: Callable[[], object]) -> Explanation:
        """Say what was picked, timing the operator's product and one gradient.

        Parameters
        ----------
        product : callable
            One product with the whole operator.
        """
        product()
        gradient = seconds(self._problem.gradient)
        cost = seconds(product) / gradient
        present = [piece.kept for piece in self._traced if piece.kept is not None]
        return Explanation(
            self.method,
            self._reason,
            cost,
            bytes_of(tensor for constants in present for tensor in constants),
            len(self._traced or self._pieces),
            len(present),
            self._side_by_side,
            self._check_seconds / gradient,
        )

    # --- pieces -----------------------------------------------------------------------------------

    @cached_property
    def _work(self) -> Work:
        return work_per_example(self._problem)

    @cached_property
    def _limit(self) -> int:
        if self._memory_limit is not None:
            return self._memory_limit
        return int(free_bytes(self._problem.device) * DEFAULT_MEMORY_SHARE)

    @cached_property
    def _rows_per_piece(self) -> int:
        in_cache = LARGEST_ACTIVATION.get(self._problem.device.type, 2**29) // self._work.largest
        in_memory = self._limit // (4 * COPIES * self._work.activations)
        return max(1, min(in_cache, in_memory))

    @cached_property
    def _derivatives(self) -> list[BatchDerivative]:
        return [
            self._derivative(self._problem, piece)
            for batch in self._problem.batches
            for piece in batch.pieces(self._rows_per_piece)
        ]

    # --- which way is taken -----------------------------------------------------------------------

    def _prepare(self, num_vectors: int) -> None:
        self._num_products += num_vectors
        num_products = max(self._num_products, self._num_expected)
        many = (
            num_products > TRACE_AFTER_PRODUCTS
            or num_products * 3 * self._total_flops > TRACE_AFTER_FLOPS
        )
        if not self._pieces:
            self._start(many)
        elif many and not self._settled:
            self._settle()

    @cached_property
    def _total_flops(self) -> int:
        rows = sum(batch.num_rows for batch in self._problem.batches)
        return self._work.flops * rows

    def _start(self, many: bool) -> None:
        self._settled = many or self._asked is not ProductMethod.AUTO
        if self._asked in TRACED_METHODS:
            try:
                self._use_traced(self._asked)
            except FAILURES as refusal:
                self._use_reference(f"the model cannot be traced ({first_line(refusal)})")
        elif self._asked is not ProductMethod.AUTO:
            self._use_plain(self._asked, "as asked for")
        elif many:
            self._use_way_for_many()
        else:
            # What graphs of the data take is still there when they are compared with traced ones.
            self._use_untraced("too few products yet to trace", self._limit // 2)
        if self._self_check:
            start = time.perf_counter()
            self._compare_with_reference()
            self._check_seconds = time.perf_counter() - start

    def _settle(self) -> None:
        """Take the way for many products, if it gives the map that the products so far gave."""
        self._settled = True
        before = self._pieces, self._traced, self.method, self._reason
        self._use_way_for_many()
        if self.method in REFERENCES:
            return
        try:
            with uncovering_interrupts():
                apart = distance(self._derivatives, self._pieces, before[0])
        except FAILURES:
            apart = math.inf
        if apart <= self._rounding_of_a_product:
            return
        found = self.method
        self._pieces, self._traced, self.method, _ = before
        self._reason = f"{found.value} differs by {apart:.1e}"
        self._warn(
            f"products stay {self.method.value}, as the first ones were: {found.value}, which is "
            f"faster for many, differs by {apart:.1e}, more than rounding"
        )

    def _use_way_for_many(self) -> None:
        """Graphs, or where there can be none, what is left without them."""
        try:
            self._use_traced(ProductMethod.LINEARIZED)
        except FAILURES as refusal:
            self._use_untraced(f"the model cannot be traced ({first_line(refusal)})")

    def _use_untraced(self, why: str, limit: int | None = None) -> None:
        """Reverse mode twice, through kept graphs where memory holds them."""
        rows = sum(batch.num_rows for batch in self._problem.batches)
        kept = COPIES * self._work.activations * rows <= (self._limit if limit is None else limit)
        fits, not_kept = ProductMethod.CACHED_GRAPH, ProductMethod.DOUBLE_BACKWARD
        self._use_plain(fits if kept else not_kept, why)

    def _use_plain(self, method: ProductMethod, reason: str) -> None:
        if method is ProductMethod.FORWARD_OVER_REVERSE:
            load_forward_mode()
        self.method, self._reason = method, reason
        ways: dict[ProductMethod, Callable[[BatchDerivative], Product]] = {
            ProductMethod.FORWARD_OVER_REVERSE: lambda d: d.forward_mode(),
            ProductMethod.DOUBLE_BACKWARD: lambda d: d.reverse_mode(),
            ProductMethod.CACHED_GRAPH: lambda d: d.cached_graph(),
            ProductMethod.FINITE_DIFFERENCE: lambda d: d.finite_difference(),
        }
        self._pieces = [PlainPiece(ways[method](derivative)) for derivative in self._derivatives]
        self._traced = ()  # graphs that are no longer used keep no memory

    def _use_reference(self, why: str) -> None:
        self._warn(
            f"the fast derivative product of this model cannot be used, since {why}; the slower "
            "reference is used"
        )
        self._use_plain(ProductMethod.DOUBLE_BACKWARD, why)

    def _use_traced(self, method: ProductMethod) -> None:
        """Graphs for all pieces; what they keep, as long as the memory limit lets it."""
        pieces: list[Piece] = []
        traced: list[TracedPiece] = []
        used = largest = 0
        for derivative in self._derivatives:
            parts = []
            for part in derivative.parts:
                inputs = part.inputs()
                graph = self._graph(part, inputs)
                piece = TracedPiece(part, graph, side_by_side=self._side_by_side)
                # What is not kept, and the arithmetic itself, need room for three more.
                if method is not ProductMethod.RECOMPUTED and used + 3 * largest < self._limit:
                    constants = graph.constants(inputs)
                    size = bytes_of(constants)
                    largest = max(largest, size)
                    if used + 3 * largest < self._limit:
                        piece.kept = constants
                        used += size
                parts.append(piece)
            traced += parts
            alone = len(parts) == 1
            pieces.append(
                parts[0]
                if alone
                else PlainPiece(derivative.assembled([part.product for part in parts]))
            )
        self._pieces, self._traced, self.method = pieces, traced, method
        self._reason = "as asked for" if self._asked is method else "it pays for many products"

    def _graph(self, derivative: BatchDerivative, inputs: list[Tensor]) -> TracedProduct:
        """Shared by pieces of the same shapes, and by the same problem at other weights."""
        graphs: dict[Hashable, TracedProduct] = self._problem.graphs
        if derivative.signature not in graphs:
            graphs[derivative.signature] = derivative.graph(inputs)
        return graphs[derivative.signature]

    @property
    def _side_by_side(self) -> bool:
        """Whether columns go through a graph at once: where calls cost more than arithmetic."""
        largest = max(batch.num_rows for batch in self._problem.batches)
        rows = min(self._rows_per_piece, largest)
        return 3 * self._work.flops * rows < SIDE_BY_SIDE_BELOW_FLOPS

    # --- self-check -------------------------------------------------------------------------------

    def _compare_with_reference(self) -> None:
        """Hold each piece against reverse mode twice, once for all operators at these weights.

        At other weights graphs are the same, and the first piece says whether they still fit.
        """
        if self.method is ProductMethod.FINITE_DIFFERENCE:
            self._compare_with_shorter_steps()
        if self.method in REFERENCES:
            return
        known = ("right", self._derivatives[0].kind, self.method, self._rows_per_piece)
        checked_at = self._problem.graphs.get(known)
        if checked_at is not None and checked_at() is self._problem.weights:
            return
        count = len(self._pieces) if checked_at is None else 1
        error = self._check.find_error(self._derivatives[:count], self._pieces[:count])
        if error is None:
            self._problem.graphs[known] = weakref.ref(self._problem.weights)
        elif self._asked is ProductMethod.AUTO:
            self._warn(f"{self.method.value} is not used for this model, since {error}")
            self._use_untraced(error)
        else:
            self._use_reference(error)

    def _compare_with_shorter_steps(self) -> None:
        """Say where differences of gradients depend on the step: kinks lie between their points."""
        shorter = [PlainPiece(d.finite_difference(SHORTER)) for d in self._derivatives]
        apart = distance(self._derivatives, self._pieces, shorter)
        if not apart <= UNSHARP:
            self._warn(
                f"differences of gradients change by {apart:.1g} with a step that is {SHORTER:g} "
                "times shorter, as they do where kinks or jumps of the model lie between; products "
                "are no better than that"
            )

    def _replace(self, index: int, failure: Exception) -> None:
        """Reverse mode twice for a piece whose product fails, whenever it does."""
        self._warn(
            f"{self.method.value} fails on some of the data ({first_line(failure)}); the slower "
            "reference is used there"
        )
        pieces = list(self._pieces)
        pieces[index] = PlainPiece(self._derivatives[index].reverse_mode())
        self._pieces = pieces

    @staticmethod
    def _warn(sentence: str) -> None:
        warnings.warn(sentence, stacklevel=7)

    @property
    def _rounding_of_a_product(self) -> float:
        """By so much at most do two ways differ that give one map."""
        return self._problem.rounding * ROUNDINGS_OF_A_PRODUCT


TRACED_METHODS = (ProductMethod.LINEARIZED, ProductMethod.RECOMPUTED)
REFERENCES = (ProductMethod.DOUBLE_BACKWARD, ProductMethod.CACHED_GRAPH,
              ProductMethod.FINITE_DIFFERENCE)  # fmt: skip
"""What needs no comparison: reverse mode twice, and what is taken where that is wrong."""


def checked_method(method: ProductMethod | str) -> ProductMethod:
    """The method of this name.

    Raises
    ------
    ValueError
        For a name that is none.
    """
    try:
        return ProductMethod(method)
    except ValueError:
        accepted = ", ".join(repr(m.value) for m in ProductMethod)
        raise ValueError(f"method is {shown(method)}; accepted are {accepted}") from None


def bytes_of(tensors: Any) -> int:
    """Bytes of the storages behind some tensors, each counted once."""
    storages = {x.untyped_storage().data_ptr(): x.untyped_storage().nbytes() for x in tensors}
    return sum(storages.values())


def free_bytes(device: torch.device) -> int:
    """Memory that is free on the device."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available
