"""Operations alone, by rule or derived, against double backward in float64."""

import warnings

import pytest
import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from landscope.products.operation_graph import NoRuleError, trace
from landscope.products.traced import partition, write_tangents
from tests.reference.dense import relative_error

SHAPE = (2, 4, 5, 5)
ONES = torch.ones(5, 5, dtype=torch.float64)
PLACES = torch.tensor([1, 0, 1, 1])[None, :, None, None].expand(SHAPE)


def put(x, place, value):
    x[place] = value
    return x


def recurrent(x):
    """States are written one by one into one tensor."""
    states, state = torch.zeros_like(x), x[:, 0]
    for step in range(4):
        state = torch.tanh(state + x[:, step])
        states[:, step] = state
    return states


def changed_through_views(x):
    y = x * 1
    y[:, 0].mul_(x[:, 1])
    y[:, :, 1:3] += 1
    y.view(2, -1)[:, 5:9].exp_()
    return y * x


def without_gradients(x):
    with torch.no_grad():
        return x.exp()


def rotated(x):
    """Rotary embedding, in complex numbers."""
    pairs = torch.view_as_complex(x[..., :4].unflatten(-1, (2, 2)).contiguous())
    angles = torch.arange(10.0, dtype=x.dtype).view(5, 2)
    return torch.view_as_real(pairs * torch.polar(torch.ones_like(angles), angles))


