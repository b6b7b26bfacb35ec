"""Ways to end a run before its time, each against a process that works in a small file system.

The process is a fork of one that has everything imported, so that an attempt costs no more than its
work. Folders lie on a file system of their own in memory, which can be filled and made read-only as
no permission could do to root. All of this is Linux's; what it shows of files holds elsewhere.
"""

import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from torture.subjects import Subject

MIB = 2**20
ROOMY = 256 * MIB
PROMPT_SECONDS = 60.0
"""After a polite signal a process is to be gone in so many seconds, on a busy machine."""


class Attempt:
    """One try at a run in a process of its own.

    Attributes
    ----------
    pid : int
        The process.
    said : Path
        What it wrote to its standard streams.
    """

    def __init__(self, subject: Subject, folder: Path, said: Path):
        self.said = said
        self._status: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            _become(lambda: subject.run(folder), said)

    def alive(self) -> bool:
        """Tell whether it still runs."""
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
        return self._status is None

    def send(self, number: signal.Signals) -> None:
        """Send a signal, to its children too where it is the terminal's."""
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if number is signal.SIGINT else os.kill)(self.pid, number)

    def wait(self, seconds: float) -> int | None:
        """Give the exit status, negative for a signal; None where it takes longer."""
        end = time.monotonic() + seconds
        while self.alive() and time.monotonic() < end:
            time.sleep(0.005)
        return self._status

    def text(self) -> str:
        """What it has said."""
        return self.said.read_text(encoding="utf-8", errors="replace")

    def last_words(self) -> str:
        """The end of it, without the folders in which this machine keeps Python's files."""
        return re.sub(r'"[^"]*/(site-packages|python3\.\d+)/', '"', self.text())[-500:]


def _become(work: Callable[[], int], said: Path) -> None:
    """Do the work of a forked process, and end it without what its parent would do at exit."""
    code = 70
    try:
        os.setpgid(0, 0)
        with said.open("w") as stream:
            os.dup2(stream.fileno(), 1)
            os.dup2(stream.fileno(), 2)
        sys.stdout = os.fdopen(1, "w", encoding="utf-8")
        sys.stderr = os.fdopen(2, "w", encoding="utf-8")
        signal.signal(signal.SIGINT, signal.default_int_handler)
        code = work()
    except KeyboardInterrupt:
        code = 130
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


@contextlib.contextmanager
def memory_folder(path: Path) -> Iterator[Path]:
    """Mount a small file system in memory, and take it away at the end."""
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOMY}", "tmpfs", path], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)


def remount(path: Path, option: str) -> bool:
    """Change an option of a file system, such as its size; False where it is in use."""
    done = subprocess.run(["mount", "-o", f"remount,{option}", path], capture_output=True)
    return done.returncode == 0


@dataclass(frozen=True)
class Blow:
    """What an attack did.

    Attributes
    ----------
    hit : bool
        Whether the run was still going when it was struck.
    fault : str
        What it should not have done; empty where all was well.
    """

    hit: bool
    fault: str = ""


Attack = Callable[[Subject, Path, float, random.Random], Blow]


def kill(subject: Subject, folder: Path, seconds: float, chance: random.Random) -> Blow:
    """SIGKILL, at any moment."""
    attempt = _begun(subject, folder, seconds, chance)
    hit = attempt.alive()
    attempt.send(signal.SIGKILL)
    attempt.wait(PROMPT_SECONDS)
    return Blow(hit)


def terminate(subject: Subject, folder: Path, seconds: float, chance: random.Random) -> Blow:
    """SIGTERM, as a batch system sends it."""
    return _signalled(signal.SIGTERM, (143, -signal.SIGTERM), subject, folder, seconds, chance)


def interrupt(subject: Subject, folder: Path, seconds: float, chance: random.Random) -> Blow:
    """Ctrl-C: SIGINT to the process and its children."""
    return _signalled(signal.SIGINT, (130, -signal.SIGINT), subject, folder, seconds, chance)


