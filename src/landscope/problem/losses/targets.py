"""Targets that a loss cannot have, refused with the batch and the place where they are."""

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor


def one_hot(targets: Int[Tensor, " T"], logits: Float[Tensor, "T C"]) -> Float[Tensor, "T C"]:
    """Rows of the identity; unlike torch's own, without a look at the numbers."""
    return torch.zeros_like(logits).scatter(1, targets[:, None], 1.0)


def floating_to(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Numbers in another floating dtype; whole numbers as they are."""
    return x.to(dtype) if x.is_floating_point() else x


def are_labels(targets: Shaped[Tensor, "T ..."]) -> bool:
    """Whether targets are class indices: one whole number for each term."""
    return targets.ndim == 1 and not targets.is_floating_point()


def refuse_labels(targets: Shaped[Tensor, "T ..."], num_classes: int, index: int) -> None:
    """Refuse class indices that the logits do not have.

    Raises
    ------
    ValueError
        Naming the label, its place and the accepted range.
    """
    if not are_labels(targets):
        return
    wrong = ((targets < 0) | (targets >= num_classes)).nonzero()
    if len(wrong):
        place = int(wrong[0, 0])
        raise ValueError(
            f"data has the label {int(targets[place])} at term {place} of batch {index}; the "
            f"model's {num_classes} logits accept labels 0 to {num_classes - 1}"
        )


def refuse_other_classes(weight: Float[Tensor, " C"] | None, num_classes: int) -> None:
    """Refuse a loss over a single class, and class weights of another number of classes.

    Raises
    ------
    ValueError
        With both numbers.
    """
    if num_classes < 2:
        raise ValueError(
            "model gives 1 logit, whose cross-entropy is 0 whatever it is; give one logit for each "
            "class, two for yes and no, or another loss such as 'bce_with_logits'"
        )
    if weight is not None and len(weight) != num_classes:
        raise ValueError(
            f"loss has {len(weight)} class weights and the model {num_classes} logits; give "
            "one weight for each logit"
        )


def refuse_no_probabilities(targets: Shaped[Tensor, "T ..."], num_classes: int, index: int) -> None:
    """Refuse class indices in a floating dtype, vectors of another length, negative numbers.

    Raises
    ------
    ValueError
        Naming the batch, and the dtype, the shape or the number.
    """
    if not targets.is_floating_point():
        return
    if targets.ndim == 2 and targets.shape[1] != num_classes:
        raise ValueError(
            f"data has targets of shape {tuple(targets.shape)} in batch {index} for {num_classes} "
            "logits; cross-entropy takes class indices or one probability per class"
        )
    if targets.ndim == 1:
        raise ValueError(
            f"data has targets of {targets.dtype} in batch {index}; cross-entropy takes class "
            "indices (an integer dtype) or one probability per class"
        )
    if bool((targets < 0).any()):
        raise ValueError(
            f"data has a target of {float(targets.min()):.3g} in batch {index}; cross-entropy "
            "takes probabilities, which are at least 0"
        )


def refuse_unpaired(
    targets: Shaped[Tensor, "T ..."], num_outputs: int, index: int, name: str
) -> None:
    """Refuse targets that are not one number for each output.

    Raises
    ------
    ValueError
        With both shapes.
    """
    if targets[:1].numel() != num_outputs * len(targets[:1]):
        raise ValueError(
            f"loss {name} takes one target for each output, and data has targets of shape "
            f"{tuple(targets.shape)} in batch {index} for outputs ({len(targets)}, {num_outputs}); "
            "give both the same shape"
        )


def refuse_outside(
    targets: Shaped[Tensor, "T ..."], low: float, high: float, index: int, name: str
) -> None:
    """Refuse targets outside an interval.

    Raises
    ------
    ValueError
        With the one that lies farthest out.
    """
    if len(targets) and not bool(((targets >= low) & (targets <= high)).all()):
        worst = targets.min() if bool((targets < low).any()) else targets.max()
        accepted = f"at least {low:g}" if high == float("inf") else f"from {low:g} to {high:g}"
        raise ValueError(
            f"data has a target of {float(worst):.3g} in batch {index}; loss {name} takes targets "
            f"{accepted}"
        )


def refuse_no_labels(targets: Shaped[Tensor, "T ..."], index: int, name: str) -> None:
    """Refuse targets that are no class indices.

    Raises
    ------
    ValueError
        With their shape and dtype.
    """
    if not are_labels(targets):
        raise ValueError(
            f"data has targets of shape {tuple(targets.shape)} and {targets.dtype} in batch "
            f"{index}; loss {name} takes class indices, one whole number for each term"
        )
