"""The logit Jacobian layer by layer: one forward pass, and backward passes to activations alone."""

import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from landscope.problem import Batch, Problem
from landscope.problem.measuring import measuring
from landscope.products.example_chunks import example_chunks
from landscope.products.gradient_blocks import GradientBlock, OuterProducts, Rows
from landscope.products.jacobian_rows import rows_of
from landscope.products.layer_calls import LayerCall, output_gradients, record_calls
from landscope.products.layer_gradients import EmbeddingGradients, LayerGradients, gradients_of
from landscope.system.interruption import uncovering_interrupts

CHECKED_EXAMPLES = 20
"""Examples on which every layer is compared with explicit gradients before its first use."""

CHECK_BYTES = 96 * 2**20
"""What their explicit rows may take: fewer examples of a large network, at least two."""

LAYER_BYTES = 192 * 2**20
"""What the blocks of one chunk may take: beyond, they leave the cache and gain nothing."""

LARGEST_CHUNK = 4096
"""Most examples in a chunk: more gain nothing."""


@dataclass(frozen=True)
class Explicit:
    """Parameters of which no layer gives the gradients: explicit rows."""

    parameters: tuple[str, ...]


@dataclass(frozen=True)
class Part:
    """Some units of one layer's parameters.

    Attributes
    ----------
    source : LayerGradients or Explicit
        How their gradients are found.
    units : slice
        Which of its units.
    columns : Tensor, shape (p,)
        Where in the flat vector of weight space they lie.
    rank_one : bool
        Whether each gradient is a single outer product, so that its block is `OuterProducts` with
        one place.
    """

    source: LayerGradients | Explicit
    units: slice
    columns: Int64[Tensor, " p"]
    rank_one: bool

    @property
    def num_columns(self) -> int:
        """p, the number of parameters."""
        return len(self.columns)


@dataclass(frozen=True)
class Chunk:
    """The gradients of some loss terms.

    Attributes
    ----------
    terms : Tensor, shape (T,)
        Their places in the order of the data.
    blocks : list
        One for each part asked for.
    """

    terms: Int64[Tensor, " T"]
    blocks: list[GradientBlock]


