"""Rules of differentiation: the tangent of each ATen operation, from the tangents of its inputs.

A rule takes the operation's output, its arguments x and their tangents ẋ, all as nodes of a graph
that is being written, and gives the output's tangent. ``None`` is the tangent zero. What a rule
computes from x alone does not depend on the direction, so it is computed once and kept.

An operation has a rule here where it is frequent and the rule is faster than the tangent that
`derived_tangent` finds for any other.
"""

import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, fx
from torch._decomp import decomposition_table

aten = torch.ops.aten


class Arguments(tuple[Any, ...]):
    """All arguments of an operation, in the order of its schema and by name, defaults included."""

    names: tuple[str, ...]
    num_positional: int

    def __getattr__(self, name: str) -> Any:
        if name not in self.names:
            raise AttributeError(name)
        return self[self.names.index(name)]

    def replaced(self, values: Iterable[Any]) -> "Arguments":
        """The same with other values."""
        new = Arguments(values)
        new.names, new.num_positional = self.names, self.num_positional
        return new

    def given_to(self, operation: Any, *first: Any) -> Any:
        """The operation's value with other first arguments."""
        values = [*first, *self[len(first) :]]
        named = zip(self.names, values, strict=True)
        return operation(*values[: self.num_positional], **dict(list(named)[self.num_positional :]))


def arguments_of(node: fx.Node) -> Arguments:
    """What an operation was called with, whether by position, by name or by default."""
    schema = getattr(node.target, "_schema", None)
    if schema is None:
        arguments = Arguments(node.args)
        arguments.names, arguments.num_positional = (), len(node.args)
        return arguments
    declared = schema.arguments
    given = dict(zip([argument.name for argument in declared], node.args, strict=False))
    given |= node.kwargs
    arguments = Arguments(given.get(a.name, a.default_value) for a in declared)
    arguments.names = tuple(argument.name for argument in declared)
    arguments.num_positional = sum(not argument.kwarg_only for argument in declared)
    return arguments


Rule = Callable[[Any, Arguments, Sequence[Any]], Any]
RULES: dict[Any, Rule] = {}
"""The rule of each operation that has one of its own."""


def rule_of(operation: Any) -> Rule | None:
    """The rule of an operation: its own, or that of all functions of each entry, or none."""
    if operation in RULES:
        return RULES[operation]
    return entrywise if torch.Tag.pointwise in getattr(operation, "tags", ()) else None


def rule(*operations: Any) -> Callable[[Rule], Rule]:
    """Register the rule of some operations."""

    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(operations, function))
        return function

    return register


def product(f: Callable[..., Any], *factors: Any) -> Any:
    """f of its factors, linear in each: zero where one of them is."""
    return None if any(factor is None for factor in factors) else f(*factors)


def total(*terms: Any) -> Any:
    """Sum of the terms that are not zero."""
    moving = [term for term in terms if term is not None]
    result = moving[0] if moving else None
    for term in moving[1:]:
        result = result + term
    return result


def negative(term: Any) -> Any:
    """−x."""
    return product(operator.neg, term)


# --- linear in the first argument, whatever the others are ----------------------------------------

