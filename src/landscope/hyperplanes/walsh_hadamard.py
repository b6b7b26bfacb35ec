"""The Walsh–Hadamard transform, as products with small Hadamard matrices."""

import math
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

_LARGEST_FACTOR = 6
"""As a power of two: a product with a 64 × 64 matrix costs no more than reading the numbers."""


def walsh_hadamard(x: Float[Tensor, "... n"]) -> Float[Tensor, "... n"]:
    """Apply the orthogonal, symmetric Hadamard matrix of order n = 2^m along the last axis.

    H_{2a} = H_a ⊗ [[1, 1], [1, −1]]/√2: of the factors of a Kronecker product, each is applied
    along its own axis, O(n log n) in all.

    Examples
    --------
    >>> walsh_hadamard(torch.tensor([1.0, 0.0, 0.0, 0.0]))
    tensor([0.5000, 0.5000, 0.5000, 0.5000])
    """
    n = x.shape[-1]
    y = x
    stride = 1
    for order in _factors(n):
        H = _matrix(order, x.dtype, x.device)
        if stride == 1:
            y = y.reshape(-1, order) @ H
        else:
            y = H @ y.reshape(-1, order, stride)
        stride *= order
    return y.reshape(x.shape)


def _factors(n: int) -> list[int]:
    """Split n into powers of two as alike as can be, each at most 64."""
    bits = n.bit_length() - 1
    count = max(1, math.ceil(bits / _LARGEST_FACTOR))
    return [2 ** (bits // count + (place < bits % count)) for place in range(count)]


@lru_cache(maxsize=32)
def _matrix(order: int, dtype: torch.dtype, device: torch.device) -> Float[Tensor, "n n"]:
    H = torch.ones(1, 1, dtype=torch.float64)
    pair = torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=torch.float64)
    while len(H) < order:
        H = torch.kron(H, pair)
    return (H / order**0.5).to(device, dtype)
