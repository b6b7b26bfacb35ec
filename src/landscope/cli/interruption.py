"""Ctrl-C and SIGTERM: a command that is stopped says how it goes on."""

import _thread
import shlex
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

from landscope.distributed import is_launched

_A_MOMENT = 0.01
"""Seconds after which an interrupt that was lost is raised again."""


class Terminated(KeyboardInterrupt):
    """SIGTERM came. It ends what runs in the way Ctrl-C does."""


@contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM raise `Terminated` in this block; a second one ends the process at once.

    Where it comes, or Ctrl-C, while Python destroys an object, its error has nobody to go to and
    is lost; it is then raised again a moment later.

    Nothing is changed outside the main thread, where Python takes no signals, and under torchrun,
    which ends its processes itself.
    """
    if threading.current_thread() is not threading.main_thread() or is_launched():
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        raise Terminated

    def raise_again(lost: Any) -> None:
        if not isinstance(lost.exc_value, KeyboardInterrupt):
            return tell(lost)
        number = signal.SIGINT
        if isinstance(lost.exc_value, Terminated):
            number = signal.SIGTERM
            signal.signal(number, end)
        threading.Timer(_A_MOMENT, _thread.interrupt_main, (number,)).start()

    before, tell = signal.signal(signal.SIGTERM, end), sys.unraisablehook
    sys.unraisablehook = raise_again
    try:
        yield
    finally:
        sys.unraisablehook = tell
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def exit_code(stop: KeyboardInterrupt) -> int:
    """What shells take for an end by this signal: 128 and its number."""
    return 128 + (signal.SIGTERM if isinstance(stop, Terminated) else signal.SIGINT)


def said_of(stop: KeyboardInterrupt, command: Sequence[str]) -> str:
    """Say where a command was stopped, and what goes on.

    Examples
    --------
    >>> stop = KeyboardInterrupt()
    >>> stop.add_note("at 3 of 10 steps")
    >>> said_of(stop, ["landscope", "train", "--out", "my runs"])
    "Interrupted at 3 of 10 steps; what was measured is kept, and the same command goes on:
    landscope train --out 'my runs'"
    """
    at = " ".join(["Interrupted", *getattr(stop, "__notes__", ())])
    return f"{at}; what was measured is kept, and the same command goes on: {shlex.join(command)}"