LINEAR = [
    aten.view.default,
    aten.reshape.default,
    aten._unsafe_view.default,
    aten.t.default,
    aten.transpose.int,
    aten.permute.default,
    aten.expand.default,
    aten.slice.Tensor,
    aten.slice_backward.default,
    aten.select.int,
    aten.select_backward.default,
    aten.squeeze.default,
    aten.squeeze.dim,
    aten.squeeze.dims,
    aten.unsqueeze.default,
    aten.flip.default,
    aten.roll.default,
    aten.repeat.default,
    aten.diagonal.default,
    aten.diagonal_backward.default,
    aten.tril.default,
    aten.triu.default,
    aten.split.Tensor,
    aten.split_with_sizes.default,
    aten.unsafe_split.Tensor,
    aten.unsafe_split_with_sizes.default,
    aten.unbind.int,
    aten.sum.default,
    aten.sum.dim_IntList,
    aten.mean.default,
    aten.mean.dim,
    aten.cumsum.default,
    aten.neg.default,
    aten.mul.Scalar,
    aten.div.Scalar,
    aten.index_select.default,
    aten.index_select_backward.default,
    aten.index.Tensor,
    aten._unsafe_index.Tensor,
    aten.gather.default,
    aten.embedding_dense_backward.default,
    aten.avg_pool2d.default,
    aten.avg_pool2d_backward.default,
    aten._adaptive_avg_pool2d.default,
    aten._adaptive_avg_pool2d_backward.default,
    aten.upsample_nearest2d.default,
    aten.upsample_nearest2d_backward.default,
    aten.upsample_bilinear2d.default,
    aten.upsample_bilinear2d_backward.default,
    aten.im2col.default,
    aten.col2im.default,
    aten.pixel_shuffle.default,
    aten.pixel_unshuffle.default,
    aten.reflection_pad1d.default,
    aten.reflection_pad1d_backward.default,
    aten.reflection_pad2d.default,
    aten.reflection_pad2d_backward.default,
    aten.replication_pad2d.default,
    aten.replication_pad2d_backward.default,
    aten.hardsigmoid_backward.default,
    aten.hardtanh_backward.default,
    aten.leaky_relu_backward.default,
    aten.unfold.default,
    aten.unfold_backward.default,
]


def _linear(operation: Any) -> Rule:
    def tangent(out: Any, x: Arguments, dx: Sequence[Any]) -> Any:
        """Linear in the first argument: the same of its tangent."""
        return product(lambda first: x.given_to(operation, first), dx[0])

    return tangent


RULES.update({operation: _linear(operation) for operation in LINEAR})


@rule(
    aten.add.Scalar,
    aten.sub.Scalar,
    aten.clone.default,
    aten.detach.default,
    aten.alias.default,
    aten.lift_fresh_copy.default,
    aten._to_copy.default,
)
def shift(out: Any, x: Arguments, dx: Sequence[Any]) -> Any:
    """y = x + c, in any layout of the memory; every rule's result takes the output's type."""
    return dx[0]


@rule(aten.constant_pad_nd.default)
def pad(out: Any, x: Arguments, dx: Sequence[Any]) -> Any:
    """Padding is constant."""
    return product(lambda first: aten.constant_pad_nd.default(first, x[1], 0), dx[0])


@rule(aten.cat.default, aten.stack.default)
def join(out: Any, x: Arguments, dx: Sequence[Any]) -> Any:
    """Tangents are joined as their tensors are."""
    parts = [
        torch.zeros_like(part) if tangent is None else tangent
        for part, tangent in zip(x[0], dx[0], strict=True)
    ]
    joined = torch.cat if out.node.target is aten.cat.default else torch.stack
    return joined(parts, *x[1:])


@rule(operator.getitem)
def item(out: Any, x: Arguments, dx: Sequence[Any]) -> Any:
    """One of several outputs."""
    return product(lambda outputs: outputs[x[1]], dx[0])


@rule(aten.embedding.default)
def embedding(out: Any, x: Arguments, dx: Sequence[Any]) -> Any:
    """Rows of a table; that of the padding has no derivative."""
    rows = product(lambda table: aten.embedding.default(table, x[1]), dx[0])
    if x.padding_idx < 0:
        return rows
    return product(lambda rows: rows.masked_fill((x[1] == x.padding_idx).unsqueeze(-1), 0), rows)


@rule(aten.index_add.default)
def index_add(out: Any, x: Arguments, dx: Sequence[Any]) -> Any:
    """Linear in what is added to and in what is added."""
    target, dim, index, _, alpha = x
    if dx[0] is None and dx[3] is None:
        return None
    onto = torch.zeros_like(target) if dx[0] is None else dx[0]
    if dx[3] is None:
        return onto
    return aten.index_add.default(onto, dim, index, dx[3], alpha=alpha)


