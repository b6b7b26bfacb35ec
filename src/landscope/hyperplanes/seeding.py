"""Random numbers of a basis, from its seed alone."""

import numpy as np
import torch

_OF_BASES = 0x1A9D5C0E
"""Sets these numbers apart from those that torch, given the same seed, draws weights from."""


def generator_of(seed: int, block: int = 0) -> torch.Generator:
    """A generator for a seed of any size, and for one of many blocks.

    torch's generator takes 32 bits of a seed, in which blocks differ by their number.

    Examples
    --------
    >>> first, again, other = (generator_of(seed) for seed in (0, 0, 1))
    >>> torch.equal(torch.randn(3, generator=first), torch.randn(3, generator=again))
    True
    >>> torch.equal(torch.randn(3, generator=first), torch.randn(3, generator=other))
    False
    """
    first = int(np.random.SeedSequence([_OF_BASES, seed]).generate_state(1)[0])
    return torch.Generator().manual_seed((first + block) % 2**32)
