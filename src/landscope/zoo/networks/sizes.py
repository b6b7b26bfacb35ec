"""What is accepted as the size of a network: input shape, classes, width."""

from collections.abc import Sequence

from landscope.arguments import real, whole

LARGEST_LAYER = 10**6
"""Units of a layer: with a second one of this size its weights take 4 TB."""


def checked_input_shape(input_shape: Sequence[int]) -> tuple[int, ...]:
    """Return `input_shape` as a tuple of positive integers, or refuse it."""
    shape = tuple(input_shape)
    if not shape or not all(isinstance(size, int) and size > 0 for size in shape):
        raise ValueError(
            f"input_shape={input_shape!r} must hold positive integers, the shape of one example "
            "without the batch dimension"
        )
    return shape


def checked_image_shape(input_shape: Sequence[int], smallest: int) -> tuple[int, int, int]:
    """Return `input_shape` as (channels, height, width), at least `smallest` pixels a side."""
    shape = checked_input_shape(input_shape)
    if len(shape) != 3 or min(shape[1:]) < smallest:
        raise ValueError(
            f"input_shape={shape} must be (channels, height, width) with at least "
            f"{smallest} x {smallest} pixels"
        )
    return shape[0], shape[1], shape[2]


def checked_num_classes(num_classes: int) -> int:
    """Return `num_classes` if it is an integer of at least 2, or refuse it."""
    return whole("num_classes", num_classes, 2)


def scaled(sizes: Sequence[int], width: float) -> tuple[int, ...]:
    """Return layer sizes multiplied by `width`, rounded, and at least one.

    Examples
    --------
    >>> scaled((16, 32), width=0.5)
    (8, 16)
    """
    width = real("width", width, "(0, ∞)")
    if not all(isinstance(size, int) and size > 0 for size in sizes):
        raise ValueError(f"layer sizes {tuple(sizes)!r} must be positive integers")
    if max(sizes, default=0) * width > LARGEST_LAYER:
        raise ValueError(
            f"width is {width:g}, with which a layer has {max(sizes) * width:.3g} units; accepted "
            f"are at most {LARGEST_LAYER:,}"
        )
    return tuple(max(1, round(size * width)) for size in sizes)
