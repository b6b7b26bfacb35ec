"""Mini-batches that depend on the seed and the step alone."""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor


class Minibatches:
    """Which examples each update sees.

    Every epoch visits the examples in an order drawn from (seed, epoch), with a generator of its
    own; a remainder that does not fill a batch waits for the next epoch's order. So the batch of
    a step can be told without having seen the steps before it.

    Parameters
    ----------
    num_examples
        Size of the training set.
    batch_size
        Examples in a batch; the whole set where it is smaller.
    seed
        Seed of the orders.

    Examples
    --------
    >>> batches = Minibatches(num_examples=5, batch_size=2, seed=0)
    >>> [batches.indices(step).tolist() for step in range(2)]
    [[2, 4], [3, 0]]
    """

    def __init__(self, num_examples: int, batch_size: int, seed: int) -> None:
        self.batch_size = min(batch_size, num_examples)
        self.num_per_epoch = num_examples // self.batch_size
        self._order = lru_cache(maxsize=1)(
            lambda epoch: np.random.default_rng([seed, epoch]).permutation(num_examples)
        )

    def indices(self, step: int) -> Tensor:
        """Give the positions (batch_size,) of the examples that the update at `step` sees."""
        epoch, position = divmod(step, self.num_per_epoch)
        start = position * self.batch_size
        return torch.from_numpy(self._order(epoch)[start : start + self.batch_size])
