"""Options that several commands share."""

from pathlib import Path
from typing import Annotated, Any

import typer

from landscope.arguments import LARGEST_SEED


def folder(name: str | Path) -> Path:
    """Read the name of a folder; an empty one, which Python takes for the current one, is none."""
    if not str(name):
        raise typer.BadParameter("the name is empty; name a folder")
    return Path(name)


# How folders that are written to are given.
FOLDER: Any = {"parser": folder, "metavar": "FOLDER"}

Out = Annotated[
    Path,
    typer.Option("--out", help="Run folder to write; the same command again resumes it.", **FOLDER),
]
Seed = Annotated[
    int,
    typer.Option("--seed", help="Seed of everything drawn at random.", min=0, max=LARGEST_SEED),
]
Device = Annotated[
    str, typer.Option("--device", help='Where to compute: "cpu", "cuda", "cuda:1", "mps".')
]
DataRoot = Annotated[
    Path | None,
    typer.Option(
        "--data-root",
        help="Folder that holds the data sets; it is only read. "
        "Without it: $LANDSCOPE_DATA, then ~/.cache/landscope, then a download.",
    ),
]
TargetName = Annotated[
    str,
    typer.Argument(
        metavar="TARGET",
        help="A configuration file (landscope config init writes one), or "
        "package.module:function that returns a landscope.Problem.",
    ),
]
TargetDevice = Annotated[
    str | None,
    typer.Option("--device", help="Where to compute; where the target is, if absent."),
]
Trust = Annotated[
    bool,
    typer.Option(
        "--trust",
        help="Unpickle weights that are more than tensors, which can run any code: only for files "
        "whose source you trust.",
    ),
]
RunFolder = Annotated[
    Path, typer.Argument(metavar="RUN", help="A run folder, as train, measure and demo write it.")
]
ReportFolder = Annotated[
    Path | None,
    typer.Option("--out", help="Where to write; the run folder itself if not given.", **FOLDER),
]