@rule(aten.index_put.default, aten._unsafe_index_put.default)
def index_put(out: Any, x: Arguments, dx: Sequence[Any]) -> Any:
    """Linear in what is written onto and in what is written."""
    target, indices, values, *how = x
    if dx[0] is None and dx[2] is None:
        return None
    onto = torch.zeros_like(target) if dx[0] is None else dx[0]
    written = torch.zeros_like(values) if dx[2] is None else dx[2]
    return out.node.target(onto, indices, written, *how)


@rule(
    aten.select_scatter.default,
    aten.slice_scatter.default,
    aten.diagonal_scatter.default,
)
def write_into_view(out: Any, x: Arguments, dx: Sequence[Any]) -> Any:
    """What was written takes the place of what was there."""
    if dx[0] is None and dx[1] is None:
        return None
    whole, part = (
        torch.zeros_like(value) if d is None else d for value, d in zip(x[:2], dx[:2], strict=True)
    )
    return out.node.target(whole, part, *x[2:])


@rule(aten.copy.default)
def copy(out: Any, x: Arguments, dx: Sequence[Any]) -> Any:
    """Of the first argument only the shape and type remain."""
    return product(lambda d: d.expand(out.shape), dx[1])


@rule(aten.where.self)
def where(out: Any, x: Arguments, dx: Sequence[Any]) -> Any:
    """The tangent of the branch that is taken."""
    if dx[1] is None and dx[2] is None:
        return None
    first, second = (0.0 if tangent is None else tangent for tangent in dx[1:])
    return torch.where(x[0], first, second).expand(out.shape)


@rule(aten.masked_fill.Scalar)
def masked_fill(out: Any, x: Arguments, dx: Sequence[Any]) -> Any:
    """What is filled in is constant."""
    return product(lambda first: aten.masked_fill.Scalar(first, x[1], 0), dx[0])


CONSTANT = [
    aten.ones_like.default,
    aten.zeros_like.default,
    aten.full_like.default,
    aten.empty_like.default,
    aten.new_zeros.default,
    aten.new_ones.default,
    aten.new_full.default,
    aten.sgn.default,
    aten.sign.default,
    aten.floor.default,
    aten.round.default,
    aten.ceil.default,
]


@rule(*CONSTANT)
def constant(out: Any, x: Arguments, dx: Sequence[Any]) -> Any:
    """What depends on the shape alone, or moves only in steps."""
    return None


# --- sums and products ----------------------------------------------------------------------------


@rule(aten.add.Tensor)
def add(out: Any, x: Arguments, dx: Sequence[Any]) -> Any:
    """y = a + α b, the smaller one broadcast."""
    return _sum(out, dx[0], _times(dx[1], x.alpha))


@rule(aten.sub.Tensor)
def sub(out: Any, x: Arguments, dx: Sequence[Any]) -> Any:
    """y = a − α b."""
    if dx[0] is None or dx[1] is None:
        return _sum(out, dx[0], negative(_times(dx[1], x.alpha)))
    return dx[0] - _times(dx[1], x.alpha)


@rule(aten.rsub.Scalar)
def sub_from(out: Any, x: Arguments, dx: Sequence[Any]) -> Any:
    """y = c − α a."""
    return negative(_times(dx[0], x.alpha))


def _times(term: Any, factor: float) -> Any:
    return term if factor == 1 else product(lambda term: term * factor, term)


def _sum(out: Any, first: Any, second: Any) -> Any:
    """The sum of two terms, as large as the output where one is zero."""
    if first is None or second is None:
        return product(lambda one: one.expand(out.shape), second if first is None else first)
    return first + second


@rule(aten.mul.Tensor)
def mul(out: Any, x: Arguments, dx: Sequence[Any]) -> Any:
    """y = a b."""
    return total(product(operator.mul, dx[0], x[1]), product(operator.mul, x[0], dx[1]))


@rule(aten.div.Tensor)
def div(out: Any, x: Arguments, dx: Sequence[Any]) -> Any:
    """y = a / b, so ẏ = (ȧ − y ḃ) / b."""
    rise = total(dx[0], negative(product(operator.mul, out, dx[1])))
    return product(operator.truediv, rise, x[1])


