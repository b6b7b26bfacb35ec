"""One writer at a time: a lock file that no dead process can keep."""

import json
import os
import socket
import threading
import time
import uuid
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

BEAT = 5.0
"""Seconds after which the holder of a lock renews it."""

PATIENCE = 20.0
"""Seconds without renewal after which a holder on another machine is taken for dead."""

_ATTEMPTS = 10
_SAME_START = 5.0  # seconds by which the system may report the start of one process differently


class WriterLock:
    """The right to write into a folder, held by one process until it is released or ends.

    The file names its holder: host, process, and when that process began, by which a number that
    the system has given to another process since is told. A holder on this machine that has ended
    is taken over at once. One on another machine is watched: it renews the file every
    `BEAT` seconds, and is taken over after `PATIENCE` seconds without. A process may hold the same
    lock several times.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    BlockingIOError
        If another process holds it.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "lock.json"
    >>> lock = WriterLock(path)
    >>> path.exists(), lock.release(), path.exists()
    (True, None, False)
    """

    def __init__(self, path: Path) -> None:
        path = path.absolute()
        _count(path, +1)
        try:
            _acquire(path)
        except BaseException:
            _count(path, -1)
            raise
        _begin_renewing()
        # Also when the process ends, or nobody knows this object any more.
        self._end = weakref.finalize(self, _release, path, os.getpid())

    def release(self) -> None:
        """Give the right back; again is no error."""
        self._end()


_HOLDS: dict[Path, int] = {}
_GUARD = threading.RLock()  # the garbage collector may release one lock while another is counted
_RENEWING: list[threading.Thread] = []


def _count(path: Path, change: int) -> int:
    with _GUARD:
        _HOLDS[path] = _HOLDS.get(path, 0) + change
        return _HOLDS[path] or _HOLDS.pop(path)


def _acquire(path: Path) -> None:
    for _ in range(_ATTEMPTS):
        if _create(path):
            return
        holder = _read(path)
        if holder is None:  # just being written, or written by a process that was killed at it
            time.sleep(0.2)
            holder = _read(path)
        if _is_this_process(holder):
            return
        if holder is not None and _is_alive(path, holder):
            raise BlockingIOError(_said(path, holder))
        _take_away(path, holder)
    raise BlockingIOError(f"{path} is no lock and cannot be taken away: remove it")


def _create(path: Path) -> bool:
    """Write the lock where there is none; False where there is one."""
    me = psutil.Process()
    holder = {"host": socket.gethostname(), "pid": me.pid, "began": me.create_time()}
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(json.dumps(holder))
    except FileExistsError:
        return False
    except PermissionError:  # so Windows says that a file is there which is about to go
        return False
    return True


def _read(path: Path) -> dict[str, Any] | None:
    """Who holds the lock; None where the file is gone or says nothing."""
    try:
        holder = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    known = isinstance(holder, dict) and {"host", "pid", "began"} <= holder.keys()
    return holder if known and isinstance(holder["pid"], int) else None


def _is_alive(path: Path, holder: dict[str, Any]) -> bool:
    if holder["host"] != socket.gethostname():
        return _is_renewed(path)
    return _is_running(holder)


def _is_running(holder: dict[str, Any]) -> bool:
    """Whether the process of this machine that wrote `holder` has not ended."""
    try:
        process = psutil.Process(holder["pid"])
        if process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
            return False
        return abs(process.create_time() - holder["began"]) < _SAME_START
    except psutil.AccessDenied:  # there is one, of another user
        return True
    except (psutil.Error, OSError, OverflowError, TypeError, ValueError):
        return False


def _is_this_process(holder: dict[str, Any] | None) -> bool:
    here = {"host": socket.gethostname(), "pid": os.getpid()}
    return holder is not None and here.items() <= holder.items() and _is_running(holder)


def _is_renewed(path: Path) -> bool:
    """Watch a lock of another machine, by its own clock alone."""
    before, until = _changed(path), time.monotonic() + PATIENCE
    while time.monotonic() < until:
        time.sleep(min(BEAT, PATIENCE) / 5)
        if _changed(path) != before:
            return path.exists()
    return False


def _changed(path: Path) -> int | None:
    """When the file was last written, as its disk has it."""
    try:
        with path.open("rb") as file:  # opening asks a network disk anew
            return os.fstat(file.fileno()).st_mtime_ns
    except OSError:
        return None


def _take_away(path: Path, holder: dict[str, Any] | None) -> None:
    """Remove the lock of a dead holder, unless another process was faster."""
    away = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.partial")
    with suppress(OSError):
        os.replace(path, away)
        if _read(away) != holder and not path.exists():  # a new one, by who was faster
            os.replace(away, path)
        away.unlink(missing_ok=True)


def _begin_renewing() -> None:
    with _GUARD:
        if not any(thread.is_alive() for thread in _RENEWING):
            _RENEWING[:] = [threading.Thread(target=_renew, daemon=True)]
            _RENEWING[0].start()


def _renew() -> None:
    """Touch all locks that this process holds, as long as there are any."""
    while True:
        time.sleep(BEAT)
        with _GUARD:
            held = list(_HOLDS)
            if not held:
                _RENEWING.clear()
                return
        for path in held:
            if _is_this_process(_read(path)):
                with suppress(OSError):  # a disk that is away for a moment
                    os.utime(path)


def _release(path: Path, pid: int) -> None:
    if pid != os.getpid():  # a copy of the process that holds it
        return
    if not _count(path, -1) and _is_this_process(_read(path)):
        with suppress(OSError):
            path.unlink()


def _said(path: Path, holder: dict[str, Any]) -> str:
    who = f"process {holder['pid']} on {holder['host']}"
    return (
        f"{path.parent} is being written by {who}: wait until it has ended, end it, or name "
        f"another folder (only if it has surely ended, remove {path.name} there)"
    )
