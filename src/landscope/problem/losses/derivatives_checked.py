"""The derivatives that a loss gives, compared with those of its terms by autograd."""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from landscope.arguments import first_line
from landscope.problem.losses.by_autograd import LossByAutograd
from landscope.problem.losses.cross_entropy import CrossEntropy
from landscope.problem.losses.loss import Loss, RefusedLossError, moved, name_of
from landscope.problem.losses.negative_log_likelihood import NegativeLogLikelihood
from landscope.problem.losses.squared_error import MeanSquaredError
from landscope.problem.losses.targets import floating_to
from landscope.problem.reverse_mode import derivative

MOST_LOGITS = 2**20
"""Logits that are compared at a time; two terms are, whatever they have."""

MOST_FACTORS = 64
"""Terms of which the factors, C times as large as their logits, are compared."""

TOLERANCE = {torch.float64: 1e-5, torch.float32: 1e-2}
"""Largest relative difference; a loss may round constants of its own to float32."""

CLOSED_FORMS = (CrossEntropy, MeanSquaredError, NegativeLogLikelihood)
"""Losses of the project itself, whose derivatives its tests compare."""


def check_derivatives(
    loss: Loss, logits: Float[Tensor, "T C"], targets: Shaped[Tensor, "T ..."]
) -> None:
    """Refuse a loss whose derivatives disagree with its terms, or have another shape.

    Compared are all terms, in float64 where the loss computes in it: each with what it is
    alone, its gradient, and M v for one Gaussian v, with autograd of `terms`.

    Parameters
    ----------
    loss : Loss
        Any.
    logits, targets
        Of some terms.

    Raises
    ------
    RefusedLossError
        With the relative difference, or the shape and the one that is needed, or the reason why
        torch cannot differentiate the terms twice.
    """
    if type(loss) in CLOSED_FORMS or not len(logits):
        return
    rows = max(2, MOST_LOGITS // logits.shape[1])
    for z, y in zip(logits.detach().split(rows), targets.split(rows), strict=True):
        _check_some(loss, z, y)


def is_hand_written(loss: Loss) -> bool:
    """Whether a loss says derivatives of its own, which only a comparison on all data holds."""
    return not isinstance(loss, (*CLOSED_FORMS, LossByAutograd))


def _check_some(loss: Loss, z: Float[Tensor, "T C"], y: Shaped[Tensor, "T ..."]) -> None:
    for dtype in dict.fromkeys((torch.float64, z.dtype)):  # it may compute in one dtype alone
        try:
            with torch.enable_grad():
                _compare(moved(loss, z.device, dtype), z.to(dtype), floating_to(y, dtype))
            return
        except RefusedLossError:
            raise
        except Exception as error:  # of the loss, whatever it is
            failure = error
    raise RefusedLossError(
        f"loss {name_of(loss)} cannot be differentiated twice in logits of shape {tuple(z.shape)} "
        f"with targets {tuple(y.shape)}: {first_line(failure)}; write its terms in differentiable "
        "operations of torch"
    ) from failure


def _compare(loss: Loss, z: Float[Tensor, "T C"], y: Shaped[Tensor, "T ..."]) -> None:
    """Terms with those of single rows, and derivatives with autograd."""
    tolerance = TOLERANCE.get(z.dtype, TOLERANCE[torch.float32])

    def agree(what: str, found: Tensor, expected: Tensor) -> None:
        if found.shape != expected.shape:
            raise RefusedLossError(
                f"{what} of loss {name_of(loss)} has the shape {tuple(found.shape)} for logits of "
                f"shape {tuple(z.shape)} and targets {tuple(y.shape)}; it must be "
                f"{tuple(expected.shape)}"
            )
        scale = float(expected.norm().maximum(found.norm()))
        difference = float((found - expected).norm()) / (scale or 1.0)
        if not difference <= tolerance:
            raise RefusedLossError(
                f"{what} of loss {name_of(loss)} differs by {difference:.2g}, relatively, from "
                f"{_REFERENCE[what]} on {len(z)} terms; mend the loss"
            )

    terms = loss.terms(z, y)
    if terms.shape != (len(z),):
        agree("terms", terms, z.new_empty(len(z)))
    alone = torch.cat([loss.terms(z[i : i + 1], y[i : i + 1]) for i in range(min(len(z), 4))])
    agree("terms", terms[: len(alone)].detach(), alone.detach())
    point = z.clone().requires_grad_()
    gradient = derivative(loss.terms(point, y).sum(), point, again=True)
    agree("gradient", loss.gradient(z, y), gradient.detach())
    v = torch.randn(z.shape, generator=torch.Generator().manual_seed(0), dtype=z.dtype).to(z.device)
    Mv = derivative(gradient, point, v)
    agree("hessian_vector_product", loss.hessian_vector_product(z, y, v), Mv)
    if hasattr(loss, "hessian_factor"):
        few = slice(MOST_FACTORS)
        S = loss.hessian_factor(z[few], y[few])
        agree("hessian_factor", (S @ (S.mT @ v[few, :, None]))[:, :, 0], Mv[few])


_REFERENCE = {
    "terms": "that of the same terms alone, so that targets and logits broadcast or terms depend "
    "on each other",
    "gradient": "the derivative of its terms",
    "hessian_vector_product": "the second derivative of its terms",
    "hessian_factor": "the second derivative of its terms",
}
