"""What a command says when it cannot do what was asked."""

from typing import Any

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.text import Text
from typer.core import TyperGroup

from landscope.arguments import shown
from landscope.cli.config_options import OPTION_NAMES
from landscope.cli.interruption import exit_code, said_of, terminable
from landscope.distributed import leads
from landscope.experiments.config_file import ConfigurationError
from landscope.system.interruption import uncovering_interrupts

# What bad input raises; anything else is a defect, and named as one.
_EXPECTED = (ValueError, TypeError, OSError, ImportError, RuntimeError, MemoryError)
_TYPED = "landscope.typed"


class OneSentenceErrors(TyperGroup):
    """A group of commands that prints an error as one sentence and exits with code 1.

    With `--debug` before the command the traceback is shown instead. A command that is stopped by
    Ctrl-C or SIGTERM says what goes on, and exits with code 130 or 143.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Keep what was typed, for it is what goes on."""
        ctx.meta[_TYPED] = [ctx.info_name or "landscope", *args]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command chosen."""
        try:
            with terminable(), uncovering_interrupts():
                return super().invoke(ctx)
        except (Exception, KeyboardInterrupt, SystemExit) as error:
            if ctx.params.get("debug") or _is_handled_by_click(error):
                raise
            if isinstance(error, KeyboardInterrupt):
                if leads():
                    _tell(said_of(error, ctx.meta[_TYPED]))
                raise typer.Exit(exit_code(error)) from None
            _tell(sentence(error))
            raise typer.Exit(1) from None


def _tell(said: str) -> None:
    Console(stderr=True, soft_wrap=True).print(Text(said, style="red"))


def sentence(error: Exception | SystemExit) -> str:
    """Return one line that says what went wrong; for each fault of a configuration, one.

    Examples
    --------
    >>> sentence(ValueError("batch_size=0 must be positive"))
    'Error: batch_size=0 must be positive'
    >>> sentence(KeyError("loss"))
    "Error: unexpected KeyError: 'loss' (landscope --debug … shows where)"
    """
    if isinstance(error, ValidationError):
        faults = "\n".join(_culprit(**details) for details in error.errors())
        return f"Error: {faults}"
    if isinstance(error, ConfigurationError):
        return f"Error: {error}"
    message = " ".join(str(error).split())
    if isinstance(error, SystemExit):
        return f"Error: the code that was called ended the process: sys.exit({error.code!r})"
    if isinstance(error, _EXPECTED) and message:
        return f"Error: {message}"
    return f"Error: unexpected {type(error).__name__}: {message} (landscope --debug … shows where)"


def _culprit(*, loc: tuple[int | str, ...], input: Any, msg: str, **_: Any) -> str:
    said = msg.removeprefix("Value error, ")
    if not loc:  # of the whole, which names what it means
        return said
    name = ".".join(OPTION_NAMES.get(str(part), str(part)) for part in loc)
    return f"{name}={shown(input)}: {said}"


def _is_handled_by_click(error: BaseException) -> bool:
    """Tell usage errors and exits, which typer prints itself."""
    return hasattr(error, "exit_code")
