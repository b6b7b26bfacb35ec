"""What a command says when it cannot do what was asked."""

from typing import Any

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.text import Text
from typer.core import TyperGroup

from landscope.arguments import shown
from landscope.cli.config_options import OPTION_NAMES

# What bad input raises; anything else is a defect, and named as one.
_EXPECTED = (ValueError, TypeError, OSError, ImportError, RuntimeError, MemoryError)


class OneSentenceErrors(TyperGroup):
    """A group of commands that prints an error as one sentence and exits with code 1.

    With `--debug` before the command the traceback is shown instead.
    """

    def invoke(self, ctx: Any) -> Any:
        """Run the command chosen."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            if ctx.params.get("debug") or _is_handled_by_click(error):
                raise
            Console(stderr=True, soft_wrap=True).print(Text(sentence(error), style="red"))
            raise typer.Exit(1) from None


def sentence(error: Exception) -> str:
    """Return one line that says what went wrong.

    Examples
    --------
    >>> sentence(ValueError("batch_size=0 must be positive"))
    'Error: batch_size=0 must be positive'
    >>> sentence(KeyError("loss"))
    "Error: unexpected KeyError: 'loss' (landscope --debug … shows where)"
    """
    if isinstance(error, ValidationError):
        return f"Error: {'; '.join(_culprit(**details) for details in error.errors())}"
    message = " ".join(str(error).split())
    if isinstance(error, _EXPECTED) and message:
        return f"Error: {message}"
    return f"Error: unexpected {type(error).__name__}: {message} (landscope --debug … shows where)"


def _culprit(*, loc: tuple[int | str, ...], input: Any, msg: str, **_: Any) -> str:
    said = msg.removeprefix("Value error, ")
    if not loc:  # of the whole, which names what it means
        return said
    name = ".".join(OPTION_NAMES.get(str(part), str(part)) for part in loc)
    return f"{name}={shown(input)}: {said}"


def _is_handled_by_click(error: Exception) -> bool:
    """Tell usage errors and exits, which typer prints itself."""
    return hasattr(error, "exit_code")
