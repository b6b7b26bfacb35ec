"""The loss behind the ``loss`` argument of a problem: a name, a module, an object, a function."""

from collections.abc import Callable
from typing import Any

from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.nn import functional as F

from landscope.problem.losses.cross_entropy import CrossEntropy
from landscope.problem.losses.function import FunctionLoss
from landscope.problem.losses.loss import Loss
from landscope.problem.losses.negative_log_likelihood import NegativeLogLikelihood
from landscope.problem.losses.squared_error import MeanSquaredError
from landscope.problem.losses.torch_module import ELEMENTWISE, ElementwiseLoss

MODULES: dict[type[nn.Module], Callable[[Any], Loss]] = {
    nn.CrossEntropyLoss: CrossEntropy.from_module,
    nn.NLLLoss: NegativeLogLikelihood.from_module,
    nn.MSELoss: lambda module: MeanSquaredError(over_outputs=True),
    **dict.fromkeys(ELEMENTWISE, ElementwiseLoss),
}
"""How losses of ``torch.nn`` are read."""

NAMES: dict[str, Callable[[], Loss | nn.Module]] = {
    "cross_entropy": CrossEntropy,
    "mse": MeanSquaredError,
    "nll": NegativeLogLikelihood,
    "l1": nn.L1Loss,
    "smooth_l1": nn.SmoothL1Loss,
    "huber": nn.HuberLoss,
    "bce_with_logits": nn.BCEWithLogitsLoss,
    "bce": nn.BCELoss,
    "kl_div": lambda: nn.KLDivLoss(reduction="batchmean"),
    "poisson_nll": nn.PoissonNLLLoss,
    "soft_margin": nn.SoftMarginLoss,
    "multilabel_soft_margin": nn.MultiLabelSoftMarginLoss,
}
"""Losses by name: all but "mse" as torch computes them; so are names in torch.nn.functional."""

FUNCTIONS: dict[Callable[..., Tensor], Callable[[], Loss | nn.Module]] = {
    F.cross_entropy: CrossEntropy,
    F.nll_loss: NegativeLogLikelihood,
    F.mse_loss: nn.MSELoss,
    F.l1_loss: nn.L1Loss,
    F.smooth_l1_loss: nn.SmoothL1Loss,
    F.huber_loss: nn.HuberLoss,
    F.binary_cross_entropy_with_logits: nn.BCEWithLogitsLoss,
    F.binary_cross_entropy: nn.BCELoss,
    F.kl_div: nn.KLDivLoss,
    F.poisson_nll_loss: nn.PoissonNLLLoss,
    F.soft_margin_loss: nn.SoftMarginLoss,
    F.multilabel_soft_margin_loss: nn.MultiLabelSoftMarginLoss,
}
"""Functions of torch that are the same as a module with its defaults."""

MORE_INPUTS = (
    nn.GaussianNLLLoss, nn.CTCLoss, nn.CosineEmbeddingLoss, nn.MarginRankingLoss,
    nn.TripletMarginLoss, nn.TripletMarginWithDistanceLoss, nn.AdaptiveLogSoftmaxWithLoss,
)  # fmt: skip
"""Losses of ``torch.nn`` that take more than outputs and targets."""


LossArgument = str | nn.Module | Loss | Callable[..., Any]
"""What `Problem` takes as its loss."""


def resolve_loss(loss: LossArgument) -> Loss:
    """The loss object behind the ``loss`` argument of `Problem`.

    Raises
    ------
    ValueError
        For an unknown name.
    TypeError
        For a loss of torch that takes more than outputs and targets, a class in place of an
        object, or what can be no loss.
    """
    if isinstance(loss, str):
        named = {function.__name__: make for function, make in FUNCTIONS.items()} | NAMES
        if loss == "gaussian_nll":
            return resolve_loss(nn.GaussianNLLLoss())
        if loss not in named:
            raise ValueError(f"loss is {loss!r}; accepted names are {sorted(NAMES)}")
        return resolve_loss(named[loss]())
    if isinstance(loss, type):
        name = loss.__name__
        raise TypeError(f"loss is the class {name}; give an object of it: {name}()")
    if isinstance(loss, MORE_INPUTS) or loss is F.gaussian_nll_loss:
        name = getattr(loss, "__name__", type(loss).__name__)
        raise TypeError(
            f"loss is {name}, which takes more than outputs and targets; give a function of both, "
            "such as lambda z, y: F.gaussian_nll_loss(z[:, :1], y, z[:, 1:].exp()) for a model "
            "that gives mean and log-variance"
        )
    for kind, read in MODULES.items():
        if isinstance(loss, kind) and type(loss).forward is kind.forward:
            return read(loss)
    if isinstance(loss, Loss):
        return loss
    if not callable(loss):
        raise TypeError(
            f"loss is a {type(loss).__name__}; accepted are a name, a loss of torch.nn, a function "
            "of outputs and targets, and an object with the methods terms, gradient and "
            "hessian_vector_product"
        )
    same = next((make for function, make in FUNCTIONS.items() if function is loss), None)
    return FunctionLoss(loss) if same is None else resolve_loss(same())


def read_outputs(loss: Loss, outputs: Float[Tensor, "..."], targets: Shaped[Tensor, "..."]) -> Loss:
    """The loss for outputs and targets of this form: what a function gives is known by them.

    Raises
    ------
    TypeError, ValueError
        Where the loss cannot be measured on them.
    """
    return loss.read(outputs, targets) if hasattr(loss, "read") else loss