@rule(aten.mm.default, aten.bmm.default)
def matrix_product(out: Any, x: Arguments, dx: Sequence[Any]) -> Any:
    """Y = A B."""
    multiply = out.node.target
    return total(product(multiply, dx[0], x[1]), product(multiply, x[0], dx[1]))


@rule(aten.addmm.default)
def affine(out: Any, x: Arguments, dx: Sequence[Any]) -> Any:
    """Y = β b + α A B."""
    left = product(aten.mm.default, dx[1], x[2])
    if x.alpha != 1 or x.beta != 1:
        moving = total(left, product(aten.mm.default, x[1], dx[2]))
        return _sum(out, _times(dx[0], x.beta), _times(moving, x.alpha))
    if dx[0] is None or dx[2] is None:
        return _sum(out, dx[0], total(product(aten.mm.default, x[1], dx[2]), left))
    return total(left, torch.addmm(dx[0], x[1], dx[2]))


@rule(aten.convolution.default)
def convolution(out: Any, x: Arguments, dx: Sequence[Any]) -> Any:
    """Y = X ∗ W + b."""
    convolve, how = aten.convolution.default, x[3:]
    weight_part = product(lambda dW: convolve(x[0], dW, dx[2], *how), dx[1])
    if weight_part is None and dx[2] is not None:
        weight_part = dx[2][(..., *(None,) * (len(x[3])))].expand(out.shape)
    return total(product(lambda dX: convolve(dX, x[1], None, *how), dx[0]), weight_part)


@rule(aten.convolution_backward.default)
def convolution_backward(out: Any, x: Arguments, dx: Sequence[Any]) -> Any:
    """(G ∗ᵀ W, G ∗ X, Σ G), bilinear in G and in (X, W)."""
    (G, X, W, *how, mask), (dG, dX, dW, *_) = x, dx
    backward = aten.convolution_backward.default
    wanted_input, wanted_weight, _ = mask
    parts: list[list[Any]] = [[], [], []]
    if dG is not None:
        along = backward(dG, X, W, *how, mask)
        for index, wanted in enumerate(mask):
            if wanted:
                parts[index].append(along[index])
    with_input, with_weight = wanted_weight and dX is not None, wanted_input and dW is not None
    if with_input or with_weight:
        across = backward(
            G,
            X if dX is None else dX,
            W if dW is None else dW,
            *how,
            [with_weight, with_input, False],
        )
        if with_weight:
            parts[0].append(across[0])
        if with_input:
            parts[1].append(across[1])
    return tuple(total(*terms) for terms in parts)


@rule(aten.max_pool2d_with_indices.default)
def max_pool(out: Any, x: Arguments, dx: Sequence[Any]) -> Any:
    """The tangent at the place of each maximum."""

    def tangent(d: Any) -> Any:
        return out.tracer.create_proxy("call_function", at_maxima, (d, out[1]), {})

    return (product(tangent, dx[0]), None)


def at_maxima(x: Tensor, index: Tensor) -> Tensor:
    """The entries of images (N, C, H, W) at places that are counted along H and W together."""
    if x.stride(-3) == 1:  # channels last
        places, picked = x.movedim(1, -1).flatten(1, 2), index.movedim(1, -1)
        return places.gather(1, picked.flatten(1, 2)).reshape(picked.shape).movedim(-1, 1)
    return x.flatten(-2).gather(-1, index.flatten(-2)).reshape(index.shape)


@rule(aten.max_pool2d_with_indices_backward.default)
def max_pool_backward(out: Any, x: Arguments, dx: Sequence[Any]) -> Any:
    """Linear in the first argument; the second gives only its shape."""
    return product(lambda d: out.node.target(d, *x[1:]), dx[0])


# --- functions of each entry ----------------------------------------------------------------------


