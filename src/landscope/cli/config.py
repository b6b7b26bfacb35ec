"""`landscope config`: configuration files to start from, and whether they are right."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from landscope.experiments import PointConfig, example_config, read_config

config = typer.Typer(no_args_is_help=True, help="Write and check configuration files.")

ConfigFile = Annotated[Path, typer.Argument(metavar="PATH", help="The configuration file.")]


@config.command()
def init(path: ConfigFile = Path("landscope.yaml")) -> None:
    """Write a commented configuration file for landscope measure, with every default.

    Example:  [bold]landscope config init point.yaml[/bold]
    """
    if path.suffix not in {".yaml", ".yml"}:
        raise ValueError(f"PATH is {path}; accepted are names that end in .yaml or .yml")
    if path.exists():
        raise FileExistsError(f"PATH {path} exists; nothing was written")
    path.write_text(example_config(PointConfig), encoding="utf-8")
    Console(soft_wrap=True).print(f"Wrote {path}; landscope measure {path} runs it")


@config.command()
def check(path: ConfigFile = Path("landscope.yaml")) -> None:
    """Say whether a configuration file is right, and what is wrong with it in which line.

    Example:  [bold]landscope config check point.yaml[/bold]
    """
    read_config(path, PointConfig)
    Console(soft_wrap=True).print(f"{path} is right")
