"""`landscope config`: configuration files to start from, and whether they are right."""

from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import BaseModel
from rich.console import Console

from landscope.arguments import shown
from landscope.experiments import PointConfig, SweepConfig, example_config, read_config

config = typer.Typer(no_args_is_help=True, help="Write and check configuration files.")

# What each command's file says, and what its example chooses in place of the defaults.
_SCHEMAS: dict[str, tuple[type[BaseModel], dict[str, Any]]] = {
    "measure": (PointConfig, {}),
    "sweep": (
        SweepConfig,
        {
            "nonlinearity": ["relu", "tanh"],
            "steps": 200,
            "learning_rate": [0.01, 0.05],
            "seed": [0, 1, 2],
            "num_measurements": 4,
            "measure_examples": 100,
        },
    ),
}

ConfigFile = Annotated[Path, typer.Argument(metavar="PATH", help="The configuration file.")]


Command = Annotated[
    str, typer.Option("--for", help=f"The command that reads it: {', '.join(_SCHEMAS)}.")
]


@config.command()
def init(path: ConfigFile = Path("landscope.yaml"), command: Command = "measure") -> None:
    """Write a commented configuration file for landscope measure or sweep, with every choice.

    Example:  [bold]landscope config init point.yaml[/bold]
    """
    schema, chosen = _schema(command)
    if path.suffix not in {".yaml", ".yml"}:
        raise ValueError(f"PATH is {path}; accepted are names that end in .yaml or .yml")
    if path.exists():
        raise FileExistsError(f"PATH {path} exists; nothing was written")
    path.write_text(example_config(schema, **chosen), encoding="utf-8")
    Console(soft_wrap=True).print(f"Wrote {path}; landscope {command} {path} runs it")


@config.command()
def check(path: ConfigFile = Path("landscope.yaml"), command: Command = "measure") -> None:
    """Say whether a configuration file is right, and what is wrong with it in which line.

    Example:  [bold]landscope config check point.yaml[/bold]
    """
    schema, _ = _schema(command)
    read_config(path, schema)
    Console(soft_wrap=True).print(f"{path} is right")


def _schema(command: str) -> tuple[type[BaseModel], dict[str, Any]]:
    if command not in _SCHEMAS:
        raise ValueError(f"--for is {shown(command)}; accepted are {', '.join(_SCHEMAS)}")
    return _SCHEMAS[command]
