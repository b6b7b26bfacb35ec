"""Ctrl-C that comes out of compiled code as an error of another class."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncovering_interrupts() -> Iterator[None]:
    """Raise a KeyboardInterrupt where the error that ends this block stands for one.

    Torch computes some derivatives in TorchScript. What Python raises in there, be it Ctrl-C, is a
    RuntimeError outside, whose text alone says what it was. Who takes such an error for one of the
    computation, and goes on without, goes on after Ctrl-C.

    Raises
    ------
    KeyboardInterrupt
        Or the subclass of it that the text names.

    Examples
    --------
    >>> try:
    ...     with uncovering_interrupts():
    ...         raise RuntimeError("failed in the TorchScript interpreter: KeyboardInterrupt: ")
    ... except KeyboardInterrupt:
    ...     print("interrupted")
    interrupted
    """
    try:
        yield
    except RuntimeError as error:
        text = str(error)
        for kind in (*KeyboardInterrupt.__subclasses__(), KeyboardInterrupt):
            if f"{kind.__name__}:" in text:
                raise kind from error
        raise


@contextmanager
def deferring_interrupts() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM come after this block, which is to take a moment.

    Compiled code that calls Python, as the reader of safetensors does, may raise a ValueError that
    says nothing of them, as it does for a damaged file. Nothing is changed outside the main
    thread, where Python takes no signals.

    Examples
    --------
    >>> import signal
    >>> before = signal.signal(signal.SIGINT, signal.default_int_handler)  # it may be ignored
    >>> try:
    ...     with deferring_interrupts():
    ...         signal.raise_signal(signal.SIGINT)
    ...         print("the end of the block")
    ... except KeyboardInterrupt:
    ...     print("interrupted")
    the end of the block
    interrupted
    >>> _ = signal.signal(signal.SIGINT, before)
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number, handler in before.items():
        if callable(handler):  # a function of Python; others raise nothing
            signal.signal(number, lambda number, _: came.append(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            if callable(handler):
                signal.signal(number, handler)
        for first in came[:1]:
            signal.raise_signal(first)
