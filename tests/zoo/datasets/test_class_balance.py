import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from landscope.zoo.datasets.class_balance import balanced_subset, rank_in_class, relabelled

labels = st.lists(st.integers(0, 4), min_size=1, max_size=60).map(np.array)


@given(labels)
def test_rank_counts_earlier_examples_of_the_class(targets):
    expected = [sum(targets[:i] == target) for i, target in enumerate(targets)]
    assert rank_in_class(targets).tolist() == expected


@given(labels, st.integers(1, 70), st.integers(0, 3))
def test_subset_is_as_balanced_as_the_data_allow(targets, num_examples, seed):
    chosen = balanced_subset(targets, num_examples, seed)
    assert len(set(chosen)) == len(chosen) == min(num_examples, len(targets))
    available = np.bincount(targets, minlength=5)
    counts = np.bincount(targets[chosen], minlength=5)
    # A class has less than another only by one, or where it is used up.
    assert all(c == a or c >= counts.max() - 1 for c, a in zip(counts, available, strict=True))


@given(labels, st.integers(1, 30))
def test_a_smaller_subset_is_part_of_a_larger_one(targets, num_examples):
    smaller = balanced_subset(targets, num_examples, seed=1)
    assert set(smaller) <= set(balanced_subset(targets, 2 * num_examples, seed=1))


def test_seed_decides_the_subset():
    targets = np.arange(100) % 10
    first, again, other = (balanced_subset(targets, 30, seed) for seed in (0, 0, 1))
    assert first.tolist() == again.tolist()
    assert first.tolist() != other.tolist()


@pytest.mark.parametrize("classes", [(0, 1, 2), (4, 0)])
def test_relabelled_classes_follow_the_order_given(classes):
    targets = np.array([4, 0, 1, 2, 3, 4, 0])
    indices, new = relabelled(targets, classes)
    assert [classes[c] for c in new] == targets[indices].tolist()
    assert len(indices) == np.isin(targets, classes).sum()
