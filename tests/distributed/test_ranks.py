"""Sums over processes, and errors that end all of them."""

import os
import signal
import time
from datetime import timedelta

import pytest
import torch
import torch.distributed as dist

from landscope.distributed import RankError, Ranks
from tests.distributed.processes import FailedProcessError, on_ranks, start

SIZES = (1, 2, 4)


def _sums(group):
    ranks = Ranks(group)
    like = torch.zeros(7, 2, dtype=torch.float64)
    whole = torch.arange(14, dtype=torch.float64).view(7, 2)
    scattered = ranks.scattered_sum(lambda: whole * (ranks.rank + 1), like)
    return {
        "sum": ranks.sum(lambda: like + ranks.rank, like),
        "scattered": scattered,
        "joined": ranks.joined(scattered, 7),
        "rows": ranks.rows(lambda: torch.full((ranks.rank, 2), float(ranks.rank))),
        "objects": ranks.objects(lambda: f"r{ranks.rank}"),
        "largest": ranks.largest(torch.tensor([ranks.rank, -ranks.rank])),
        "first": ranks.first(torch.tensor([ranks.rank + 5])),
        "share": ranks.share(7),
        "chunk": ranks.chunk(7),
    }


@pytest.mark.parametrize("size", SIZES)
def test_sums_and_gathers(size):
    whole = torch.arange(14, dtype=torch.float64).view(7, 2)
    factor = size * (size + 1) // 2
    found = on_ranks(size, _sums)
    for rank, here in enumerate(found):
        assert torch.equal(here["sum"], torch.full((7, 2), size * (size - 1) / 2).double())
        assert torch.equal(here["joined"], whole * factor)
        assert torch.equal(here["scattered"], whole[here["chunk"]] * factor)
        expected = [[float(r)] * 2 for r in range(size) for _ in range(r)]
        assert here["rows"].tolist() == expected
        assert here["objects"] == [f"r{r}" for r in range(size)]
        assert here["largest"].tolist() == [size - 1, 0]
        assert here["first"].tolist() == [5]
        assert here["share"].start == rank * 7 // size
    assert [i for here in found for i in range(7)[here["share"]]] == list(range(7))
    assert [i for here in found for i in range(7)[here["chunk"]]] == list(range(7))


def _in_a_block(ranks, part):
    with ranks.together():
        part()


def _one_fails(group, how):
    ranks = Ranks(group)
    like = torch.zeros(3)

    def part():
        if ranks.rank == 2:
            raise ValueError("no such batch")
        return like

    acts = {
        "sum": lambda: ranks.sum(part, like),
        "scattered": lambda: ranks.scattered_sum(part, like),
        "objects": lambda: ranks.objects(part),
        "rows": lambda: ranks.rows(part),
        "together": lambda: _in_a_block(ranks, part),
    }
    with pytest.raises(RankError) as caught:
        acts[how]()
    after = ranks.sum(lambda: like + 1, like)  # nobody is left behind in a collective
    return str(caught.value), caught.value.ranks, after.tolist()


@pytest.mark.parametrize("how", ["sum", "scattered", "objects", "rows", "together"])
def test_a_rank_that_fails_ends_all_with_one_error(how):
    for message, failed, after in on_ranks(4, _one_fails, how):
        assert message == "rank 2 of 4 failed: ValueError: no such batch"
        assert failed == [2]
        assert after == [4.0] * 3


def _raises(group):
    raise KeyError(str(Ranks(group).rank))


def test_what_a_process_raises_reaches_the_test():
    with pytest.raises(FailedProcessError) as caught:
        on_ranks(2, _raises)
    assert sorted(caught.value.errors) == [0, 1]


def _sum_until_lost(rank, store, pipe):
    """Say by which error the sums ended, and stay alive."""
    file = f"file://{store}"
    dist.init_process_group("gloo", file, timedelta(minutes=10), world_size=3, rank=rank)
    ranks, like = Ranks(dist.group.WORLD), torch.zeros(3)
    ranks.sum(lambda: like, like)
    pipe.send("ready")
    try:
        while True:
            ranks.sum(lambda: like, like)
            time.sleep(0.05)
    except RankError as error:
        pipe.send((error.ranks, str(error)))
        pipe.recv()


def test_a_killed_rank_ends_the_others_long_before_the_timeout(tmp_path):
    """Rank 1 also stays alive after it has seen the loss, and does not keep rank 0 waiting."""
    started = [start(_sum_until_lost, rank, tmp_path / "store") for rank in range(3)]
    processes, pipes = zip(*started, strict=True)
    for pipe in pipes:
        assert pipe.recv() == "ready"
    killed = time.monotonic()
    os.kill(processes[2].pid, signal.SIGKILL)
    for rank in (0, 1):
        lost, said = pipes[rank].recv()
        assert lost == [2]
        assert said.startswith("rank 2 of 3 was lost: ")
    assert time.monotonic() - killed < 300  # the timeout is 600 s
    for process in processes:
        process.kill()
        process.join()


def test_bad_groups_are_refused():
    with pytest.raises(TypeError, match="group is a str; it must be"):
        Ranks("world")
