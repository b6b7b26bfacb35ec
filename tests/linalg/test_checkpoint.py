import errno
import json
import os
import socket
import time
from functools import cache

import psutil
import pytest
import torch

from landscope.linalg import eigsh
from landscope.linalg.checkpoint import Checkpoint
from landscope.linalg.krylov import KrylovSubspace
from landscope.linalg.product import CountedProduct

from .conftest import DiagonalOperator, Interrupted, kill_at

EIGENVALUES = torch.cat(
    [torch.tensor([9.0, 8.0, 8.0, 8.0, -5.0]), torch.linspace(0, 1, 1995)]
).double()
ARGUMENTS = {"k": 5, "which": "LM", "tol": 1e-8, "basis_size": 16, "seed": 3}


def interrupt(path, limit, eigenvalues=EIGENVALUES, **arguments):
    operator = Interrupted(eigenvalues)
    operator.limit = limit
    with pytest.raises(KeyboardInterrupt):
        eigsh(operator, **(ARGUMENTS | arguments), checkpoint=path)


@cache
def uninterrupted():
    return eigsh(DiagonalOperator(EIGENVALUES), **ARGUMENTS)


@pytest.mark.parametrize(
    ("storage", "limit"),
    [("device", 1), ("device", 12), ("device", 20), ("device", 28), ("disk", 12), ("disk", 28)],
)
def test_goes_on_with_the_same_steps(always_due, tmp_path, limit, storage):
    """In the first steps, between restarts, while copies are looked for."""
    path = tmp_path / "state.safetensors"
    whole = uninterrupted()
    assert whole.num_products > limit
    interrupt(path, limit, storage=storage)
    operator = DiagonalOperator(EIGENVALUES)
    resumed = eigsh(operator, **ARGUMENTS, storage=storage, checkpoint=path)
    assert operator.num_products <= whole.num_products - limit + 1
    assert resumed.num_products == whole.num_products + 1  # one product compares the operators
    torch.testing.assert_close(resumed.values, whole.values, rtol=1e-12, atol=0)
    torch.testing.assert_close(resumed.vectors, whole.vectors, rtol=0, atol=1e-9)
    if storage == "device":
        assert torch.equal(resumed.values, whole.values)
        assert torch.equal(resumed.vectors, whole.vectors)
    assert list(tmp_path.iterdir()) == []


def test_interrupted_twice(always_due, tmp_path):
    path = tmp_path / "state.safetensors"
    whole = uninterrupted()
    interrupt(path, 12)
    interrupt(path, 12)
    resumed = eigsh(DiagonalOperator(EIGENVALUES), **ARGUMENTS, checkpoint=path)
    assert torch.equal(resumed.values, whole.values)


KILLED = """
import sys, time
from tests.linalg.test_checkpoint import ARGUMENTS, EIGENVALUES, DiagonalOperator
from landscope.linalg import eigsh

class Slow(DiagonalOperator):
    def __matmul__(self, vectors):
        time.sleep(0.05)
        return super().__matmul__(vectors)

eigsh(Slow(EIGENVALUES), **ARGUMENTS, checkpoint=sys.argv[1])
"""


@pytest.mark.slow  # a process starts for seconds; what it leaves is the same in the next test
def test_killed_process_goes_on(tmp_path):
    path = tmp_path / "state.safetensors"
    kill_at(KILLED, path, size=10 * EIGENVALUES.nbytes)
    operator = DiagonalOperator(EIGENVALUES)
    resumed = eigsh(operator, **ARGUMENTS, checkpoint=path)
    whole = uninterrupted()
    assert operator.num_products < whole.num_products - 5
    torch.testing.assert_close(resumed.values, whole.values, rtol=1e-10, atol=0)
    assert list(tmp_path.iterdir()) == []


def lock_of(process, began):
    return json.dumps({"host": socket.gethostname(), "pid": process.pid, "began": began})


