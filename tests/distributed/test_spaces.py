"""Spaces over several processes do what R^D in one process does."""

from pathlib import Path

import pytest
import torch

from landscope.distributed import Ranks, Shard, Shards
from landscope.linalg import ReplicatedSpace, ShardedSpace, VectorSpace
from landscope.linalg.offloaded import stored_in
from landscope.linalg.space import Basis, DenseSpace
from tests.distributed.processes import SIZES, on_ranks
from tests.distributed.slices import SPREADS, dense_space, entries_of, joined, shards_of


def gaussian(*shape, seed, dtype):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)


def everything(space, storage, entries=None):
    """What a space and its bases say: small results, and vectors as far as they are held here."""
    dim, dtype = space.dim, space.dtype
    held = slice(None) if entries is None else entries
    X, Y = (gaussian(dim, n, seed=n, dtype=dtype)[held] for n in (4, 3))
    C, E = gaussian(4, 2, seed=0, dtype=torch.float64), gaussian(2, 2, seed=1, dtype=torch.float64)
    assert isinstance(space, VectorSpace)
    stored = stored_in(space, storage)
    basis = stored.basis(6)
    assert isinstance(basis, Basis)
    for vector in X.T:
        basis.append(vector)
    generator = torch.Generator().manual_seed(7)
    small = {"gram": space.gram(X, Y), "norms": space.norms(X), "signs": space.signs(X)}
    small |= {"Q gram": basis.gram(Y), "extremes": space.extremes(X)}
    small |= {"Q project": torch.cat([basis.project(Y)[0], basis.project(Y)[1][None]])}
    large = {"random": space.random(3, generator), "identity": space.identity()}
    large |= {"combine": basis.combine(C), "block": basis.block(1, 3)}
    basis.rotate(C, start=0)
    basis.append(Y[:, 0])
    basis.rotate(E, start=1)
    large["rotate"] = basis.block(0, basis.size).clone()
    small["next draw"] = torch.rand(2, generator=generator)
    return small, {name: block.contiguous() for name, block in large.items()}


def _everything(group, kind, shapes, storage, dtype):
    ranks = Ranks(group)
    if kind == "replicated":
        dim = len(dense_space(shapes).random(1, torch.Generator()))
        return torch.arange(dim), everything(ReplicatedSpace(dim, dtype, "cpu", ranks), storage)
    shards = shards_of(shapes, ranks)
    entries = entries_of(shards)
    return entries, everything(ShardedSpace(shards, dtype, "cpu", ranks), storage, entries)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("spread", SPREADS)
@pytest.mark.parametrize("kind", ["sharded", "replicated"])
@pytest.mark.parametrize(
    ("storage", "dtype"),
    [("device", torch.float64), ("device", torch.float32), ("host", torch.float64), ("disk", None)],
)
def test_does_what_a_dense_space_does(size, spread, kind, storage, dtype):
    dtype, shapes = dtype or torch.float64, SPREADS[spread]
    expected_small, expected_large = everything(dense_space(shapes, dtype), storage)
    found = on_ranks(size, _everything, kind, shapes, storage, dtype)
    dim = len(expected_large["random"])
    rounding = 1e-12 if dtype == torch.float64 else 1e-4
    for _, (small, _) in found:
        for name, expected in expected_small.items():
            torch.testing.assert_close(small[name], expected, rtol=rounding, atol=rounding)
            assert torch.equal(small[name], found[0][1][0][name])
    for name, expected in expected_large.items():
        whole = joined([(entries, large[name]) for entries, (_, large) in found], dim)
        if name in ("random", "identity", "block"):
            assert torch.equal(whole, expected), name
        torch.testing.assert_close(whole, expected, rtol=rounding, atol=rounding)


def _long_random(group, shapes):
    ranks = Ranks(group)
    shards = shards_of(shapes, ranks)
    space = ShardedSpace(shards, torch.float32, "cpu", ranks)
    generator = torch.Generator().manual_seed(3)
    vectors = space.random(2, generator)
    return entries_of(shards), vectors.contiguous(), torch.rand(1, generator=generator)


