"""From a model's output to one row per target: flat logits and flat targets."""

from jaxtyping import Float, Shaped
from torch import Tensor


def flatten_logits(
    logits: Float[Tensor, "..."], targets: Shaped[Tensor, "..."]
) -> tuple[Float[Tensor, "R C"], Shaped[Tensor, "R ..."]]:
    """One row per target, whatever the leading shape.

    Accepted: targets of the logits' leading shape (class indices), targets of the logits' own
    shape (vectors), and class indices for logits with the classes in dimension 1, as
    ``nn.CrossEntropyLoss`` takes images (B, C, H, W).

    Raises
    ------
    ValueError
        When the shapes do not fit each other.
    """
    if logits.ndim == 1:
        logits = logits[:, None]
    if targets.shape == logits.shape and (targets.is_floating_point() or logits.ndim == 1):
        return logits.reshape(-1, logits.shape[-1]), targets.reshape(-1, logits.shape[-1])
    if targets.shape == logits.shape[:-1]:
        return logits.reshape(-1, logits.shape[-1]), targets.reshape(-1)
    channels_last = logits.movedim(1, -1)
    if logits.ndim > 2 and targets.shape == channels_last.shape[:-1]:
        return channels_last.reshape(-1, logits.shape[1]), targets.reshape(-1)
    raise ValueError(
        f"targets of shape {tuple(targets.shape)} do not fit logits of shape "
        f"{tuple(logits.shape)}; accepted are class indices of the logits' leading shape or "
        "targets of the logits' own shape"
    )