def test_goes_on_from_what_a_killed_process_leaves(always_due, tmp_path):
    """Its last whole state, and its lock."""
    path = tmp_path / "state.safetensors"
    interrupt(path, 20)
    since = psutil.Process(os.getppid())  # by now another process has the number
    (tmp_path / f".{path.name}.lock").write_text(lock_of(since, since.create_time() - 3600))
    operator = DiagonalOperator(EIGENVALUES)
    resumed = eigsh(operator, **ARGUMENTS, checkpoint=path)
    whole = uninterrupted()
    assert operator.num_products <= whole.num_products - 20 + 1
    assert torch.equal(resumed.values, whole.values)
    assert list(tmp_path.iterdir()) == []


def test_other_arguments_and_operators_are_refused(always_due, tmp_path):
    path = tmp_path / "state.safetensors"
    interrupt(path, 20)
    operator = DiagonalOperator(EIGENVALUES)
    for arguments, message in (
        ({"k": 4}, "written with k = 5, this call has 4"),
        ({"tol": 1e-4}, "written with tol = 1e-08"),
        ({"v0": torch.ones(2000).double()}, "written with v0 = None"),
    ):
        with pytest.raises(ValueError, match=message):
            eigsh(operator, **(ARGUMENTS | arguments), checkpoint=path)
    other = EIGENVALUES.clone()
    other[0] = 9.001
    with pytest.raises(ValueError, match="belongs to another operator"):
        eigsh(DiagonalOperator(other), **ARGUMENTS, checkpoint=path)
    assert path.exists()


def test_damaged_file_is_refused(always_due, tmp_path):
    path = tmp_path / "state.safetensors"
    interrupt(path, 20)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ValueError, match="is damaged or none of a Krylov iteration"):
        eigsh(DiagonalOperator(EIGENVALUES), **ARGUMENTS, checkpoint=path)


def test_a_changed_bit_of_a_vector_is_found(always_due, tmp_path):
    path = tmp_path / "state.safetensors"
    interrupt(path, 20)
    whole = path.read_bytes()
    for at in torch.linspace(0, len(whole) - 1, 30).int().tolist():
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(ValueError, match="is damaged or none of a Krylov iteration"):
            eigsh(DiagonalOperator(EIGENVALUES), **ARGUMENTS, checkpoint=path)


def test_a_place_that_cannot_be_written_is_found_before_the_first_product(tmp_path):
    (tmp_path / "file").touch()
    operator = DiagonalOperator(EIGENVALUES)
    with pytest.raises(OSError, match=r"checkpoint folder .* cannot be written: .* is a file"):
        eigsh(operator, **ARGUMENTS, checkpoint=tmp_path / "file" / "state")
    with pytest.raises(ValueError, match="name a file"):
        eigsh(operator, **ARGUMENTS, checkpoint="")
    assert operator.num_products == 0


def test_a_full_disk_is_named_and_the_last_whole_state_kept(always_due, tmp_path, monkeypatch):
    path = tmp_path / "state.safetensors"
    interrupt(path, 20)
    whole = path.read_bytes()

    def refuse(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        with pytest.raises(OSError, match=r"state\.safetensors could not be written: No space"):
            eigsh(DiagonalOperator(EIGENVALUES), **ARGUMENTS, checkpoint=path)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert path.read_bytes() == whole


def test_writing_takes_a_small_share_of_the_time(monkeypatch, tmp_path):
    krylov = KrylovSubspace(CountedProduct(DiagonalOperator(EIGENVALUES)), 10)
    now, writes = [0.0], []

    def slowly(source, target):
        writes.append(now[0])
        now[0] += 1.0

    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(os, "replace", slowly)
    checkpoint = Checkpoint(tmp_path / "state", {}, krylov.space)
    for _ in range(1000):
        now[0] += 0.1
        checkpoint.save_if_due(krylov)
    assert 4 <= len(writes) <= 0.06 * now[0]


def test_a_file_that_another_process_writes_is_refused(tmp_path):
    other = psutil.Process(os.getppid())
    (tmp_path / ".state.lock").write_text(lock_of(other, other.create_time()))
    with pytest.raises(BlockingIOError, match=f"written by process {other.pid} on"):
        eigsh(DiagonalOperator(EIGENVALUES), **ARGUMENTS, checkpoint=tmp_path / "state")
    (tmp_path / ".state.lock").unlink()
    eigsh(DiagonalOperator(EIGENVALUES), **ARGUMENTS, checkpoint=tmp_path / "state")
    assert list(tmp_path.iterdir()) == []
