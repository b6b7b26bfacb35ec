"""One case: a call with arguments known to be sensible or not, and what must come of it."""

import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from landscope.arguments import shown

LIMIT = 10.0
"""Seconds of processor time for a case: they pass as fast on a busy machine."""

LONGEST_SENTENCE = 500


class TakesTooLong(BaseException):
    """No case may catch it."""


@dataclass(frozen=True)
class Case:
    """What is called with what.

    Attributes
    ----------
    target : str
        What is called.
    given : mapping
        Arguments by name.
    senseless : tuple of str
        Those that must be refused; where there are none, the call must be accepted.
    """

    target: str
    given: Mapping[str, Any]
    senseless: tuple[str, ...]

    def __str__(self) -> str:
        said = ", ".join(f"{name}={shown(value)}" for name, value in self.given.items())
        return f"{self.target}({said})"


@dataclass(frozen=True)
class Outcome:
    """What came of a case.

    Attributes
    ----------
    case : Case
        What was called.
    refusal : str or None
        The sentence by which it was refused.
    fault : str or None
        What is wrong with that; None where all is right.
    seconds : float
        Of processor time.
    """

    case: Case
    refusal: str | None
    fault: str | None
    seconds: float

    def __str__(self) -> str:
        return f"{self.case}: {self.fault or self.refusal or 'accepted'}"


def attempt(case: Case, call: Callable[[], str | None], limit: float = LIMIT) -> Outcome:
    """Make a call and judge what comes of it.

    Parameters
    ----------
    case : Case
        What is called.
    call : callable
        Gives the sentence of a refusal, None where the input was accepted; raises where something
        else happened.
    limit : float
        Seconds of processor time.
    """
    start = time.process_time()
    refusal, fault = None, None
    try:
        with _at_most(limit):
            refusal = call()
    except TakesTooLong:
        fault = f"took more than {limit:g} s"
    except (Exception, SystemExit) as error:
        fault = f"traceback of {type(error).__name__}: {str(error)[:200]!r}"
    seconds = time.process_time() - start
    return Outcome(case, refusal, fault or _judge(case, refusal), seconds)


def _judge(case: Case, refusal: str | None) -> str | None:
    if refusal is None:
        return (
            f"accepted though {' and '.join(case.senseless)} is senseless"
            if (case.senseless)
            else None
        )
    if not case.senseless:
        return f"refused though it is sensible: {refusal[:200]!r}"
    sentences = refusal.split("\n")  # one for each fault of a configuration
    if len(sentences) > len(case.senseless):
        return f"more sentences than faults: {refusal[:200]!r}"
    for said in sentences:
        if not 10 < len(said) <= LONGEST_SENTENCE:
            return f"no sentence: {said[:200]!r}"
        words = said.replace("-", "_").lower()
        if not any(one in words for name in case.senseless for one in _names(name)):
            return f"names none of {', '.join(case.senseless)}: {said[:200]!r}"
    return None


def _names(argument: str) -> tuple[str, str]:
    """What a sentence may call an argument: --hyperplane-dim is a dim as well."""
    whole = argument.strip("-").replace("-", "_").lower()
    return whole, whole.rpartition("_")[2]


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Interrupt what takes more processor time."""

    def interrupt(*_: object) -> None:
        raise TakesTooLong

    before = signal.signal(signal.SIGPROF, interrupt)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
