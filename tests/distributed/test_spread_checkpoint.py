"""Runs on several processes that were stopped go on, also on another number of them."""

import itertools
import logging
import os
import shutil
import signal
import tempfile
import warnings
from datetime import timedelta

import pytest
import torch

from landscope.distributed import RankError, Ranks
from landscope.linalg import eigsh, spectral_density
from landscope.linalg.checkpoint import Checkpoint
from tests.distributed.processes import on_ranks, start
from tests.distributed.slices import KINDS, OPERATORS, SPREADS, dense_operator, operator_on

SHAPES = SPREADS["tensors"]
RUNS = {
    "eigsh": (eigsh, {"k": 4, "which": "LM", "tol": 1e-11, "basis_size": 16, "seed": 3}),
    "density": (spectral_density, {"num_probes": 3, "num_steps": 12, "num_grid": 50, "seed": 3}),
    "deflated": (
        spectral_density,
        {"num_probes": 2, "num_steps": 12, "num_grid": 50, "seed": 3, "deflate": 3},
    ),
}


EVERY = 6  # steps between saves


def save_now_and_then(checkpoint, *spaces):
    checkpoint.calls = getattr(checkpoint, "calls", -1) + 1
    if checkpoint.calls % EVERY == 0:
        checkpoint.save(*spaces)


def numbers(result):
    names = ("values", "residuals") if hasattr(result, "values") else ("grid", "density", "stderr")
    return [getattr(result, name) for name in names]


def measured(run, A, path=None, **more):
    algorithm, arguments = RUNS[run]
    return algorithm(A, **(arguments | more), checkpoint=path)


def _attempt(group, kind, run, path, limit, shapes=SHAPES, more=None):
    """Go on until so many products, or to the end; nothing is warned of or logged."""
    A = operator_on(group, kind, shapes)
    apply = type(A).__matmul__

    class Stopping(type(A)):
        def __matmul__(self, vectors):
            if limit is not None and self.num_products >= limit:
                raise KeyboardInterrupt
            return apply(self, vectors)

    A.__class__ = Stopping
    complaints = logging.Handler(logging.WARNING)
    complaints.emit = lambda record: said.append(record.getMessage())
    said, due = [], Checkpoint.save_if_due
    logging.getLogger().addHandler(complaints)
    logging.getLogger("torch").addHandler(complaints)
    Checkpoint.save_if_due = save_now_and_then
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            result = measured(run, A, path, **(more or {}))
        return numbers(result), A.num_products, said
    except KeyboardInterrupt:
        return None, A.num_products, said
    except ValueError as error:
        return str(error), A.num_products, said
    finally:
        Checkpoint.save_if_due = due
        logging.getLogger().removeHandler(complaints)
        logging.getLogger("torch").removeHandler(complaints)


def attempt(size, *arguments, **options):
    found = on_ranks(size, _attempt, *arguments, *options.values())
    assert all(said == [] for *_, said in found)
    return [result for result, *_ in found], found[0][1]


QUICK = [("sharded", "eigsh", (4, 2, 1)), ("replicated", "eigsh", (1, 4))]


@pytest.mark.parametrize(
    ("kind", "run", "sizes"),
    [
        pytest.param(*case, marks=[] if case in QUICK else pytest.mark.slow)
        for case in itertools.product(OPERATORS, RUNS, [(4, 2, 1), (1, 4)])
    ],
)
def test_goes_on_with_another_number_of_processes(tmp_path, kind, run, sizes):
    path = tmp_path / "state"
    whole_operator = dense_operator(SHAPES)
    whole = measured(run, whole_operator)
    step = whole_operator.num_products // (len(sizes) + 1)
    for size in sizes[:-1]:
        results, _ = attempt(size, kind, run, path, step)
        assert results == [None] * size
        assert path.is_dir() == (kind == "sharded")
        assert [p.name for p in tmp_path.iterdir()] == ["state"]
    results, num_products = attempt(sizes[-1], kind, run, path, None)
    for result in results:
        for actual, expected in zip(result, numbers(whole), strict=True):
            torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-10)
    done = step * (len(sizes) - 1)
    most = whole_operator.num_products - done + (EVERY + 2) * len(sizes)
    assert num_products <= most
    assert list(tmp_path.iterdir()) == []


def _worker(rank, run, path, store, pipe):
    """One process of four that says when a product is done, and by what it ended."""
    import torch.distributed as dist

    dist.init_process_group(
        "gloo", init_method=f"file://{store}", rank=rank, world_size=4,
        timeout=timedelta(minutes=5),
    )  # fmt: skip
    A = operator_on(dist.group.WORLD, "sharded", SHAPES)
    apply = type(A).__matmul__

    class Telling(type(A)):
        def __matmul__(self, vectors):
            pipe.send(self.num_products)
            return apply(self, vectors)

    A.__class__ = Telling
    Checkpoint.save_if_due = save_now_and_then
    try:
        measured(run, A, path)
    except RankError as error:
        pipe.send((error.ranks, str(error)))