ENTRYWISE = {
    "one less": lambda x: 1 - x * x,
    "scaled sum": lambda x: torch.add(x, x.square(), alpha=3) - torch.sub(x, x[:1], alpha=2),
    "scaled difference": lambda x: torch.rsub(x, x * x, alpha=2),
    "powers": lambda x: x**0 + x**1 + x**3 + 2.0**x + (1 + x * x) ** x,
    "maximum": lambda x: torch.maximum(x, x[:, :1]) * torch.minimum(x, x.flip(1)),
    "error function": lambda x: torch.erf(x) * torch.erfinv(x.tanh()),
    "sign without memory": lambda x: torch.sgn(x) * x.exp(),
    "angle": lambda x: torch.atan2(x, 1 + x.square()),
    "between": lambda x: torch.lerp(x, x.square(), x.sigmoid()),
    "multiplied and added": lambda x: torch.addcmul(x, x.sin(), x[:, :1], value=2),
    "divided and added": lambda x: torch.addcdiv(x, x.sin(), 1 + x.square(), value=2),
    "rounded quotient": lambda x: x * torch.div(x.square(), 0.01, rounding_mode="trunc"),
    "remainder": lambda x: x.remainder(0.1) * x,
    "log-odds": lambda x: torch.logit(x.sigmoid()) * torch.logit(x.sigmoid(), 0.4),
    "parametric": lambda x: F.prelu(x, x[0, :, 0, 0]),
    "threshold": lambda x: F.threshold(x, 0.1, 0.2) * F.hardshrink(x, 0.1) * F.softshrink(x, 0.1),
    "gated": lambda x: F.glu(x, 1) * F.logsigmoid(x[:, :2]),
    "filled": lambda x: x.masked_fill(x > 0, 2.0) * x.square().masked_fill(x > 0, x.mean()),
    "where": lambda x: torch.where(x[:1] > 0, x[0, 0], torch.ones_like(x)) * x,
    "wider": lambda x: (x.float() * 2).double() * x,
    "detached": lambda x: x * x.detach() * x.data.exp() * without_gradients(x),
    "stable": lambda x: (x - x.amax(1, True).detach()).exp(),
}
REDUCTIONS = {
    "largest": lambda x: x * x.amax(1, True) * x.max(2, True).values * x.min(),
    "several largest": lambda x: x.square().topk(2, 1).values,
    "sorted": lambda x: x.square().sort(1)[0] * torch.arange(4.0)[:, None, None],
    "median": lambda x: x * x.median(1, keepdim=True)[0] * x.quantile(0.3, dim=1, keepdim=True),
    "log of sum": lambda x: x * torch.logsumexp(x, 1, keepdim=True),
    "sums": lambda x: x.square().cumsum(1) * x.cumprod(1) * x.prod(1, keepdim=True),
    "norms": lambda x: x * x.norm(3, 1, True) * x.norm(1) * x.norm(torch.inf, 2, True) * x.norm(),
    "variance": lambda x: x * x.var(1, keepdim=True) / x.std((2, 3), correction=0, keepdim=True),
    "given type": lambda x: x.cumsum(1, dtype=torch.float64) * x.softmax(1, dtype=torch.float64),
    "cosine": lambda x: F.cosine_similarity(x[:, :2], x[:, 2:], dim=1),
    "root of mean square": lambda x: F.rms_norm(x, [5], x[0, 0, 0]),
}
INDEXED = {
    "scattered": lambda x: torch.zeros_like(x).scatter_add(1, PLACES, x * x),
    "scattered mean": lambda x: x.scatter_reduce(1, PLACES, x.square(), "mean"),
    "scattered values": lambda x: x.scatter(1, PLACES[:, :2], x[:, 2:].square()),
    "added": lambda x: x.index_add(1, torch.tensor([0, 0]), x[:, 2:].square(), alpha=3),
    "accumulated": lambda x: x.index_put((torch.tensor([0, 0]),), x.square(), accumulate=True),
    "selected": lambda x: x * x[x > 0].exp().sum(),
    "selected and put": lambda x: x * torch.zeros_like(x).masked_scatter(x > 0, x[x > 0].exp()),
    "set where": lambda x: put(x.square(), x > 0.3, 0.3) * put(x.square(), [0, 1], x[0]),
    "set slices": lambda x: put(x.square(), (slice(None), 0), x[:, 1]),
    "states": recurrent,
    "views": changed_through_views,
    "transposed": lambda x: (x * 2).transpose_(1, 2).unsqueeze_(0).squeeze_(0).square(),
    "rolled": lambda x: x * x.roll((1, 2), (1, 2)) * x.flip(1, 2),
    "triangles": lambda x: x.square().triu(1) * x + x.tril(-1) * x,
    "strided": lambda x: x * x.contiguous().as_strided(SHAPE, (100, 25, 1, 5)),
    "windows": lambda x: x.unfold(2, 3, 2).square(),
    "repeated": lambda x: x.repeat_interleave(2, 1).square() * x.repeat(1, 2, 1, 1),
    "rotated": rotated,
}
PRODUCTS = {
    "matrix and vector": lambda x: x[0, 0] @ x[1, 0, 0] * x.sum(),
    "scaled": lambda x: torch.addmm(x[0, 0], x[0, 1], x[0, 1], beta=2, alpha=3) * x,
    "batched": lambda x: torch.baddbmm(x[:, 0], x[:, 1], x[:, 2], beta=2, alpha=3),
    "einsum": lambda x: torch.einsum("nchw,nkhw,ncij->nkc", x, x, x),
    "inverse": lambda x: torch.linalg.inv(x[:, 0] + 5 * torch.eye(5)),
    "triangular": lambda x: torch.linalg.cholesky(x[:, 0] @ x[:, 0].mT + torch.eye(5)),
    "distances": lambda x: torch.cdist(x.flatten(2), x.flatten(2) + 1),
    "attention": lambda x: F.scaled_dot_product_attention(x, x.flip(1), x * 2, is_causal=True),
    "masked attention": lambda x: F.scaled_dot_product_attention(x, x, x, ONES.tril(1).bool()),
    "biased attention": lambda x: F.scaled_dot_product_attention(x, x, x, ONES.tril(1).log()),
    "grouped attention": lambda x: F.scaled_dot_product_attention(
        x, x[:, :2], x[:, 2:], enable_gqa=True
    ),
    "spectrum": lambda x: torch.fft.rfft2(x).abs().square(),
}
IMAGES = {
    "upsampled": lambda x: F.interpolate(x, scale_factor=1.5, mode="bicubic"),
    "nearest": lambda x: F.interpolate(x, scale_factor=1.5, mode="nearest-exact"),
    "padded": lambda x: F.pad(x, (1, 2, 1, 2), "reflect") * F.pad(x, (2, 1, 2, 1), "replicate"),
    "padded around": lambda x: F.pad(x, (1, 2, 1, 2), "circular").square(),
    "pooled": lambda x: F.adaptive_max_pool2d(x, 2) * F.adaptive_avg_pool2d(x, 2),
    "pooled by norm": lambda x: F.lp_pool2d(x.square() + 1, 2, 2),
    "unpooled": lambda x: F.max_unpool2d(*F.max_pool2d(x[..., :4, :4], 2, return_indices=True), 2),
    "normed locally": lambda x: F.local_response_norm(x, 2),
    "shuffled": lambda x: F.channel_shuffle(x, 2) * F.pixel_unshuffle(F.pixel_shuffle(x, 2), 2),
}
LOSSES = {
    "huber": lambda x: F.huber_loss(x, x.flip(1).square(), delta=0.1) * x,
    "smooth L1": lambda x: F.smooth_l1_loss(x, x.flip(1).square(), reduction="none", beta=0.1),
    "cross-entropy of two": lambda x: F.binary_cross_entropy(
        x.sigmoid(), x.flip(1).sigmoid(), reduction="none"
    ),
    "logits of two": lambda x: F.binary_cross_entropy_with_logits(
        x, x.detach().square(), reduction="none", pos_weight=ONES + 1
    ),
    "divergence": lambda x: F.kl_div(x.log_softmax(1), x.flip(1).softmax(1), reduction="none"),
    "gaussian": lambda x: F.gaussian_nll_loss(x, x.flip(1), x.square() + 0.1, reduction="none"),
    "smoothed": lambda x: F.cross_entropy(
        x, torch.ones(2, 5, 5, dtype=torch.long), reduction="none", label_smoothing=0.1
    ),
    "soft": lambda x: F.cross_entropy(x, x.flip(1).softmax(1), reduction="none"),
    "margin": lambda x: F.soft_margin_loss(x, x.detach().sign(), reduction="none"),
    "triplet": lambda x: F.triplet_margin_loss(x[0, 0], x[0, 1], x[0, 2]) * x,
}
OPERATIONS = ENTRYWISE | REDUCTIONS | INDEXED | PRODUCTS | IMAGES | LOSSES


