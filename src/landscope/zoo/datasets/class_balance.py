"""Which examples to keep: some classes only, or a subset with balanced classes."""

import numpy as np
from jaxtyping import Int, Shaped


def relabelled(
    targets: Int[np.ndarray, "N"], classes: tuple[int, ...]
) -> tuple[Int[np.ndarray, "n"], Int[np.ndarray, "n"]]:
    """Keep the examples of some classes and number these from zero.

    Parameters
    ----------
    targets : (N,) integers
        Class of each example.
    classes : tuple of int
        The class at position c becomes class c.

    Returns
    -------
    indices : (n,) integers
        Positions of the examples kept, ascending.
    labels : (n,) integers
        Their new classes.

    Examples
    --------
    >>> relabelled(np.array([3, 1, 2, 3]), (3, 2))
    (array([0, 2, 3]), array([0, 1, 0]))
    """
    matches = targets[:, None] == np.asarray(classes)
    indices = np.flatnonzero(matches.any(axis=1))
    return indices, matches[indices].argmax(axis=1)


def balanced_subset(
    targets: Shaped[np.ndarray, "N"], num_examples: int, seed: int
) -> Int[np.ndarray, "n"]:
    """Draw examples so that their classes are as balanced as the data allow.

    Each class is put in a random order, then all classes are taken from in turn. With one seed, a
    smaller subset is part of a larger one.

    Parameters
    ----------
    targets : (N,) integers
        Class of each example.
    num_examples : int
        How many to draw; all are kept where there are no more.
    seed : int
        Seed of the random order.

    Returns
    -------
    (n,) integers
        Positions of the examples drawn, ascending.

    Examples
    --------
    >>> targets = np.array([0, 0, 0, 0, 1, 1, 1, 1, 2])
    >>> np.bincount(targets[balanced_subset(targets, 5, seed=0)])
    array([2, 2, 1])
    """
    shuffled = np.random.default_rng(seed).permutation(len(targets))
    turn = rank_in_class(targets[shuffled])
    drawn = shuffled[np.lexsort((targets[shuffled], turn))[:num_examples]]
    return np.sort(drawn)


def rank_in_class(targets: Shaped[np.ndarray, "N"]) -> Int[np.ndarray, "N"]:
    """Count, for each example, the earlier examples of its class.

    Examples
    --------
    >>> rank_in_class(np.array([7, 7, 2, 7, 2]))
    array([0, 1, 0, 2, 1])
    """
    by_class = np.argsort(targets, kind="stable")
    _, first, counts = np.unique(targets[by_class], return_index=True, return_counts=True)
    rank = np.empty(len(targets), dtype=np.int64)
    rank[by_class] = np.arange(len(targets)) - np.repeat(first, counts)
    return rank