@pytest.mark.slow
@pytest.mark.parametrize("run", ["eigsh", "density"])
def test_goes_on_after_one_of_four_was_killed(tmp_path, run):
    path = tmp_path / "state"
    store = tempfile.mktemp(prefix="landscope-killed-")
    started = [start(_worker, rank, run, path, store) for rank in range(4)]
    processes, pipes = zip(*started, strict=True)
    while pipes[2].recv() != 20:
        pass
    os.kill(processes[2].pid, signal.SIGKILL)
    for rank in (0, 1, 3):
        while isinstance(message := pipes[rank].recv(), int):
            pass
        assert message[0] == [2]
        assert message[1].startswith("rank 2 of 4 was lost: ")
    for process in processes:
        process.join()

    whole_operator = dense_operator(SHAPES)
    whole = measured(run, whole_operator)
    results, num_products = attempt(2, "sharded", run, path, None)
    for result in results:
        for actual, expected in zip(result, numbers(whole), strict=True):
            torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-10)
    assert num_products <= whole_operator.num_products - 20 + EVERY + 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("moment", ["between the renames", "while it was written"])
def test_goes_on_from_the_last_whole_state(tmp_path, moment):
    path = tmp_path / "state"
    attempt(2, "sharded", "eigsh", path, 20)
    if moment == "between the renames":
        path.rename(tmp_path / ".state.before")
    shutil.copytree(tmp_path / next(tmp_path.iterdir()), tmp_path / ".state.partial")
    (tmp_path / ".state.partial" / ".metadata").unlink()
    whole_operator = dense_operator(SHAPES)
    whole = measured("eigsh", whole_operator)
    assert attempt(2, "sharded", "eigsh", path, 5)[0] == [None, None]
    (result, _), num_products = attempt(2, "sharded", "eigsh", path, None)
    torch.testing.assert_close(result[0], whole.values, rtol=1e-10, atol=1e-10)
    assert num_products <= whole_operator.num_products - 20 + EVERY + 2
    assert list(tmp_path.iterdir()) == []


def refusal(size, *arguments, **options):
    """The one sentence that all processes give."""
    results, _ = attempt(size, *arguments, **options)
    assert len(set(results)) == 1
    return results[0]


def test_what_cannot_be_used_is_refused(tmp_path):
    path = tmp_path / "state"
    attempt(2, "sharded", "eigsh", path, 20)
    again = (4, "sharded", "eigsh", path, None)
    assert "written with tol = 1e-11, this call has 0.001" in refusal(
        *again, shapes=SHAPES, more={"tol": 1e-3}
    )
    dim = dense_operator(SHAPES).shape[0]
    assert "holds vectors of 4 tensors (tensor0 [6, 5, 3], " in refusal(*again, shapes=[(dim,)])
    assert "is a folder" in refusal(2, "replicated", "eigsh", path, None)
    with pytest.raises(ValueError, match="is a folder, as processes write it"):
        measured("eigsh", dense_operator(SHAPES), path)
    file = next(path.glob("*.distcp"))
    file.write_bytes(file.read_bytes()[:100])
    assert "is damaged or none of a Krylov iteration" in refusal(*again)
    (path / ".metadata").write_bytes(b"nothing")
    assert "is damaged or none of a Krylov iteration" in refusal(*again)
    shutil.rmtree(path)
    attempt(2, "replicated", "eigsh", path, 20)
    assert "is a file, as one process writes it" in refusal(*again)
    path.write_bytes(path.read_bytes()[:100])
    assert "is damaged" in refusal(4, "replicated", "eigsh", path, None)


def _another(group, kind, path):
    A = operator_on(group, kind, SHAPES)
    A.matrix = A.matrix * 1.001
    with pytest.raises(ValueError, match="belongs to another operator"):
        measured("eigsh", A, path)
    return path.exists()


@pytest.mark.parametrize("kind", KINDS)
def test_another_operator_is_refused(tmp_path, kind):
    path = tmp_path / "state"
    attempt(4, kind, "eigsh", path, 20)
    assert on_ranks(2, _another, kind, path) == [True, True]


def _unwritable(group, kind, path):
    A = operator_on(group, kind, SHAPES)
    with pytest.raises((RankError, OSError), match=r"cannot be written"):
        measured("eigsh", A, path)
    return Ranks(group).total(torch.ones(1)).item()


@pytest.mark.parametrize("kind", OPERATORS)
def test_a_state_that_cannot_be_written_ends_all(tmp_path, kind):
    (tmp_path / "none").write_text("a file, not a folder")
    path = tmp_path / "none" / "state"
    assert on_ranks(2, _unwritable, kind, path) == [2.0, 2.0]


def _warm(group, kind, path, vectors, limit):
    A = operator_on(group, kind, SHAPES)
    start = vectors[A.entries]
    more = {"v0": start}
    return _attempt(group, kind, "eigsh", path, limit, SHAPES, more)[0]


@pytest.mark.parametrize("kind", KINDS)
def test_start_vectors_are_compared_whatever_the_spread(tmp_path, kind):
    path = tmp_path / "state"
    whole = measured("eigsh", dense_operator(SHAPES))
    start = torch.randn(len(whole.vectors), 2, generator=torch.Generator().manual_seed(0)).double()
    on_ranks(4, _warm, kind, path, start, 20)
    assert "written with v0" in on_ranks(2, _warm, kind, path, start.flip(0), None)[0]
    values, _ = on_ranks(2, _warm, kind, path, start, None)[0]
    torch.testing.assert_close(values, whole.values, rtol=1e-10, atol=1e-10)
