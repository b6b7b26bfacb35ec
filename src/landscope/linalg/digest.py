"""A short fingerprint of a tensor's entries, to compare arguments by."""

import hashlib

from jaxtyping import Shaped
from torch import Tensor


def digest(tensor: Shaped[Tensor, "..."] | None) -> str | None:
    """Sixteen digits of SHA-256 of a tensor's bytes; None for none."""
    if tensor is None:
        return None
    return hashlib.sha256(tensor.detach().cpu().contiguous().numpy().tobytes()).hexdigest()[:16]
