"""The command `landscope` and its sub-commands."""

from typing import Annotated

import typer

from landscope.cli.config import config
from landscope.cli.demo import demo
from landscope.cli.failures import OneSentenceErrors
from landscope.cli.goldilocks import goldilocks
from landscope.cli.intrinsic_dimension import intrinsic_dimension
from landscope.cli.measure import measure
from landscope.cli.model import model
from landscope.cli.report import report
from landscope.cli.reproduce import reproduce
from landscope.cli.show import show
from landscope.cli.sweep import sweep
from landscope.cli.train import train
from landscope.distributed import is_launched

app = typer.Typer(
    name="landscope",
    cls=OneSentenceErrors,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(demo)
app.command()(measure)
app.command()(train)
app.command()(model)
app.command()(reproduce)
app.command()(sweep)
app.command()(goldilocks)
app.command()(intrinsic_dimension)
app.command()(report)
app.command()(show)
app.add_typer(config, name="config")


@app.callback()
def landscope(
    ctx: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Measure the local geometry of a neural network's loss landscape.

    Hessian and Gauss-Newton spectra, gradient alignment, clustering of logit gradients: each
    number with its error, at one point or along training.

    Start with:  [bold]landscope demo[/bold]
    """
    if is_launched() and ctx.invoked_subcommand != "measure":
        raise ValueError(
            f"landscope {ctx.invoked_subcommand} runs in one process; what torchrun can start is "
            "landscope measure"
        )