def fill(subject: Subject, folder: Path, seconds: float, chance: random.Random) -> Blow:
    """A disk that is full at some moment."""
    remount(folder.parent, f"size={int(_used(folder) + chance.uniform(4096, 0.1 * MIB))}")
    attempt = _begun(subject, folder, 0.0, chance)
    status = attempt.wait(40 * seconds + PROMPT_SECONDS)
    remount(folder.parent, f"size={ROOMY}")
    return _failed(attempt, status)


def seal(subject: Subject, folder: Path, seconds: float, chance: random.Random) -> Blow:
    """A file system that is read-only from some moment on."""
    attempt = _begun(subject, folder, seconds, chance)
    # A second view of the same files, for what is open for writing keeps the first as it is.
    subprocess.run(["mount", "--bind", folder.parent, folder.parent], check=True)
    while attempt.alive() and not remount(folder.parent, "bind,ro"):
        time.sleep(0.001)
    status = attempt.wait(40 * seconds + PROMPT_SECONDS)
    subprocess.run(["umount", "--lazy", folder.parent], check=True)
    return _failed(attempt, status)


def double(subject: Subject, folder: Path, seconds: float, chance: random.Random) -> Blow:
    """A second process on the same folder."""
    first = _begun(subject, folder, seconds, chance)
    hit = first.alive()
    second = Attempt(subject, folder, folder.parent.with_name("second.txt"))
    ends = [attempt.wait(40 * seconds + PROMPT_SECONDS) for attempt in (first, second)]
    for attempt, end in zip((first, second), ends, strict=True):
        if end is None:
            attempt.send(signal.SIGKILL)
            return Blow(hit, "neither of two writers ended")
        if end not in (0, 1) or _is_unreadable(attempt.text()):
            return Blow(hit, f"one of two writers ended with {end}: {attempt.last_words()}")
    if 0 not in ends:
        return Blow(hit, "both of two writers gave up")
    return Blow(hit)


ATTACKS: dict[str, Attack] = {
    "SIGKILL": kill,
    "SIGTERM": terminate,
    "Ctrl-C": interrupt,
    "disk full": fill,
    "read-only": seal,
    "two writers": double,
}


def _begun(subject: Subject, folder: Path, seconds: float, chance: random.Random) -> Attempt:
    """Start a run, and let it go on for up to so many seconds."""
    attempt = Attempt(subject, folder, folder.parent.with_name("said.txt"))
    attempt.wait(chance.uniform(0.0, seconds))
    return attempt


def _signalled(
    number: signal.Signals,
    statuses: tuple[int, int],
    subject: Subject,
    folder: Path,
    seconds: float,
    chance: random.Random,
) -> Blow:
    attempt = _begun(subject, folder, seconds, chance)
    hit = attempt.alive()
    attempt.send(number)
    status = attempt.wait(PROMPT_SECONDS)
    if status is None:
        attempt.send(signal.SIGKILL)
        attempt.wait(PROMPT_SECONDS)
        return Blow(hit, f"it went on for {PROMPT_SECONDS:.0f} seconds after {number.name}")
    if status not in (0, *statuses) or _is_unreadable(attempt.text()):
        return Blow(hit, f"{number.name} ended it with {status}: {attempt.last_words()}")
    return Blow(hit)


def _failed(attempt: Attempt, status: int | None) -> Blow:
    """Judge how a run ended that could not write."""
    if status is None:
        attempt.send(signal.SIGKILL)
        return Blow(True, "it hung where it could not write")
    if status not in (0, 1) or _is_unreadable(attempt.text()):
        return Blow(
            True, f"it ended with {status} where it could not write: {attempt.last_words()}"
        )
    return Blow(status == 1)


def _is_unreadable(text: str) -> bool:
    return "Traceback" in text or "Error: unexpected " in text


def _used(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.parent.rglob("*") if file.is_file())
