"""From a model's output to one row per target: flat logits and flat targets."""

from jaxtyping import Float, Shaped
from torch import Tensor


def flatten_logits(
    logits: Float[Tensor, "..."], targets: Shaped[Tensor, "..."]
) -> tuple[Float[Tensor, "R C"], Shaped[Tensor, "R ..."]]:
    """One row per target, whatever the leading shape.

    Accepted: targets of the logits' leading shape (class indices), targets of the logits' own
    shape (vectors), class indices for logits with the classes in dimension 1, as
    ``nn.CrossEntropyLoss`` takes images (B, C, H, W), and for logits (N, C) vectors (N, M) of
    another length, which a function as loss may take.

    Raises
    ------
    ValueError
        When the shapes do not fit each other, or fit in two ways, as for logits (B, C, C).
    """
    if logits.ndim == 1:
        logits = logits[:, None]
    num_classes = logits.shape[-1]
    if targets.shape == logits.shape:
        return logits.reshape(-1, num_classes), targets.reshape(-1, num_classes).to(logits.dtype)
    if not targets.is_floating_point():
        targets = targets.long()
    same_length = len(targets) == len(logits) if targets.ndim else False
    classes_last = targets.shape == logits.shape[:-1]
    classes_first = logits.ndim > 2 and targets.shape == logits.movedim(1, -1).shape[:-1]
    if classes_last and classes_first:
        raise ValueError(
            f"logits of shape {tuple(logits.shape)} can have their classes in dimension 1 or in "
            "the last; give forward= with one row of logits and one target for each term"
        )
    if classes_last:
        return logits.reshape(-1, num_classes), targets.reshape(-1)
    if classes_first:
        return logits.movedim(1, -1).reshape(-1, logits.shape[1]), targets.reshape(-1)
    if targets.is_floating_point() and targets.ndim == logits.ndim == 2 and same_length:
        return logits, targets.to(logits.dtype)
    raise ValueError(
        f"targets of shape {tuple(targets.shape)} do not fit logits of shape "
        f"{tuple(logits.shape)}; accepted are class indices of the logits' leading shape or "
        "targets of the logits' own shape"
    )
