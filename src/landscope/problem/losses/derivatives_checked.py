"""The derivatives that a loss gives, compared with those of its terms by autograd."""

import copy

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.func import grad, vjp

from landscope.problem.losses.cross_entropy import CrossEntropy
from landscope.problem.losses.loss import Loss, name_of
from landscope.problem.losses.negative_log_likelihood import NegativeLogLikelihood
from landscope.problem.losses.squared_error import MeanSquaredError

MOST_ROWS = 64
"""Terms on which derivatives are compared."""

MOST_LOGITS = 2**20
"""Logits of those terms; two terms are compared whatever they have."""

TOLERANCE = {torch.float64: 1e-5, torch.float32: 1e-2}
"""Largest relative difference; a loss may round constants of its own to float32."""

CLOSED_FORMS = (CrossEntropy, MeanSquaredError, NegativeLogLikelihood)
"""Losses of the project itself, whose derivatives its tests compare."""


def check_derivatives(
    loss: Loss, logits: Float[Tensor, "T C"], targets: Shaped[Tensor, "T ..."]
) -> None:
    """Refuse a loss whose derivatives disagree with its terms, or have another shape.

    Compared are the first terms, in float64 where the loss computes in it: each with what it is
    alone, its gradient, and M v for one Gaussian v, with autograd of `terms`.

    Parameters
    ----------
    loss : Loss
        Any.
    logits, targets
        Of some terms.

    Raises
    ------
    ValueError
        With the relative difference, or the shape and the one that is needed, or the reason why
        torch cannot differentiate the terms twice.
    """
    if type(loss) in CLOSED_FORMS or not len(logits):
        return
    rows = min(MOST_ROWS, max(2, MOST_LOGITS // logits.shape[1]))
    z, y = logits[:rows].detach(), targets[:rows]
    with torch.enable_grad():
        try:
            _compare(_moved(loss, z.double()), z.double(), _as_floating(y, z.double()))
        except (RuntimeError, TypeError):  # the loss computes in one dtype alone
            try:
                _compare(_moved(loss, z), z, y)
            except (RuntimeError, TypeError) as error:
                reason = str(error).strip().splitlines()[0].rstrip(".")
                raise ValueError(
                    f"loss {name_of(loss)} cannot be differentiated twice in logits of shape "
                    f"{tuple(z.shape)} with targets {tuple(y.shape)}: {reason}; write its terms in "
                    "differentiable operations of torch"
                ) from error


def _compare(loss: Loss, z: Float[Tensor, "T C"], y: Shaped[Tensor, "T ..."]) -> None:
    """Terms with those of single rows, and derivatives with autograd."""
    tolerance = TOLERANCE.get(z.dtype, TOLERANCE[torch.float32])

    def agree(what: str, found: Tensor, expected: Tensor) -> None:
        if found.shape != expected.shape:
            raise ValueError(
                f"{what} of loss {name_of(loss)} has the shape {tuple(found.shape)} for logits of "
                f"shape {tuple(z.shape)} and targets {tuple(y.shape)}; it must be "
                f"{tuple(expected.shape)}"
            )
        scale = float(expected.norm().maximum(found.norm()))
        difference = float((found - expected).norm()) / (scale or 1.0)
        if not difference <= tolerance:
            raise ValueError(
                f"{what} of loss {name_of(loss)} differs by {difference:.2g}, relatively, from "
                f"{_REFERENCE[what]} on the first {len(z)} terms; mend the loss"
            )

    terms = loss.terms(z, y)
    if terms.shape != (len(z),):
        agree("terms", terms, z.new_empty(len(z)))
    alone = torch.cat([loss.terms(z[i : i + 1], y[i : i + 1]) for i in range(min(len(z), 4))])
    agree("terms", terms[: len(alone)].detach(), alone.detach())
    gradient = grad(lambda z: loss.terms(z, y).sum())
    agree("gradient", loss.gradient(z, y), gradient(z))
    v = torch.randn(z.shape, generator=torch.Generator().manual_seed(0), dtype=z.dtype).to(z.device)
    Mv = vjp(gradient, z)[1](v)[0]
    agree("hessian_vector_product", loss.hessian_vector_product(z, y, v), Mv)
    if hasattr(loss, "hessian_factor"):
        S = loss.hessian_factor(z, y)
        agree("hessian_factor", (S @ (S.mT @ v[:, :, None]))[:, :, 0], Mv)


_REFERENCE = {
    "terms": "that of the same terms alone, so that targets and logits broadcast or terms depend "
    "on each other",
    "gradient": "the derivative of its terms",
    "hessian_vector_product": "the second derivative of its terms",
    "hessian_factor": "the second derivative of its terms",
}


def _moved(loss: Loss, z: Tensor) -> Loss:
    """The loss in the dtype of some logits, where it has tensors; the caller's is not changed."""
    return copy.deepcopy(loss).to(z.device, z.dtype) if hasattr(loss, "to") else loss


def _as_floating(y: Tensor, z: Tensor) -> Tensor:
    return y.to(z.dtype) if y.is_floating_point() else y
