"""A digest of a tensor's numbers."""

import hashlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from jaxtyping import Shaped
from torch import Tensor

CHUNK_BYTES = 2**23
"""Hashed at a time: more than one chunk is spread over threads."""


def tensor_digest(tensor: Shaped[Tensor, "..."]) -> str:
    """SHA-256 of a tensor's dtype, shape and bits, the same on any device.

    Large tensors are hashed in chunks on as many threads as torch has, and the digest is that of
    the chunks' digests.

    Examples
    --------
    >>> one = torch.arange(3.0)
    >>> tensor_digest(one) == tensor_digest(one.clone()), tensor_digest(one) == tensor_digest(-one)
    (True, False)
    """
    found = hashlib.sha256(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
    numbers = bits(tensor)
    chunks = [numbers[i : i + CHUNK_BYTES] for i in range(0, len(numbers), CHUNK_BYTES)]
    if len(chunks) == 1:
        found.update(_sha256(chunks[0]))
    elif chunks:
        with ThreadPoolExecutor(torch.get_num_threads()) as threads:
            for one in threads.map(_sha256, chunks):
                found.update(one)
    return found.hexdigest()


def bits(tensor: Shaped[Tensor, "..."]) -> np.ndarray:
    """The bytes of a tensor's entries in a row."""
    plain = tensor.detach().resolve_conj().resolve_neg().cpu().contiguous()
    if plain.is_complex():
        plain = torch.view_as_real(plain)
    found: np.ndarray = plain.reshape(-1).view(torch.uint8).numpy()
    return found


def _sha256(numbers: np.ndarray) -> bytes:
    return hashlib.sha256(numbers.data).digest()
