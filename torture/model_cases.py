"""Modules and functions of torch, each between two linear layers."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

POSITIVE = [
    "log", "log2", "log10", "sqrt", "rsqrt", "reciprocal", "lgamma", "digamma",
]  # fmt: skip
WITHIN_ONE = [
    "acos", "asin", "atanh", "erfinv",
]  # fmt: skip
ANY = [
    "abs", "asinh", "atan", "ceil", "cos", "cosh", "deg2rad", "erf", "erfc", "exp", "exp2",
    "expm1", "floor", "frac", "neg", "positive", "rad2deg", "relu", "round",
    "sigmoid", "sign", "sgn", "sin", "sinc", "sinh", "square", "tan", "tanh", "trunc",
    "nan_to_num", "i0",
]  # fmt: skip
ACTIVATIONS = {
    "ELU": nn.ELU(1.3), "CELU": nn.CELU(0.7), "SELU": nn.SELU(), "GELU": nn.GELU(),
    "GELU tanh": nn.GELU("tanh"), "Hardshrink": nn.Hardshrink(0.2), "Hardsigmoid":
    nn.Hardsigmoid(), "Hardswish": nn.Hardswish(), "Hardtanh": nn.Hardtanh(-0.4, 0.3),
    "LeakyReLU": nn.LeakyReLU(0.1), "LogSigmoid": nn.LogSigmoid(), "Mish": nn.Mish(),
    "PReLU": nn.PReLU(), "PReLU each": nn.PReLU(8), "ReLU": nn.ReLU(), "ReLU in place":
    nn.ReLU(inplace=True), "ReLU6": nn.ReLU6(), "RReLU": nn.RReLU(), "SiLU": nn.SiLU(),
    "Softplus": nn.Softplus(), "Softplus beta": nn.Softplus(3.0, 1.0), "Softshrink":
    nn.Softshrink(0.2), "Softsign": nn.Softsign(), "Tanhshrink": nn.Tanhshrink(),
    "Threshold": nn.Threshold(0.1, 0.3), "Softmax": nn.Softmax(1), "Softmin": nn.Softmin(1),
    "LogSoftmax": nn.LogSoftmax(1), "Identity": nn.Identity(), "Dropout": nn.Dropout(0.5),
    "GLU": nn.Sequential(nn.GLU(), nn.Linear(4, 8)), "LayerNorm": nn.LayerNorm(8),
    "LayerNorm bare": nn.LayerNorm(8, elementwise_affine=False), "RMSNorm": nn.RMSNorm(8),
    "GroupNorm": nn.GroupNorm(2, 8), "BatchNorm1d": nn.BatchNorm1d(8),
    "weight_norm": nn.utils.parametrizations.weight_norm(nn.Linear(8, 8)),
    "spectral_norm": nn.utils.parametrizations.spectral_norm(nn.Linear(8, 8)),
    "orthogonal": nn.utils.parametrizations.orthogonal(nn.Linear(8, 8)),
}  # fmt: skip
OF_ROWS: dict[str, Callable[[Tensor], Tensor]] = {
    "1 - x": lambda x: 1 - x, "x / 3": lambda x: x / 3, "2 / (2 + x²)": lambda x: 2 / (2 + x * x),
    "x // 1": lambda x: x // 1, "x % 1": lambda x: x % 1, "x²": lambda x: x**2, "|x|^2.5":
    lambda x: (x.abs() + 0.1) ** 2.5, "2^x": lambda x: 2**x, "x^x": lambda x: (x.abs() + 1) ** x,
    "x^0": lambda x: x**0 + x, "x^1": lambda x: x**1, "x^3": lambda x: x.pow(3),
    "float_power": lambda x: torch.float_power(x.abs() + 0.1, 1.5).to(x.dtype),
    "clamp": lambda x: x.clamp(-0.3, 0.4), "clamp_min": lambda x: x.clamp_min(0),
    "clamp_max": lambda x: x.clamp_max(0.2), "clamp by tensors": lambda x: torch.clamp(x, -x, x),
    "maximum": lambda x: torch.maximum(x, x.flip(1)), "minimum": lambda x: torch.minimum(x, -x),
    "fmax": lambda x: torch.fmax(x, x.roll(1, 1)), "fmin": lambda x: torch.fmin(x, x.roll(1, 1)),
    "atan2": lambda x: torch.atan2(x, 1 + x.flip(1) ** 2), "hypot": lambda x: torch.hypot(x, x + 1),
    "lerp": lambda x: torch.lerp(x, x.flip(1), 0.3), "lerp by": lambda x: torch.lerp(x, 2 * x, x),
    "addcmul": lambda x: torch.addcmul(x, x, x.flip(1), value=0.5),
    "addcdiv": lambda x: torch.addcdiv(x, x, 2 + x * x, value=0.5),
    "where": lambda x: torch.where(x > 0, x * x, torch.sin(x)),
    "where number": lambda x: torch.where(x > 0, x * x, 0.5),
    "logaddexp": lambda x: torch.logaddexp(x, x.flip(1)), "xlogy":
    lambda x: torch.xlogy(x, 1 + x * x), "masked_fill": lambda x: x.masked_fill(x > 0.3, 0.1),
    "logsumexp": lambda x: x - x.logsumexp(1, keepdim=True), "amax": lambda x: x * x.amax(1, True),
    "amin": lambda x: x * x.amin(1, True), "max": lambda x: x * x.max(1, keepdim=True).values,
    "min": lambda x: x * x.min(1, keepdim=True)[0], "max all of row": lambda x: x * x.amax((1,))[
    :, None], "aminmax": lambda x: x * x.aminmax(dim=1, keepdim=True).max,
    "median": lambda x: x * x.median(1, keepdim=True).values,
    "mean": lambda x: x - x.mean(1, keepdim=True), "sum dtype":
    lambda x: x * x.sum(1, keepdim=True, dtype=torch.float64).to(x.dtype), "prod":
    lambda x: x * x.prod(1, keepdim=True), "var": lambda x: x / (1 + x.var(1, keepdim=True)),
    "std": lambda x: x / (1 + x.std(1, keepdim=True)), "var_mean":
    lambda x: x * torch.var_mean(x, 1, keepdim=True)[0], "norm":
    lambda x: x / (1 + x.norm(dim=1, keepdim=True)), "norm 1": lambda x: x / (1 + x.norm(1, 1, True)
    ), "norm inf": lambda x: x / (1 + x.norm(torch.inf, 1, True)), "norm 3":
    lambda x: x / (1 + x.norm(3, 1, True)), "vector_norm":
    lambda x: x / (1 + torch.linalg.vector_norm(x, 2, 1, True)), "normalize":
    lambda x: F.normalize(x + 0.1, dim=1), "cumsum": lambda x: x.cumsum(1), "cumprod":
    lambda x: x.cumprod(1), "cummax": lambda x: x.cummax(1).values, "logcumsumexp":
    lambda x: x.logcumsumexp(1), "diff": lambda x: F.pad(x.diff(dim=1), (1, 0)),
    "topk": lambda x: x * x.topk(2, 1).values.sum(1, True), "sort": lambda x: x.sort(1).values,
    "argsort": lambda x: x.gather(1, x.argsort(1)), "kthvalue":
    lambda x: x * x.kthvalue(2, 1, True).values, "quantile":
    lambda x: x * x.quantile(0.3, 1, keepdim=True), "trapezoid":
    lambda x: x * torch.trapezoid(x, dim=1)[:, None], "softmax dtype":
    lambda x: x.softmax(1, dtype=torch.float64).to(x.dtype), "index": lambda x: x[:, [3, 1, 1, 0, 7,
    2, 2, 5]], "index tensor": lambda x: x[:, torch.arange(8).flip(0)], "slices":
    lambda x: torch.cat([x[:, ::2], x[:, 1::2]], 1), "boolean mask": lambda x: x.new_zeros(
    x.shape).masked_scatter(x > 0, x[x > 0] ** 2), "set by mask": lambda x: set_by_mask(x.clone()),
    "set item": lambda x: set_item(x.clone()), "gather":
    lambda x: x.gather(1, torch.zeros(len(x), 8).long()), "scatter":
    lambda x: torch.zeros_like(x).scatter(1, torch.arange(8).expand(len(x), 8).flip(1), x * x),
    "scatter_add": lambda x: torch.zeros_like(x).scatter_add(1, torch.zeros(len(x), 8).long(), x),
    "scatter_reduce": lambda x: torch.zeros_like(x).scatter_reduce(
    1, torch.arange(8).expand(len(x), 8) // 2, x, "amax"), "index_select":
    lambda x: x.index_select(1, torch.tensor([0, 0, 1, 2, 3, 4, 5, 6])), "index_add":
    lambda x: x.index_add(1, torch.tensor([0, 0]), x[:, :2]), "index_copy":
    lambda x: x.index_copy(1, torch.tensor([3]), x[:, :1] ** 2), "index_fill":
    lambda x: x.index_fill(1, torch.tensor([3]), 0.5), "index_put":
    lambda x: x.index_put((torch.arange(len(x)), torch.zeros(len(x)).long()), x[:, 1]),
    "index_put accumulate": lambda x: x.index_put((torch.arange(len(x)),
    torch.zeros(len(x)).long()), x[:, 1], accumulate=True), "take_along_dim":
    lambda x: x.take_along_dim(x.argsort(1), 1), "roll": lambda x: x + x.roll(2, 1),
    "flip": lambda x: x * x.flip(1), "tril": lambda x: (x[:, :, None] * x[:, None]).tril().sum(1),
    "triu": lambda x: (x[:, :, None] * x[:, None]).triu(1).sum(1), "diag_embed":
    lambda x: x.diag_embed().sum(1), "diagonal":
    lambda x: (x[:, :, None] * x[:, None]).diagonal(dim1=1, dim2=2), "unfold":
    lambda x: x.unfold(1, 3, 1).sum(2).repeat(1, 2)[:, :8], "repeat": lambda x: x.repeat(1, 2)[
    :, 3:11], "repeat_interleave": lambda x: x.repeat_interleave(2, 1)[:, :8], "tile":
    lambda x: x.tile(1, 2)[:, 4:12], "expand": lambda x: x[:, :1].expand(-1, 8) * x, "chunk":
    lambda x: torch.cat(x.chunk(2, 1)[::-1], 1), "unbind": lambda x: torch.stack(x.unbind(1)[::-1],
    1), "as_strided": lambda x: x.contiguous().as_strided((len(x), 8), (8, 1)) * 2, "view dtype":
    lambda x: x.view(x.dtype), "squeeze_": lambda x: x.clone().unsqueeze_(2).squeeze_(2),
    "transpose_": lambda x: x.clone().transpose_(0, 1).t_() * 2, "add_":
    lambda x: x.clone().add_(1).mul_(x), "sub alpha": lambda x: torch.sub(x, x * x, alpha=0.3),
    "rsub": lambda x: torch.rsub(x, 2.0), "true_divide": lambda x: torch.true_divide(x, 3),
    "div floor": lambda x: torch.div(x, 0.3, rounding_mode="floor") + x, "remainder":
    lambda x: torch.remainder(x, 0.7), "fmod": lambda x: torch.fmod(x, 0.7), "copysign":
    lambda x: torch.copysign(x, x.flip(1)), "heaviside": lambda x: x * (x > 0).to(x.dtype),
    "outer": lambda x: (x[:, :, None] * x[:, None]).sum(2), "einsum":
    lambda x: torch.einsum("bi,bj->bi", x, x), "einsum bij": lambda x: torch.einsum(
    "bij,bjk->bk", x.view(-1, 2, 4), x.view(-1, 4, 2)).repeat(1, 4), "bmm": lambda x: torch.bmm(
    x.view(-1, 2, 4), x.view(-1, 4, 2)).flatten(1).repeat(1, 2), "baddbmm": lambda x: torch.baddbmm(
    torch.ones(1, 2, 2, dtype=x.dtype), x.view(-1, 2, 4), x.view(-1, 4, 2)).flatten(1).repeat(1, 2),
    "cdist": lambda x: torch.cdist(x.view(-1, 4, 2) + 0.1, x.view(-1, 4, 2) * 2).sum(1).repeat(1, 2
    ), "cosine_similarity": lambda x: x * F.cosine_similarity(x + 1, x.flip(1) + 1)[:, None],
    "pairwise_distance": lambda x: x * F.pairwise_distance(x, x.flip(1) + 1)[:, None], "cross":
    lambda x: torch.cat([torch.linalg.cross(x[:, :3], x[:, 3:6]), x[:, :5]], 1), "kron":
    lambda x: torch.stack([torch.kron(r[:2], r[:4]) for r in x]), "det":
    lambda x: x * square(x).det()[:, None], "slogdet":
    lambda x: x * square(x).slogdet().logabsdet[:, None], "inv":
    lambda x: square(x).inverse().flatten(1).repeat(1, 2), "solve": lambda x: torch.linalg.solve(
    square(x), x.view(-1, 2, 4)).flatten(1), "cholesky": lambda x: torch.linalg.cholesky(
    positive(x)).flatten(1).repeat(1, 2), "eigvalsh": lambda x: torch.linalg.eigvalsh(
    positive(x)).repeat(1, 4), "svdvals": lambda x: torch.linalg.svdvals(square(x)).repeat(1, 4),
    "matrix_exp": lambda x: torch.matrix_exp(square(x) / 4).flatten(1).repeat(1, 2), "pinv":
    lambda x: torch.linalg.pinv(square(x)).flatten(1).repeat(1, 2), "trace": lambda x: x * (
    square(x).diagonal(dim1=1, dim2=2).sum(1)[:, None]), "rfft": lambda x: torch.fft.rfft(x).abs()[
    :, [0, 1, 2, 3, 4, 1, 2, 3]], "fft real": lambda x: torch.fft.fft(x).real, "complex":
    lambda x: (torch.complex(x, x.flip(1)) ** 2).imag, "view_as_complex": lambda x:
    torch.view_as_complex(x.view(-1, 4, 2).contiguous()).abs().repeat(1, 2), "detach mean":
    lambda x: x - x.mean(1, keepdim=True).detach(), "no_grad": lambda x: x * under_no_grad(x),
    "straight through": lambda x: x + (x.round() - x).detach(), "to double": lambda x: (
    x.double() ** 2).to(x.dtype), "ends double": lambda x: (x * x).double(), "type_as":
    lambda x: (x * x).type_as(x), "tolist": lambda x: x * sum(v > 0 for v in x[:, 0].tolist()),
    "item in a loop": lambda x: torch.stack([r * (2 if r[0].item() > 0 else 1) for r in x]),
    "if": lambda x: torch.stack([r * r if r[0] > 0 else r.sin() for r in x]), "numpy":
    lambda x: x * torch.from_numpy((x.detach().numpy() > 0) * 1.0 + 1).to(x.dtype), "nonzero":
    lambda x: x.index_put(tuple((x > 0).nonzero().T), x[x > 0] ** 2), "unique": lambda x: x * (
    x[:, :1] > 0).unique().numel(), "any": lambda x: x * x if bool((x == 0).any()) else x.sin(),
    "vmap": lambda x: torch.vmap(lambda r: r * r.sum())(x), "func.grad": lambda x: torch.vmap(
    torch.func.grad(lambda r: (r**3).sum()))(x), "autograd.grad": lambda x: inner_gradient(x),
    "checkpoint": lambda x: torch.utils.checkpoint.checkpoint(torch.sin, x, use_reentrant=False),
    "checkpoint reentrant": lambda x: torch.utils.checkpoint.checkpoint(
    torch.sin, x, use_reentrant=True), "random": lambda x: x * torch.rand(8), "dropout":
    lambda x: F.dropout(x, 0.5), "gumbel": lambda x: F.gumbel_softmax(x), "autocast":
    lambda x: under_autocast(x), "half": lambda x: x.bfloat16().to(x.dtype) ** 2, "print":
    lambda x: (str(x.shape), x.sin())[1], "einops-like": lambda x: x.view(-1, 2, 2, 2).permute(
    0, 2, 1, 3).reshape(-1, 8).tanh(), "batch mean": lambda x: x - x.mean(0), "huber":
    lambda x: F.huber_loss(x, x.flip(1).detach() * 0, reduction="none", delta=0.3), "smooth_l1":
    lambda x: F.smooth_l1_loss(x, torch.zeros_like(x), reduction="none"), "bce":
    lambda x: F.binary_cross_entropy(x.sigmoid(), torch.full_like(x, 0.3), reduction="none"),
    "bce logits": lambda x: F.binary_cross_entropy_with_logits(x, torch.full_like(x, 0.3),
    reduction="none"), "kl_div": lambda x: F.kl_div(x.log_softmax(1), torch.full_like(x, 0.125),
    reduction="none"), "l1": lambda x: F.l1_loss(x, torch.zeros_like(x), reduction="none"),
    "mse": lambda x: F.mse_loss(x, torch.ones_like(x), reduction="none"), "poisson":
    lambda x: F.poisson_nll_loss(x, torch.ones_like(x), reduction="none"), "gaussian_nll":
    lambda x: F.gaussian_nll_loss(x, torch.ones_like(x), 1 + x * x, reduction="none"),
    "special.entr": lambda x: torch.special.entr(x * x + 0.1), "special.log_ndtr":
    lambda x: torch.special.log_ndtr(x), "special.ndtr": lambda x: torch.special.ndtr(x),
    "special.i0e": lambda x: torch.special.i0e(x), "special.i1": lambda x: torch.special.i1(x),
    "special.xlog1py": lambda x: torch.special.xlog1py(x, x * x), "polygamma":
    lambda x: torch.polygamma(1, 1 + x * x), "mvlgamma": lambda x: torch.mvlgamma(3 + x * x, 2),
    "ldexp": lambda x: torch.ldexp(x, torch.ones(8).long()), "nansum": lambda x: x * x.nansum(
    1, keepdim=True), "renorm": lambda x: x.renorm(2, 0, 0.5), "bernoulli mask":
    lambda x: x * (torch.arange(8) % 2).to(x.dtype), "rot90": lambda x: x.view(-1, 2, 4).rot90(
    1, (1, 2)).flatten(1), "movedim": lambda x: x.view(-1, 2, 4).movedim(1, 2).flatten(1).sin(),
    "swapaxes": lambda x: x.view(-1, 2, 4).swapaxes(1, 2).flatten(1).sin(), "hsplit":
    lambda x: torch.cat(x.hsplit(2)[::-1], 1).sin(), "block_diag": lambda x: torch.block_diag(
    *x.unbind(0)).view(len(x), len(x), 8).diagonal(dim1=0, dim2=1).T.sin(), "bucketize":
    lambda x: x * torch.bucketize(x.detach(), torch.tensor([-0.2, 0.3]).to(x.dtype)),
    "searchsorted": lambda x: x * torch.searchsorted(torch.tensor([-0.2, 0.3]).to(x.dtype),
    x.detach()), "one_hot": lambda x: x * F.one_hot(x.detach().argmax(1), 8), "argmax":
    lambda x: x * x.argmax(1, keepdim=True), "count_nonzero": lambda x: x * (x > 0).sum(
    1, keepdim=True), "isnan": lambda x: torch.where(x.isnan(), 0.0, x.sin()), "logit":
    lambda x: (0.1 + 0.8 * x.sigmoid()).logit(), "sgn log":
    lambda x: x.sign() * x.abs().log1p(), "silu mul": lambda x: F.silu(x) * x.flip(1),
    "rotary": lambda x: x * torch.cos(x) + torch.cat([-x[:, 4:], x[:, :4]], 1) * torch.sin(x),
}  # fmt: skip
OF_IMAGES: dict[str, Callable[[Tensor], Tensor] | nn.Module] = {
    "Conv2d": nn.Conv2d(2, 3, 3), "Conv2d strided": nn.Conv2d(2, 3, 2, stride=2), "Conv2d groups":
    nn.Conv2d(2, 4, 3, padding=1, groups=2), "Conv2d dilated": nn.Conv2d(2, 3, 2, dilation=2),
    "Conv2d circular": nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular"), "Conv2d reflect":
    nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect"), "Conv2d same": nn.Conv2d(2, 3, 3,
    padding="same"), "ConvTranspose2d": nn.ConvTranspose2d(2, 3, 2, stride=2), "Conv1d":
    nn.Sequential(nn.Flatten(2), nn.Conv1d(2, 3, 3)), "Conv3d": nn.Sequential(nn.Unflatten(1, (1, 2)
    ), nn.Conv3d(1, 2, 2)), "MaxPool2d": nn.MaxPool2d(2), "MaxPool2d overlapping":
    nn.MaxPool2d(3, 1, 1), "MaxPool1d": nn.Sequential(nn.Flatten(2), nn.MaxPool1d(2)), "AvgPool2d":
    nn.AvgPool2d(2), "AvgPool2d padded": nn.AvgPool2d(3, 2, 1, count_include_pad=False), "LPPool2d":
    nn.Sequential(nn.Softplus(), nn.LPPool2d(2, 2)), "AdaptiveAvgPool2d": nn.AdaptiveAvgPool2d(3),
    "AdaptiveMaxPool2d": nn.AdaptiveMaxPool2d(3), "FractionalMaxPool2d": nn.FractionalMaxPool2d(
    2, 2), "BatchNorm2d": nn.BatchNorm2d(2), "InstanceNorm2d": nn.InstanceNorm2d(2, affine=True),
    "GroupNorm": nn.GroupNorm(1, 2), "LocalResponseNorm": nn.LocalResponseNorm(2), "Dropout2d":
    nn.Dropout2d(), "PixelShuffle": nn.Sequential(nn.Conv2d(2, 4, 1), nn.PixelShuffle(2)),
    "PixelUnshuffle": nn.PixelUnshuffle(2), "ChannelShuffle": nn.ChannelShuffle(2), "Fold":
    nn.Sequential(nn.Unfold(2), nn.Tanh(), nn.Fold(4, 2)), "ReflectionPad": nn.ReflectionPad2d(1),
    "ReplicationPad": nn.ReplicationPad2d(1), "ConstantPad": nn.ConstantPad2d(1, 0.5), "ZeroPad":
    nn.ZeroPad2d(1), "CircularPad": nn.CircularPad2d(1), "Upsample": nn.Upsample(scale_factor=2),
    "bilinear": nn.Upsample(size=6, mode="bilinear"), "bicubic": nn.Upsample(size=6,
    mode="bicubic", align_corners=True), "area": lambda x: F.interpolate(x, size=2, mode="area"),
    "grid_sample": lambda x: F.grid_sample(x, torch.tanh(x[:, :, :2, :2].permute(0, 2, 3, 1)),
    align_corners=False), "affine_grid": lambda x: F.grid_sample(x, F.affine_grid(x.flatten(1)[
    :, :6].view(-1, 2, 3), (len(x), 2, 3, 3), align_corners=False), align_corners=False),
    "Softmax2d": nn.Softmax2d(), "channels last":
    lambda x: F.relu(x.to(memory_format=torch.channels_last)),
    "max_unpool": lambda x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2), "unfold":
    lambda x: F.unfold(x, 2).sin(), "einsum": lambda x: torch.einsum("bchw,bcHW->bhW", x, x),
    "weight_norm": nn.utils.parametrizations.weight_norm(nn.Conv2d(2, 3, 2)), "amax":
    lambda x: x.amax((2, 3)), "flatten max": lambda x: x.flatten(2).max(2).values,
}  # fmt: skip


def square(x: Tensor) -> Tensor:
    return x[:, :4].reshape(-1, 2, 2) + 2 * torch.eye(2, dtype=x.dtype)


def positive(x: Tensor) -> Tensor:
    A = x[:, :4].reshape(-1, 2, 2)
    return A @ A.mT + torch.diag(torch.tensor([1.0, 2.0], dtype=x.dtype))


def set_by_mask(x: Tensor) -> Tensor:
    x[x > 0] = x[x > 0] ** 2
    return x


def set_item(x: Tensor) -> Tensor:
    x[:, 0] = x[:, 1] * x[:, 2]
    return x


def under_no_grad(x: Tensor) -> Tensor:
    with torch.no_grad():
        return x.sin()


def under_autocast(x: Tensor) -> Tensor:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return (x @ torch.eye(8, dtype=x.dtype)).to(x.dtype)


def inner_gradient(x: Tensor) -> Tensor:
    x = x if x.requires_grad else x.detach().requires_grad_()
    return torch.autograd.grad((x**4).sum(), x, create_graph=True)[0]


class Around(nn.Module):
    """Linear, an operation, linear."""

    def __init__(self, operation: Callable[[Tensor], Tensor], shape: tuple[int, ...]) -> None:
        super().__init__()
        self.first, self.shape = nn.Linear(5, torch.Size(shape).numel()), shape
        self.operation = operation
        width = self.hidden(torch.randn(2, 5)).shape[1]
        self.last = nn.Linear(width, 3)

    def hidden(self, x: Tensor) -> Tensor:
        return self.operation(self.first(x).view(-1, *self.shape)).flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.hidden(x))


class OfTokens(nn.Module):
    """An embedding or another layer of tokens, then linear."""

    def __init__(self, layer: nn.Module, read: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.layer, self.read = layer, read
        self.last = nn.LazyLinear(3)
        self(torch.randint(1, 7, (2, 4)))

    def forward(self, ids: Tensor) -> Tensor:
        return self.last(torch.tanh(self.read(self.layer, ids)).flatten(1))


def of_sequences(kind: Callable[..., nn.Module], **options: object) -> nn.Module:
    layers = nn.ModuleList([nn.Embedding(7, 4, padding_idx=0), kind(4, 4, **options)])

    def read(layers: nn.Module, ids: Tensor) -> Tensor:
        out = layers[1](layers[0](ids))
        return out[0] if isinstance(out, tuple) else out

    return OfTokens(layers, read)


def attention(**options: object) -> nn.Module:
    layers = nn.ModuleList(
        [nn.Embedding(7, 4), nn.MultiheadAttention(4, 2, batch_first=True, **options)]
    )

    def read(layers: nn.Module, ids: Tensor) -> Tensor:
        x = layers[0](ids)
        return layers[1](x, x, x, key_padding_mask=ids == 0, need_weights=False)[0]

    return OfTokens(layers, read)


def scaled_attention(**options: object) -> nn.Module:
    layer = nn.Embedding(7, 8)

    def read(layer: nn.Module, ids: Tensor) -> Tensor:
        x = layer(ids).view(len(ids), 4, 2, 4).transpose(1, 2)
        mask = {} if "is_causal" in options else {"attn_mask": (ids != 0)[:, None, None]}
        return F.scaled_dot_product_attention(x, x.flip(2), x, **mask, **options)

    return OfTokens(layer, read)


def of_tokens() -> dict[str, Callable[[], nn.Module]]:
    plain = lambda layer, ids: layer(ids)  # noqa: E731
    encoder = {"nhead": 2, "dim_feedforward": 6, "batch_first": True}
    return {
        "Embedding": lambda: OfTokens(nn.Embedding(7, 4), plain),
        "Embedding padded": lambda: OfTokens(nn.Embedding(7, 4, padding_idx=0), plain),
        "Embedding sparse": lambda: OfTokens(nn.Embedding(7, 4, sparse=True), plain),
        "Embedding max_norm": lambda: OfTokens(nn.Embedding(7, 4, max_norm=50.0), plain),
        "EmbeddingBag sum": lambda: OfTokens(nn.EmbeddingBag(7, 4, mode="sum"), plain),
        "EmbeddingBag mean": lambda: OfTokens(nn.EmbeddingBag(7, 4, padding_idx=0), plain),
        "EmbeddingBag max": lambda: OfTokens(nn.EmbeddingBag(7, 4, mode="max"), plain),
        "RNN": lambda: of_sequences(nn.RNN, batch_first=True),
        "RNN relu": lambda: of_sequences(nn.RNN, batch_first=True, nonlinearity="relu"),
        "GRU": lambda: of_sequences(nn.GRU, batch_first=True),
        "GRU both ways": lambda: of_sequences(nn.GRU, batch_first=True, bidirectional=True),
        "LSTM": lambda: of_sequences(nn.LSTM, batch_first=True),
        "LSTM two layers": lambda: of_sequences(nn.LSTM, batch_first=True, num_layers=2),
        "LSTM projected": lambda: of_sequences(nn.LSTM, batch_first=True, proj_size=2),
        "TransformerEncoderLayer": lambda: of_sequences(
            lambda d, _: nn.TransformerEncoderLayer(d, **encoder)
        ),
        "TransformerEncoderLayer gelu": lambda: of_sequences(
            lambda d, _: nn.TransformerEncoderLayer(
                d, activation="gelu", norm_first=True, **encoder
            )
        ),
        "MultiheadAttention": attention,
        "MultiheadAttention bias_kv": lambda: attention(add_bias_kv=True, add_zero_attn=True),
        "SDPA mask": scaled_attention,
        "SDPA causal": lambda: scaled_attention(is_causal=True),
        "SDPA scale": lambda: scaled_attention(scale=0.3),
    }


def around(function: Callable[[Tensor], Tensor], *shape: int) -> Callable[[], nn.Module]:
    return lambda: Around(function, shape)


def of_positive(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda x: function(1 + x * x)


def within_one(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda x: function(0.9 * x.tanh())


def every_model() -> Iterator[tuple[str, Callable[[], nn.Module]]]:
    """Names and how each is built."""
    for name in ANY:
        yield f"torch.{name}", around(getattr(torch, name), 8)
    for name in POSITIVE:
        yield f"torch.{name}", around(of_positive(getattr(torch, name)), 8)
    for name in WITHIN_ONE:
        yield f"torch.{name}", around(within_one(getattr(torch, name)), 8)
    for name, module in ACTIVATIONS.items():
        yield f"nn.{name}", around(module, 8)
    for name, function in OF_ROWS.items():
        yield name, around(function, 8)
    for name, function in OF_IMAGES.items():
        yield f"image: {name}", around(function, 2, 4, 4)
    for name, build in of_tokens().items():
        yield f"tokens: {name}", build
