"""The processes of a group: sums over them, and errors that end all of them together."""

import contextlib
import re
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Float, Shaped
from torch import Tensor

LOOK_EVERY = 1.0
"""Seconds between looks at whether another process has reported a lost one."""

GRACE = 3 * LOOK_EVERY
"""Seconds in which all processes that are left have reported: who has not is lost."""


class RankError(RuntimeError):
    """One process of several failed; all of them raise it.

    Attributes
    ----------
    ranks : list of int
        Which.
    """

    def __init__(self, ranks: list[int], size: int, what: str) -> None:
        self.ranks = ranks
        self._arguments = ranks, size, what
        which = ", ".join(map(str, ranks)) or "unknown"
        super().__init__(f"rank{'s' * (len(ranks) > 1)} {which} of {size} {what}")

    def __reduce__(self) -> tuple[type["RankError"], tuple[list[int], int, str]]:
        """As pickle takes it: with its own arguments, not those of its base."""
        return type(self), self._arguments


class LostRankError(RankError):
    """One process of several was killed, or does not answer; those that are left raise it."""


class Ranks:
    """The processes of a group that measure together.

    All call the same methods in the same order. Where one of them fails in what it does alone,
    all raise the same `RankError`; where one is killed, those that are left raise `LostRankError`
    as soon as its connections close.

    Parameters
    ----------
    group : ProcessGroup
        Such as ``torch.distributed.group.WORLD``.

    Attributes
    ----------
    rank, size : int
        This process's number in the group, and the number of processes.
    """

    def __init__(self, group: dist.ProcessGroup) -> None:
        if not isinstance(group, dist.ProcessGroup):
            raise TypeError(
                f"group is a {type(group).__name__}; it must be a torch.distributed process group, "
                "such as dist.group.WORLD after dist.init_process_group()"
            )
        self.group = group
        self.rank, self.size = dist.get_rank(group), dist.get_world_size(group)
        if self.rank < 0:
            raise ValueError("group does not hold this process; only its members can measure in it")

    def share(self, count: int) -> slice:
        """A part of so many things in a row for this process, as even as can be."""
        return slice(self.rank * count // self.size, (self.rank + 1) * count // self.size)

    def sum(
        self, part: Callable[[], Float[Tensor, "*n"]], like: Float[Tensor, "*n"]
    ) -> Float[Tensor, "*n"]:
        """Σ over processes of what each computes, by one all-reduce.

        One more number goes along: how many of them failed.

        Parameters
        ----------
        part : callable
            This process's summand; what it raises ends all processes.
        like : Tensor
            Of the sum's shape, dtype and device.

        Raises
        ------
        RankError
            On all processes, where one failed or was lost.
        """
        mine, failure = _attempt(part)
        buffer = like.new_empty(like.numel() + 1)
        buffer[:-1] = 0 if mine is None else mine.reshape(-1)
        buffer[-1] = failure is not None
        self._run(lambda: dist.all_reduce(buffer, group=self.group, async_op=True))
        if bool(buffer[-1] != 0):
            self._end(failure)
        return buffer[:-1].view(like.shape)

    def agree(self, failure: Exception | None, device: torch.device | str = "cpu") -> None:
        """Hear whether a process has failed, by one all-reduce of a single number.

        Raises
        ------
        RankError
            On all processes, where one came with a failure or was lost.
        """
        failed = torch.tensor([float(failure is not None)], device=device)
        self._run(lambda: dist.all_reduce(failed, group=self.group, async_op=True))
        if bool(failed != 0):
            self._end(failure)

    def foreign(self, start: Callable[[], Any]) -> None:
        """A collective of another library, which ``start`` gives unfinished.

        Raises
        ------
        RankError
            On all processes that are left, where one was lost.
        """
        self._run(start)

    def scattered_sum(
        self, part: Callable[[], Float[Tensor, "D *k"]], like: Float[Tensor, "D *k"]
    ) -> Float[Tensor, "d *k"]:
        """The same sum, of which each process gets its `chunk`, by one reduce-scatter."""
        mine, failure = _attempt(part)
        length, rest = self.chunk_length(len(like)), like.shape[1:]
        buffer = like.new_zeros(self.size, length * rest.numel() + 1)
        if mine is not None:
            for row, chunk in zip(buffer, mine.split(length), strict=False):
                row[: chunk.numel()] = chunk.reshape(-1)
        buffer[:, -1] = failure is not None
        own = like.new_empty(buffer.shape[1])
        self._run(
            lambda: dist.reduce_scatter_tensor(
                own, buffer.flatten(), group=self.group, async_op=True
            )
        )
        if bool(own[-1] != 0):
            self._end(failure)
        held = self.chunk(len(like))
        return own[:-1].view(length, *rest)[: held.stop - held.start]

    def joined(self, chunk: Float[Tensor, "d *k"], dim: int) -> Float[Tensor, "D *k"]:
        """The whole of which each process holds its `chunk`, by one all-gather."""
        length = self.chunk_length(dim)
        padded = chunk.new_zeros(length, *chunk.shape[1:])
        padded[: len(chunk)] = chunk
        whole = chunk.new_empty(self.size * length, *chunk.shape[1:])
        self._run(
            lambda: dist.all_gather_into_tensor(whole, padded, group=self.group, async_op=True)
        )
        return whole[:dim]

    def chunk_length(self, dim: int) -> int:
        """Entries of a vector that each process holds but the last ones: ⌈D/ranks⌉."""
        return -(-dim // self.size)

    def chunk(self, dim: int) -> slice:
        """The entries of a vector that this process holds, as torch's ``Shard(0)`` has it."""
        length = self.chunk_length(dim)
        return slice(min(self.rank * length, dim), min((self.rank + 1) * length, dim))

    def total(self, small: Shaped[Tensor, "*n"]) -> Shaped[Tensor, "*n"]:
        """Σ over processes of a small tensor that each of them has."""
        return self._reduced(small, dist.ReduceOp.SUM)

    def largest(self, small: Shaped[Tensor, "*n"]) -> Shaped[Tensor, "*n"]:
        """The largest over processes, entry by entry."""
        return self._reduced(small, dist.ReduceOp.MAX)

    def first(self, small: Shaped[Tensor, "*n"]) -> Shaped[Tensor, "*n"]:
        """What rank 0 has, so that all decide alike where rounding may differ."""
        own = small.contiguous().clone()
        source = dist.get_global_rank(self.group, 0)
        self._run(lambda: dist.broadcast(own, source, group=self.group, async_op=True))
        return own

    def rows(self, act: Callable[[], Shaped[Tensor, "n *k"]]) -> Shaped[Tensor, "N *k"]:
        """The rows that all processes compute, one after the other; numbers of rows may differ.

        Raises
        ------
        RankError
            On all processes, where one failed or was lost.
        """
        mine, failure = _attempt(act)
        said = None if failure is None else _sentence(failure)
        form = None if mine is None else (len(mine), mine.shape[1:], mine.dtype, mine.device.type)
        found = self._gathered((said, form))
        self._end_if_any([said for said, _ in found], failure)
        counts = [form[0] for _, form in found]
        padded = mine.new_zeros(max(counts), *mine.shape[1:])
        padded[: len(mine)] = mine
        parts = [torch.empty_like(padded) for _ in counts]
        self._run(lambda: dist.all_gather(parts, padded, group=self.group, async_op=True))
        return torch.cat([part[:n] for part, n in zip(parts, counts, strict=True)])

    @contextlib.contextmanager
    def together(self, device: torch.device | str | None = None) -> Iterator[None]:
        """What each process does alone in this block; an error on one of them ends all.

        With a device, all agree that none has failed by one number there (`agree`), not by words.

        Raises
        ------
        RankError
            On all processes, where one failed or was lost.
        """
        failure = None
        try:
            yield
        except RankError:
            raise  # all have it
        except Exception as error:  # whatever it is, the others must hear of it
            failure = error
        if device is None:
            self._end(failure)
        else:
            self.agree(failure, device)

    def objects(self, act: Callable[[], Any]) -> list[Any]:
        """What each process computes alone; an error on one of them ends all.

        Raises
        ------
        RankError
            On all processes, where one failed or was lost.
        """
        mine, failure = _attempt(act)
        found = self._gathered((None if failure is None else _sentence(failure), mine))
        self._end_if_any([said for said, _ in found], failure)
        return [result for _, result in found]

    def collectively(self, act: Callable[[], Any]) -> None:
        """Run what communicates on its own, such as a checkpoint by torch.

        Raises
        ------
        RankError
            On the processes that are left, where one was lost.
        """

        def run() -> None:
            act()

        self._run(run)

    # --- how all end together ---------------------------------------------------------------------

    def _reduced(self, small: Tensor, operation: Any) -> Tensor:
        own = small.contiguous().clone()
        self._run(lambda: dist.all_reduce(own, operation, group=self.group, async_op=True))
        return own

    def _end(self, failure: Exception | None) -> None:
        """Hear whether a process has failed, which one, and why."""
        self._end_if_any(self._gathered(failure and _sentence(failure)), failure)

    def _end_if_any(self, said: list[str | None], failure: Exception | None) -> None:
        failed = [rank for rank, sentence in enumerate(said) if sentence is not None]
        if failed:
            raise RankError(failed, self.size, f"failed: {said[failed[0]]}") from failure

    def _gathered(self, mine: Any) -> list[Any]:
        found: list[Any] = [None] * self.size
        self._run(lambda: dist.all_gather_object(found, mine, group=self.group))
        return found

    def _run(self, start: Callable[[], Any]) -> None:
        """Start a collective and wait for its end, or for the end of one of its processes."""
        try:
            work = start()
            if work is not None:
                self._wait(work)
        except RankError:
            raise
        except RuntimeError as error:  # a connection closed, or the group's timeout has passed
            self._report()
            time.sleep(GRACE)
            raise LostRankError(self._lost(), self.size, f"was lost: {_reason(error)}") from error

    def _wait(self, work: Any) -> None:
        if dist.get_backend(self.group) != dist.Backend.GLOO:
            work.wait()  # NCCL's own watchdog ends what hangs
            return
        while True:
            try:
                work.wait(timedelta(seconds=LOOK_EVERY))
                return
            except RuntimeError:
                if work.is_completed():
                    work.wait()  # raises what it failed by, and nothing where it has just ended
                    return
                if self._reported():
                    raise

    # A process that sees a connection close says so in the store; the others look there.

    @property
    def _prefix(self) -> str:
        return f"landscope/{self.group.group_name}"

    def _report(self) -> None:
        with contextlib.suppress(RuntimeError):
            store = _store()
            store.set(f"{self._prefix}/left/{self.rank}", "1")
            store.set(f"{self._prefix}/broken", "1")

    def _reported(self) -> bool:
        try:
            return _store().check([f"{self._prefix}/broken"])
        except RuntimeError:  # the store itself is lost, with the process that held it
            return True

    def _lost(self) -> list[int]:
        """Who has not reported to be left."""
        try:
            store = _store()
            return [r for r in range(self.size) if not store.check([f"{self._prefix}/left/{r}"])]
        except RuntimeError:
            return [0]  # it holds the store


def _store() -> dist.Store:
    return dist.distributed_c10d._get_default_store()


def _attempt(act: Callable[[], Any]) -> tuple[Any, Exception | None]:
    try:
        return act(), None
    except Exception as error:  # whatever it is, the others must hear of it
        return None, error


def _sentence(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _reason(error: Exception) -> str:
    """The first sentence of what gloo or NCCL says, without the place in its source."""
    return re.sub(r"^\[[^\]]*\] ", "", str(error).strip()).split(". ")[0].splitlines()[0]
