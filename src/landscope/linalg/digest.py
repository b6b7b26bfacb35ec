"""A short fingerprint of a tensor's entries, to compare arguments by."""

import hashlib

from jaxtyping import Shaped
from torch import Tensor


def digest(tensor: Shaped[Tensor, "..."]) -> str:
    """Sixteen digits of SHA-256 of a tensor's bytes."""
    return hashlib.sha256(tensor.detach().cpu().contiguous().numpy().tobytes()).hexdigest()[:16]
