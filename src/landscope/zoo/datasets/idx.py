"""The idx file format of MNIST, plain or compressed."""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np


def read_idx(path: Path) -> np.ndarray:
    """Return the unsigned bytes of an idx file, in memory only.

    Parameters
    ----------
    path : Path
        A file, compressed if its name ends in `.gz`.

    Returns
    -------
    ndarray of uint8

    Raises
    ------
    ValueError
        If the file is no complete idx file of unsigned bytes.

    Notes
    -----
    Big-endian: two zero bytes, the type (8 for unsigned bytes), the number of dimensions, one
    32-bit size for each, then the data (http://yann.lecun.com/exdb/mnist).
    """
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
            zeros_and_type, num_dims = struct.unpack(">3sB", file.read(4))
            sizes = struct.unpack(f">{num_dims}I", file.read(4 * num_dims))
            content = file.read()
    except (struct.error, EOFError, zlib.error, gzip.BadGzipFile):
        raise _damaged(path) from None
    if zeros_and_type != b"\0\0\x08" or len(content) != math.prod(sizes):
        raise _damaged(path)
    return np.frombuffer(content, dtype=np.uint8).reshape(sizes)


def _damaged(path: Path) -> ValueError:
    return ValueError(
        f"{path} is no complete idx file of unsigned bytes; delete it to fetch it anew"
    )