class LayerwiseJacobian:
    """Rows of J, or of SᵀJ for factors S^μ of each term, as blocks that each layer gives.

    For a chunk of examples one forward pass keeps what each layer is given, and one backward pass
    for each of K cotangents gives the gradients at all layers' outputs. From the two follow the
    parameters' gradients of every term in closed form, without one row of length D.

    Parameters that no single call of a module explains (root parameters, tied weights, modules
    called twice or never, recurrent layers, sequence-first inputs, attention in one module) are
    differentiated explicitly. So is every layer whose gradients differ from explicit ones on some
    20 examples, with a warning.

    Parameters
    ----------
    problem : Problem
        The model and data at one point of weight space.
    self_check : bool
        Whether to compare with explicit gradients.

    Notes
    -----
    Goodfellow 2015, arXiv:1510.01799 (norms); Dangel et al. 2020, arXiv:1912.10985 (layers).

    Examples
    --------
    >>> import torch, landscope as ls
    >>> problem = ls.Problem(torch.nn.Linear(2, 3), (torch.ones(4, 2), torch.arange(4) % 3))
    >>> J = LayerwiseJacobian(problem)
    >>> (chunk,) = J.chunks(J.parts())
    >>> chunk.blocks[0].rows().shape
    torch.Size([4, 3, 9])
    """

    def __init__(self, problem: Problem, self_check: bool = True) -> None:
        self.problem = problem
        index = torch.arange(problem.num_params, dtype=torch.float64, device=problem.device)
        self._places = {name: at.long() for name, at in problem.unflatten(index).items()}
        self.layers = _layers_of(problem, set(self._places))
        self._footprints: dict[str, GradientBlock] = {}
        self._outputs_per_example = 0
        self._probe()
        if self_check:
            self._compare_with_explicit()

    @property
    def explicit(self) -> Explicit:
        """The parameters that no layer covers."""
        covered = {layer.full_name(p) for layer in self.layers for p in layer.parameters}
        return Explicit(tuple(name for name in self._places if name not in covered))

    def parts(self, max_columns: int | None = None, cut_rank_one: bool = True) -> list[Part]:
        """All of weight space in parts of at most this many parameters, the last layers first.

        A unit is not cut: one that is wider makes a part of its own. Nor are layers of rank one
        where ``cut_rank_one`` is false.
        """
        sources: list[LayerGradients | Explicit] = [*reversed(self.layers)]
        if self.explicit.parameters:
            sources.append(self.explicit)
        parts = []
        for source in sources:
            columns, rank_one = self._columns(source), self._rank_one(source)
            step = max(1, (max_columns or columns.numel()) // columns.shape[1])
            if rank_one and not cut_rank_one:
                step = len(columns)
            for start in range(0, len(columns), step):
                units = slice(start, min(start + step, len(columns)))
                parts.append(Part(source, units, columns[units].flatten(), rank_one))
        return parts

    def chunks(
        self,
        parts: Sequence[Part],
        factor: Float[Tensor, "N C K"] | None = None,
        as_rows: Sequence[Part] = (),
        order: Int64[Tensor, " n"] | None = None,
    ) -> Iterator[Chunk]:
        """The gradients of all terms for these parts, some examples at a time.

        Blocks come condensed.

        Parameters
        ----------
        parts : sequence of Part
            Of `parts`; backward passes go down no further than their layers.
        factor : Tensor, shape (N, C, K), optional
            S^μ of each term: rows of (S^μ)ᵀJ^μ instead of J^μ.
        as_rows : sequence of Part
            Parts of which rows will be asked for: a chunk leaves room for them.
        order : Tensor, shape (n,), optional
            Examples in the order in which they are to be visited.
        """
        K = self.problem.num_classes if factor is None else factor.shape[2]
        num_bytes = self._bytes_per_example(parts, K, as_rows)
        size = min(LARGEST_CHUNK, max(1, LAYER_BYTES // num_bytes))
        for batch, terms in example_chunks(self.problem, size, order):
            S = None if factor is None else factor[terms.to(factor.device)]
            yield Chunk(terms, self._blocks(batch, parts, S))

    @measuring()
    def _blocks(
        self, batch: Batch, parts: Sequence[Part], S: Float[Tensor, "T C K"] | None
    ) -> list[GradientBlock]:
        parts_of: dict[int, list[Part]] = {}
        for part in parts:
            parts_of.setdefault(id(part.source), []).append(part)
        found: dict[int, GradientBlock] = {}
        for source, block in self._whole_blocks(
            batch, [same[0].source for same in parts_of.values()], S
        ):
            for part in parts_of[id(source)]:
                found[id(part)] = block.units(part.units).condensed()
        return [found[id(part)] for part in parts]

    def _whole_blocks(
        self,
        batch: Batch,
        sources: Sequence[LayerGradients | Explicit],
        S: Float[Tensor, "T C K"] | None,
    ) -> Iterator[tuple[LayerGradients | Explicit, GradientBlock]]:
        """From the layers that are called once, as expected, on this batch; the others explicit."""
        layers = [source for source in sources if isinstance(source, LayerGradients)]
        usual: list[LayerGradients] = []
        if layers:
            modules = {layer.name: layer.module for layer in layers}
            z, calls = record_calls(self.problem, batch.data, modules)
            usual = [layer for layer in layers if _by_example(calls[layer.name], batch.num_rows)]
            if len(usual) < len(layers):
                odd = next(layer.name for layer in layers if layer not in usual)
                warnings.warn(
                    f"the model calls {odd!r} otherwise on some data than on its first examples; "
                    "the gradients of its parameters are computed explicitly there",
                    stacklevel=2,
                )
        if usual:
            recorded = [calls[layer.name][0] for layer in usual]
            gradients = output_gradients(z, recorded, _cotangents(z, batch, S))
            del z, calls
            for layer in usual:
                call = recorded.pop(0)
                inputs, g = _by_term(call, gradients.pop(0), batch, layer.features_last)
                yield layer, layer.block(inputs, g, call.state)
        for source in sources:
            if source not in usual:
                yield source, self._explicit_block(batch, source, S)

    def _explicit_block(
        self, batch: Batch, source: LayerGradients | Explicit, S: Float[Tensor, "T C K"] | None
    ) -> Rows:
        """The block of a layer, or of parameters that none covers, from explicit rows."""
        columns = self._columns(source)
        rows = rows_of(self.problem, batch, self._names(source))
        if isinstance(source, LayerGradients):  # from the order of names into that of the layer
            by_name = torch.cat([self._places[name].flatten() for name in self._names(source)])
            rows = rows[:, :, by_name.argsort()[columns.flatten().argsort().argsort()]]
        if S is not None:
            rows = S.mT.to(rows) @ rows
        return Rows(rows, columns.shape[1])

    def _columns(self, source: LayerGradients | Explicit) -> Int64[Tensor, "units width"]:
        if isinstance(source, LayerGradients):
            return source.columns(self._places)
        return torch.cat([self._places[name].flatten() for name in source.parameters])[:, None]

    def _names(self, source: LayerGradients | Explicit) -> list[str]:
        if isinstance(source, Explicit):
            return list(source.parameters)
        return [source.full_name(p) for p in source.parameters]

    def _rank_one(self, source: LayerGradients | Explicit) -> bool:
        if isinstance(source, Explicit):
            return False
        block = self._footprints[source.name]
        return isinstance(block, OuterProducts) and block.inputs.shape[1::2] == (1, 1)

    def _bytes_per_example(
        self, parts: Sequence[Part], num_cotangents: int, as_rows: Sequence[Part]
    ) -> int:
        """What the condensed blocks of one example take, and the graph of its forward pass."""
        numbers = 0
        for source in {id(part.source): part.source for part in parts}.values():
            if isinstance(source, LayerGradients):
                numbers += self._footprints[source.name].numbers_per_term(num_cotangents)
            else:
                numbers += self._columns(source).numel() * self.problem.num_classes
        for part in as_rows:
            if part.rank_one or isinstance(part.source, EmbeddingGradients):
                numbers += num_cotangents * part.num_columns
        numbers *= max(batch.rows_per_example for batch in self.problem.batches)
        return (numbers + 4 * self._outputs_per_example) * self.problem.dtype.itemsize

    @measuring()
    def _probe(self) -> None:
        """Keep the layers that are called once, with the examples along the first dimension.

        Two numbers of examples tell that dimension from one that happens to be as long.
        """
        probes = [next(example_chunks(self.problem, size))[0] for size in (2, 3)]
        if len({batch.num_rows for batch in probes}) < 2:
            self.layers = []
        for batch in probes:
            z, calls = record_calls(
                self.problem, batch.data, {layer.name: layer.module for layer in self.layers}
            )
            self.layers = [
                layer for layer in self.layers if _by_example(calls[layer.name], batch.num_rows)
            ]
        if not self.layers:
            return
        recorded = [calls[layer.name][0] for layer in self.layers]
        # Two cotangents: vmap of some modules knows one or many, but not vmap in vmap.
        gradients = output_gradients(z, recorded, iter([torch.ones_like(z)] * 2))
        for layer, call, found in zip(self.layers, recorded, gradients, strict=True):
            self._outputs_per_example += found[0].numel() // batch.num_rows
            same_each = found * batch.rows_per_example
            inputs, g = _by_term(call, same_each, batch, layer.features_last)
            try:
                with uncovering_interrupts():
                    self._footprints[layer.name] = layer.block(inputs, g, call.state)
            except (RuntimeError, TypeError, ValueError):  # no product of the module alone
                continue
        self.layers = [layer for layer in self.layers if layer.name in self._footprints]

    @measuring()
    def _compare_with_explicit(self) -> None:
        """Leave to explicit rows each layer that misses them on the first examples."""
        per_example = max(batch.rows_per_example for batch in self.problem.batches)
        shape = per_example, self.problem.num_classes, self.problem.num_params
        fitting = CHECK_BYTES // (math.prod(shape) * self.problem.dtype.itemsize)
        batch, _ = next(example_chunks(self.problem, max(2, min(fitting, CHECKED_EXAMPLES))))
        if not self.layers:
            return
        rows = rows_of(self.problem, batch, list(self._places))
        generator = torch.Generator().manual_seed(0)
        weights = torch.randn(2, *rows.shape[:2], dtype=torch.float64, generator=generator).to(rows)
        expected = torch.einsum("stk,tkd->skd", weights, rows)
        gram, gram_expected = torch.zeros_like(rows @ rows.mT), rows @ rows.mT
        wrong: dict[str, float] = {}
        for source, block in self._whole_blocks(
            batch, [part.source for part in self.parts()], None
        ):
            gram += block.gram()
            if isinstance(source, LayerGradients):
                (sums,) = block.condensed().sums(weights, [slice(0, rows.shape[0])])
                of_layer = expected[:, :, self._columns(source).flatten()]
                # A layer that cancels to nearly nothing is judged on the scale of all.
                scale = of_layer.norm() + 0.01 * expected.norm()
                error = float((sums - of_layer).norm() / scale) if scale > 0 else float(sums.norm())
                if not error < self._tolerance:
                    wrong[source.name] = error
        error = float((gram - gram_expected).norm() / gram_expected.norm().clamp_min(1e-30))
        if not wrong and not error < self._tolerance:
            wrong = {layer.name: error for layer in self.layers}
        if wrong:
            worst = max(wrong, key=lambda name: wrong[name])
            warnings.warn(
                f"the layer-wise gradients of {worst!r} differ from explicit ones by "
                f"{wrong[worst]:.1e} (its weights may be used elsewhere too); the slower explicit "
                f"ones are used for {sorted(wrong)}",
                stacklevel=3,
            )
            self.layers = [layer for layer in self.layers if layer.name not in wrong]

    @property
    def _tolerance(self) -> float:
        return 1e-8 if self.problem.dtype == torch.float64 else 1e-3


def _layers_of(problem: Problem, names: set[str]) -> list[LayerGradients]:
    """Every module that holds measured parameters which no other module holds too."""
    if problem.module is None:
        return []
    modules = dict(problem.module.named_modules(remove_duplicate=False))
    holders = Counter(id(p) for module in modules.values() for p in module._parameters.values())
    layers = []
    for name, module in modules.items():
        own = tuple(
            key
            for key, parameter in module._parameters.items()
            if (f"{name}.{key}" if name else key) in names and holders[id(parameter)] == 1
        )
        if own:
            layers.append(gradients_of(name, module, own))
    return layers


def _by_example(calls: list[LayerCall], num_examples: int) -> bool:
    """Whether a layer was called once, with examples along the first dimension throughout."""
    if len(calls) != 1 or calls[0].has_keywords or calls[0].output_shape is None:
        return False
    tensors = [x for x in calls[0].inputs if isinstance(x, Tensor)]
    shapes = [calls[0].output_shape, *(x.shape for x in tensors)]
    return bool(tensors) and all(len(s) > 0 and s[0] == num_examples for s in shapes)


def _cotangents(
    z: Float[Tensor, "R C"], batch: Batch, S: Float[Tensor, "T C K"] | None
) -> Iterator[Float[Tensor, "R C"]]:
    """One cotangent per row of an example and column of S^μ, for all examples at once."""
    per_example = batch.rows_per_example
    if S is not None:
        columns = z.new_zeros(*z.shape, S.shape[2])
        columns[batch.is_term.to(z.device)] = S.to(z)
    for row in range(per_example):
        for k in range(z.shape[1] if S is None else S.shape[2]):
            cotangent = torch.zeros_like(z)
            if S is None:
                cotangent[row::per_example, k] = 1
            else:
                cotangent[row::per_example] = columns[row::per_example, :, k]
            yield cotangent


def _by_term(
    call: LayerCall, gradients: list[Tensor], batch: Batch, features_last: bool
) -> tuple[tuple[Any, ...], Float[Tensor, "T K ..."]]:
    """Inputs and output gradients with one entry per loss term; the list is used up."""
    per_example = batch.rows_per_example
    # Stacked so that the cotangents of one place lie side by side with its features.
    dim = -2 if features_last else 1
    g = torch.stack(gradients, dim).movedim(dim, 1)
    gradients.clear()
    inputs = call.inputs
    if per_example > 1:
        g = g.unflatten(1, (per_example, -1)).flatten(0, 1)
        inputs = tuple(_each(x, lambda x: x.repeat_interleave(per_example, 0)) for x in inputs)
    if not bool(batch.is_term.all()):
        kept = batch.is_term.to(g.device)
        g = g[kept]
        inputs = tuple(_each(x, lambda x: x[kept]) for x in inputs)
    return inputs, g


def _each(x: Any, function: Callable[[Tensor], Tensor]) -> Any:
    return function(x) if isinstance(x, Tensor) else x