def slope(operation: Any, place: int, shape: Sequence[int], arguments: Any, options: Any) -> Tensor:
    """Derivative of an entrywise operation in one of its arguments, entry by entry of its output.

    It is torch's own, so that it is what reverse mode takes where there are several: at kinks.
    """
    before, x, after = arguments[:place], arguments[place], arguments[place + 1 :]
    spread = x.expand(shape)

    def along(operation: Any) -> Tensor:
        y, pull, *_ = torch.func.vjp(lambda x: operation(*before, x, *after, **options), spread)
        return pull(torch.ones_like(y))[0]

    try:
        return along(operation)
    except RuntimeError:  # some have no derivative, but what they are made of has
        return along(decomposition_table[operation])


@rule(
    aten.elu_backward.default,
    aten.hardswish_backward.default,
    aten.softplus_backward.default,
)
def entrywise(out: Any, x: Arguments, dx: Sequence[Any]) -> Any:
    """y = f(a, b), so ẏ = ∂f/∂a ȧ + ∂f/∂b ḃ."""
    count = x.num_positional
    options = dict(zip(x.names[count:], x[count:], strict=True))

    def along(place: int, d: Any) -> Any:
        arguments = (out.node.target, place, list(out.shape), list(x[:count]), options)
        return d * out.tracer.create_proxy("call_function", slope, arguments, {})

    return total(*(along(place, d) for place, d in enumerate(dx) if d is not None))


def second_slope(operation: Any, x: Tensor) -> Tensor:
    """f″(x), entry by entry, where the backward operation has no derivative of its own."""

    def first(x: Tensor) -> Tensor:
        return torch.func.grad(lambda x: operation(x).sum())(x)

    return torch.func.grad(lambda x: first(x).sum())(x)


@rule(aten.silu_backward.default, aten.mish_backward.default)
def smooth_backward(out: Any, x: Arguments, dx: Sequence[Any]) -> Any:
    """y = g f′(x) of a smooth f."""
    backward = out.node.target
    f = aten.silu.default if backward is aten.silu_backward.default else aten.mish.default
    second = out.tracer.create_proxy("call_function", second_slope, (f, x[1]), {})
    along = product(lambda dg: dg * backward(torch.ones_like(x[1]), x[1]), dx[0])
    return total(along, product(lambda d: (x[0] * second) * d, dx[1]))


@rule(aten.log_sigmoid_forward.default)
def log_sigmoid(out: Any, x: Arguments, dx: Sequence[Any]) -> Any:
    """y = log σ(x), so ẏ = σ(−x) ẋ; the second output is a buffer."""
    return (product(lambda d: d * torch.sigmoid(-x[0]), dx[0]), None)


@rule(aten.log_sigmoid_backward.default)
def log_sigmoid_backward(out: Any, x: Arguments, dx: Sequence[Any]) -> Any:
    """y = g σ(−x), so ẏ = ġ σ(−x) − g σ(x) σ(−x) ẋ."""
    falling = torch.sigmoid(-x[1])
    across = product(lambda d: (x[0] * falling * (falling - 1)) * d, dx[1])
    return total(product(lambda dg: dg * falling, dx[0]), across)


@rule(aten.relu.default)
def relu(out: Any, x: Arguments, dx: Sequence[Any]) -> Any:
    """y = max(x, 0)."""
    return product(lambda d: aten.threshold_backward.default(d, out, 0), dx[0])


@rule(aten.threshold_backward.default)
def threshold_backward(out: Any, x: Arguments, dx: Sequence[Any]) -> Any:
    """y = g where x is above the threshold."""
    return product(lambda d: aten.threshold_backward.default(d, *x[1:]), dx[0])


@rule(aten.tanh.default)
def tanh(out: Any, x: Arguments, dx: Sequence[Any]) -> Any:
    """ẏ = (1 − y²) ẋ."""
    return product(lambda d: d * (1 - out * out), dx[0])


# --- softmax --------------------------------------------------------------------------------------


@rule(aten._softmax.default, aten._safe_softmax.default)
def softmax(out: Any, x: Arguments, dx: Sequence[Any]) -> Any:
    """ṗ = p (ẋ − Σ p ẋ)."""
    return product(lambda d: _centred(d, out, x[1]), dx[0])