def drawn():
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(SHAPE, dtype=torch.float64, generator=generator) for _ in range(3)]


def traced_gradient(value, inputs):
    """The tangent of ∂value/∂w, w the first of the inputs."""

    def gradient(w, *others):
        w = w.detach().requires_grad_()
        return torch.autograd.grad(value(w, *others), (w,))

    written, _, tangents = write_tangents(trace(gradient, inputs), 1)
    return partition(written, 1, tangents, [inputs[0].shape])


def assert_equals_double_backward(value, w, x, v):
    product = traced_gradient(value, [w, x])
    constants = product.constants([w, x])
    point = w.clone().requires_grad_()
    (g,) = torch.autograd.grad(value(point, x), point, create_graph=True)
    expected = torch.autograd.grad(g, point, v)[0].flatten()
    assert relative_error(product.product(constants, [v]), expected) < 1e-9
    block = product.block_product(constants, [torch.stack([v, -v])])
    assert relative_error(block[:, 1], -expected) < 1e-9


@pytest.mark.parametrize("name", OPERATIONS)
def test_traced_equals_double_backward(name):
    def value(w, x):
        with sdpa_kernel(SDPBackend.MATH):  # the others have one derivative only
            y = torch.sin(OPERATIONS[name](w * x))
        return (y * torch.linspace(0.5, 1.5, y.numel(), dtype=y.dtype).view(y.shape)).sum()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*deprecated")
        assert_equals_double_backward(value, *drawn())


@pytest.mark.parametrize("padding_idx", [None, 2])
def test_the_row_of_padding_does_not_move(padding_idx):
    table, indices = torch.randn(5, 3, dtype=torch.float64), torch.tensor([[0, 2], [2, 4]])

    def value(w, indices):
        rows = F.embedding(indices, w, padding_idx=padding_idx)
        return (rows.exp().sum(1) ** 2).sum()

    assert_equals_double_backward(value, table, indices, torch.ones_like(table))


@pytest.mark.parametrize(
    "operation",
    [lambda x: torch.linalg.det(x[:, 0]), lambda x: torch.linalg.solve(x[:, 0], x[:, 1])],
)
def test_what_torch_keeps_for_itself_is_not_taken_for_constant(operation):
    """The factors of a matrix enter its derivative, but have none of their own."""
    w, x, _ = drawn()
    with pytest.raises(NoRuleError, match="no derivative of its own"):
        traced_gradient(lambda w, x: operation(w * x).sin().sum(), [w, x])
