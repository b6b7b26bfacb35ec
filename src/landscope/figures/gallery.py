"""All pictures, in the order of the report, and their files for print."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import plotly.graph_objects as go
import xarray as xr
from matplotlib.figure import Figure

from landscope.figures import (
    clustering,
    clustering_table,
    curvature,
    gradient_power,
    growth,
    hessian_split,
    model_fit,
    simplex,
    spectrum,
    stability,
    static,
    tangent_kernel,
)
from landscope.figures.stages import NotMeasuredError


class Picture(Protocol):
    """What each module that draws a picture has."""

    __name__: str
    TITLE: str
    HOW_TO_READ: str
    EXPECTED: str

    @property
    def DEFINITIONS(self) -> Sequence[tuple[str, str]]:
        """Formulas and what they mean."""

    def figure(self, trajectory: xr.Dataset) -> Figure:
        """Draw the picture for print."""

    def interactive(self, trajectory: xr.Dataset) -> go.Figure:
        """Draw the picture for the screen."""


PROPERTIES: Sequence[Picture] = (spectrum, gradient_power, curvature)
OBSERVATIONS: Sequence[Picture] = (
    hessian_split,
    tangent_kernel,
    clustering,
    clustering_table,
    growth,
    simplex,
)
EXPLANATIONS: Sequence[Picture] = (model_fit,)
MONITORS: Sequence[Picture] = (stability,)


def file_stem(picture: Picture) -> str:
    """Name the files of a picture, without their suffix."""
    return picture.__name__.rpartition(".")[2]


def write_figures(trajectory: xr.Dataset, folder: str | Path) -> list[Path]:
    """Write every picture that can be drawn as PNG and SVG.

    Parameters
    ----------
    trajectory
        Measurements along the dimension `step`, or a single snapshot, as `landscope.measure`
        returns them.
    folder
        Where to write; made where absent.

    Returns
    -------
    list of pathlib.Path
        The files. A picture of something that was not measured is left out.
    """
    return write_pictures(
        (*PROPERTIES, *OBSERVATIONS, *EXPLANATIONS, *MONITORS), trajectory, folder
    )


def write_pictures(
    pictures: Sequence[Picture], measured: xr.Dataset, folder: str | Path
) -> list[Path]:
    """Write those of `pictures` that can be drawn from `measured` as PNG and SVG."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, figure in drawn(pictures, measured):
        for suffix in ("png", "svg"):
            path = folder / f"{name}.{suffix}"
            static.write(figure, path)
            written.append(path)
    return written


def drawn(pictures: Sequence[Picture], measured: xr.Dataset) -> Iterator[tuple[str, Figure]]:
    """Draw those of `pictures` that can be drawn from `measured`, each with its file's stem."""
    for picture in pictures:
        try:
            figure = picture.figure(measured)
        except NotMeasuredError:
            continue
        yield file_stem(picture), figure