@rule(aten._softmax_backward_data.default)
def softmax_backward(out: Any, x: Arguments, dx: Sequence[Any]) -> Any:
    """y = p (g − Σ p g), so ẏ = p (ġ − Σ p ġ) + ṗ (g − Σ p g) − p Σ ṗ g."""
    g, p, dim, _ = x
    along = product(lambda dg: _centred(dg, p, dim), dx[0])
    if dx[1] is None:
        return along
    residual = g - (p * g).sum(dim, keepdim=True)
    return total(along, dx[1] * residual - p * (dx[1] * g).sum(dim, keepdim=True))


def _centred(d: Any, p: Any, dim: int) -> Any:
    scaled = p * d
    return scaled - p * scaled.sum(dim, keepdim=True)


@rule(aten._log_softmax.default)
def log_softmax(out: Any, x: Arguments, dx: Sequence[Any]) -> Any:
    """y = x − log Σ eˣ, so ẏ = ẋ − Σ p ẋ."""
    return product(lambda d: d - (out.exp() * d).sum(x[1], keepdim=True), dx[0])


@rule(aten._log_softmax_backward_data.default)
def log_softmax_backward(out: Any, x: Arguments, dx: Sequence[Any]) -> Any:
    """y = g − p Σ g with p = e^{log p}."""
    g, log_p, dim, _ = x
    p = log_p.exp()
    along = product(lambda dg: dg - p * dg.sum(dim, keepdim=True), dx[0])
    return total(along, product(lambda d: (p * -g.sum(dim, keepdim=True)) * d, dx[1]))


@rule(aten.nll_loss_backward.default, aten.nll_loss2d_backward.default)
def nll_loss_backward(out: Any, x: Arguments, dx: Sequence[Any]) -> Any:
    """Linear in the first argument; the log-probabilities give only their shape."""
    return product(lambda d: out.node.target(d, *x[1:]), dx[0])


@rule(aten.nll_loss_forward.default, aten.nll_loss2d_forward.default)
def nll_loss(out: Any, x: Arguments, dx: Sequence[Any]) -> Any:
    """Linear in the log-probabilities; the second output is a sum of constant weights."""
    return (product(lambda d: out.node.target(d, *x[1:])[0], dx[0]), None)


# --- normalisation --------------------------------------------------------------------------------
# All kinds are one: x̂ = (x − mean x) / √(var x + ε) over some dimensions of a view of x.


def _normalized_tangent(d: Any, unit: Any, rstd: Any, dims: Sequence[int] | None) -> Any:
    """Tangent of x̂: rstd (ẋ − mean ẋ − x̂ mean(x̂ ẋ)); rstd ẋ where the statistics are given."""
    if dims is None:
        return rstd * d
    centred = d - d.mean(dims, keepdim=True)
    return torch.addcmul(centred, unit, _mean_product(unit, d, dims), value=-1) * rstd


def _mean_product(x: Any, y: Any, dims: Sequence[int]) -> Any:
    return x.tracer.create_proxy("call_function", mean_product, (x, y, list(dims)), {})


def mean_product(x: Tensor, y: Tensor, dims: Sequence[int]) -> Tensor:
    """Mean of x y over some dimensions: in one pass where they are the last ones."""
    if 0 in dims:
        return (x * y).mean(list(dims), keepdim=True)
    flat = x.flatten(dims[0])
    mean = torch.linalg.vecdot(flat, y.expand_as(x).flatten(dims[0])) / flat.shape[-1]
    return mean[(..., *(None,) * len(dims))]


def _normalization(
    d: Any, gamma: Any, dgamma: Any, dbeta: Any, unit: Any, rstd: Any, dims: Sequence[int] | None
) -> Any:
    """Tangent of y = γ x̂ + β."""
    moved = product(lambda d: _normalized_tangent(d, unit, rstd, dims), d)
    if gamma is not None:
        moved = product(operator.mul, moved, gamma)
    return total(moved, product(operator.mul, unit, dgamma), dbeta)


