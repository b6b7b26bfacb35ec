"""Float32 in full on a GPU, where convolutions take ten bits of it by default."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def full_float32() -> Iterator[None]:
    """Compute float32 in float32 instead of TF32; leave the settings of torch as they were.

    With TF32, cuDNN's default for convolutions, a Hessian–vector product misses symmetry by 3e-3.

    Examples
    --------
    >>> with full_float32():
    ...     pass
    """
    if not torch.cuda.is_initialized():
        yield
        return
    cudnn: Any = torch.backends.cudnn
    matmul: Any = torch.backends.cuda.matmul
    backends = (cudnn.conv, cudnn.rnn, matmul)
    before = [backend.fp32_precision for backend in backends]
    try:
        for backend in backends:
            backend.fp32_precision = "ieee"
        yield
    finally:
        for backend, precision in zip(backends, before, strict=True):
            backend.fp32_precision = precision