@pytest.mark.parametrize("size", SIZES)
def test_long_random_vectors_are_those_of_one_process(size):
    shapes = [(1000, 900), (2**20 - 777,)]
    dim, generator = 900_000 + 2**20 - 777, torch.Generator().manual_seed(3)
    expected = DenseSpace(dim, torch.float32).random(2, generator)
    found = on_ranks(size, _long_random, shapes)
    assert torch.equal(joined([part[:2] for part in found], dim), expected)
    following = torch.rand(1, generator=generator)
    assert all(torch.equal(after, following) for _, _, after in found)


def _ties(group):
    """Entries of one magnitude on all processes, of other signs; and a vector of zeros."""
    ranks = Ranks(group)
    space = ShardedSpace(Shards.of_vector(9, ranks), torch.float64, "cpu", ranks)
    block = torch.zeros(9, 4).double()
    block[:, 0] = torch.tensor([0, -2, 2, 2, 2, 2, 2, 2, 2])
    block[:, 1] = torch.tensor([0, 0, 0, 0, 0, 1, -1, -1, -1])
    block[8, 2] = -1
    return space.signs(block[ranks.chunk(9)]).tolist()


@pytest.mark.parametrize("size", SIZES)
def test_signs_are_those_of_the_first_largest_entry(size):
    assert on_ranks(size, _ties) == [[-1.0, 1.0, -1.0, 1.0]] * size


def _digests(group):
    ranks = Ranks(group)
    found = []
    for dtype in (torch.float32, torch.float64):
        space = ShardedSpace(shards_of(SPREADS["tensors"], ranks), dtype, "cpu", ranks)
        whole = gaussian(space.dim, 2, seed=0, dtype=dtype)
        other = whole.clone()
        other[-1, 0] += 1e-6
        for vectors in (whole, whole.flip(0), whole.flip(1), other, whole[:, 0]):
            found.append(space.digest(vectors[entries_of(space.shards)]))
    return found


def test_digests_do_not_depend_on_the_number_of_processes():
    (expected,) = on_ranks(1, _digests)
    assert len(set(expected)) == 10
    for size in (2, 4):
        assert on_ranks(size, _digests) == [expected] * size


def test_shards_that_are_no_rows_are_refused():
    with pytest.raises(ValueError, match=r"shard of 'w' must be rows of its shape \(4, 3\)"):
        Shard("w", (4, 3), 3, 5)


def _basis_memory(group, dim, capacity):
    """Bytes of a basis here, and by how much the process grew with it."""
    import psutil

    ranks = Ranks(group)
    space = ShardedSpace(Shards.of_vector(dim, ranks), torch.float32, "cpu", ranks)
    vector = torch.ones(space.local_dim)
    before = psutil.Process().memory_info().rss
    basis = space.basis(capacity)
    for _ in range(capacity):
        basis.append(vector)
    return basis._rows.nbytes, psutil.Process().memory_info().rss - before


def test_memory_of_a_basis_falls_as_the_number_of_processes():
    dim, capacity = 2**21, 20
    whole = 4 * dim * capacity
    for size in (1, 2, 4):
        for held, grown in on_ranks(size, _basis_memory, dim, capacity):
            assert held == whole // size
            # The system may give pages back late, or again those that were freed.
            assert grown < 1.5 * held


def _folder_of_rank(group, folder):
    ranks = Ranks(group)
    space = ShardedSpace(Shards.of_vector(10, ranks), torch.float64, "cpu", ranks)
    return len(stored_in(space, Path(folder)).basis(2).block(0, 0))


def test_bases_lie_in_a_folder_that_is_named(tmp_path):
    assert on_ranks(4, _folder_of_rank, str(tmp_path)) == [3, 3, 3, 1]
    assert list(tmp_path.iterdir()) == []