def _normalization_backward(
    g: Any,
    dg: Any,
    gamma: Any,
    dgamma: Any,
    d: Any,
    unit: Any,
    rstd: Any,
    dims: Sequence[int] | None,
    affine_dims: Sequence[int],
) -> tuple[Any, Any, Any]:
    """Tangents of the gradients in x, γ and β.

    With h = γ g: gₓ = rstd (h − mean h − x̂ mean(x̂ h)), g_γ = Σ g x̂, g_β = Σ g.
    """
    h = g if gamma is None else g * gamma
    dh = total(dg if gamma is None else product(operator.mul, dg, gamma),
               product(operator.mul, g, dgamma))  # fmt: skip
    dunit = product(lambda d: _normalized_tangent(d, unit, rstd, dims), d)
    along = product(lambda dh: _normalized_tangent(dh, unit, rstd, dims), dh)
    across = None
    if d is not None and dims is not None:
        # The factor rstd moves by −rstd² mean(x̂ ẋ); x̂ and its inner product with h move too.
        shrink = rstd * _mean_product(unit, d, dims)
        input_gradient = _normalized_tangent(h, unit, rstd, dims)
        across = input_gradient * -shrink
        across = torch.addcmul(across, dunit, rstd * _mean_product(unit, h, dims), value=-1)
        across = torch.addcmul(across, unit, rstd * _mean_product(dunit, h, dims), value=-1)
    over = list(affine_dims)
    dgamma_gradient = total(
        product(lambda dg: (dg * unit).sum(over), dg), product(lambda du: (g * du).sum(over), dunit)
    )
    return total(along, across), dgamma_gradient, product(lambda dg: dg.sum(over), dg)


@rule(aten.native_layer_norm.default)
def layer_norm(out: Any, x: Arguments, dx: Sequence[Any]) -> Any:
    """Over the last dimensions."""
    (X, shape, gamma, *_), (dX, _, dgamma, dbeta, *_) = x, dx
    dims = list(range(-len(shape), 0))
    unit = (X - out[1]) * out[2]
    return (_normalization(dX, gamma, dgamma, dbeta, unit, out[2], dims), None, None)


@rule(aten.native_layer_norm_backward.default)
def layer_norm_backward(out: Any, x: Arguments, dx: Sequence[Any]) -> Any:
    """Over the last dimensions."""
    (G, X, shape, mean, rstd, gamma, *_), (dG, dX, _, _, _, dgamma, *_) = x, dx
    dims = list(range(-len(shape), 0))
    leading = list(range(len(X.shape) - len(shape)))
    unit = (X - mean) * rstd
    return _normalization_backward(G, dG, gamma, dgamma, dX, unit, rstd, dims, leading)


@rule(aten.native_group_norm.default)
def group_norm(out: Any, x: Arguments, dx: Sequence[Any]) -> Any:
    """Over the channels of a group and all places."""
    (X, gamma, *_, groups, _), (dX, dgamma, dbeta, *_) = x, dx
    images = _Grouped(groups, X.shape)
    unit, rstd = images.normalized(X, out[1], out[2])
    moved = _normalization(
        product(images.split, dX),
        product(images.per_channel, gamma),
        product(images.per_channel, dgamma),
        product(images.per_channel, dbeta),
        unit,
        rstd,
        images.places,
    )
    return (product(images.join, moved), None, None)


@rule(aten.native_group_norm_backward.default)
def group_norm_backward(out: Any, x: Arguments, dx: Sequence[Any]) -> Any:
    """Over the channels of a group and all places."""
    (G, X, mean, rstd, gamma, *_, groups, _), (dG, dX, _, _, dgamma, *_) = x, dx
    images = _Grouped(groups, X.shape)
    unit, rstd = images.normalized(X, mean, rstd)
    moved, dgamma_gradient, dbeta_gradient = _normalization_backward(
        images.split(G),
        product(images.split, dG),
        product(images.per_channel, gamma),
        product(images.per_channel, dgamma),
        product(images.split, dX),
        unit,
        rstd,
        images.places,
        (0, *images.places[1:]),
    )
    return (
        product(images.join, moved),
        product(lambda d: d.flatten(), dgamma_gradient),
        product(lambda d: d.flatten(), dbeta_gradient),
    )


@rule(aten.native_batch_norm.default, aten._native_batch_norm_legit.default)
def batch_norm(out: Any, x: Arguments, dx: Sequence[Any]) -> Any:
    """Over examples and places: by the batch's own statistics, or by given ones."""
    return _batch_norm(out, x, dx)


def _batch_norm(out: Any, x: Sequence[Any], dx: Sequence[Any]) -> Any:
    (X, gamma, _, running_mean, running_var, training, _, epsilon), (dX, dgamma, dbeta, *_) = x, dx
    channels = _Channels(X.shape)
    if training:
        unit, rstd = channels.normalized(X, out[1], out[2])
    else:
        unit, rstd = channels.normalized(X, running_mean, (running_var + epsilon).rsqrt())
    moved = _normalization(
        dX,
        product(channels.spread, gamma),
        product(channels.spread, dgamma),
        product(channels.spread, dbeta),
        unit,
        rstd,
        channels.others if training else None,
    )
    return (product(lambda d: d.expand(X.shape), moved), None, None)


@rule(aten._native_batch_norm_legit.no_stats)
def batch_norm_by_its_own(out: Any, x: Arguments, dx: Sequence[Any]) -> Any:
    """By the batch's own statistics; torch 2.9 names it apart."""
    return _batch_norm(out, (*x[:3], None, None, *x[3:]), dx)


@rule(aten._native_batch_norm_legit_no_training.default)
def batch_norm_by_given(out: Any, x: Arguments, dx: Sequence[Any]) -> Any:
    """By given statistics; torch 2.9 names it apart."""
    return _batch_norm(out, (*x[:5], False, *x[5:]), dx)


@rule(aten.native_batch_norm_backward.default)
def batch_norm_backward(out: Any, x: Arguments, dx: Sequence[Any]) -> Any:
    """Over examples and places."""
    (G, X, gamma, running_mean, running_var, mean, rstd, training, epsilon, _) = x
    (dG, dX, dgamma, *_) = dx
    channels = _Channels(X.shape)
    if training:
        unit, rstd = channels.normalized(X, mean, rstd)
    else:
        unit, rstd = channels.normalized(X, running_mean, (running_var + epsilon).rsqrt())
    return _normalization_backward(
        G,
        dG,
        product(channels.spread, gamma),
        product(channels.spread, dgamma),
        dX,
        unit,
        rstd,
        channels.others if training else None,
        channels.others,
    )


class _Channels:
    """Numbers per channel beside images (N, C, …)."""

    def __init__(self, shape: torch.Size) -> None:
        self.others = [dim for dim in range(len(shape)) if dim != 1]
        self._places = len(shape) - 2

    def spread(self, numbers: Any) -> Any:
        return numbers.reshape(-1, *(1,) * self._places)

    def normalized(self, X: Any, mean: Any, rstd: Any) -> tuple[Any, Any]:
        rstd = self.spread(rstd)
        return (X - self.spread(mean)) * rstd, rstd


class _Grouped:
    """Images (N, C, …) as (N, groups, channels of a group, …), in the layout that they have."""

    def __init__(self, groups: int, shape: torch.Size) -> None:
        self._split = (groups, shape[1] // groups)
        self._shape = (shape[0], *self._split, *shape[2:])
        self.places = list(range(2, len(shape) + 1))

    def split(self, X: Any) -> Any:
        return X.unflatten(1, self._split)

    def join(self, X: Any) -> Any:
        return X.expand(self._shape).flatten(1, 2)

    def per_channel(self, gamma: Any) -> Any:
        return gamma.reshape(*self._split, *(1,) * (len(self.places) - 1))

    def normalized(self, X: Any, mean: Any, rstd: Any) -> tuple[Any, Any]:
        per_group = (-1, self._split[0], *(1,) * len(self.places))
        rstd = rstd.reshape(per_group)
        return (self.split(X) - mean.reshape(per_group)) * rstd, rstd
