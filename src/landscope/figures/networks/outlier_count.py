"""The number of outliers along training, for several numbers of classes."""

import matplotlib
import numpy as np
import plotly.graph_objects as go
import xarray as xr
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from landscope.figures import interactive as plotly_panels
from landscope.figures import static
from landscope.figures.networks.over_seeds import each_seed, said_of_seeds, steps_said
from landscope.figures.panel import Curve, Panel
from landscope.figures.stages import training_axis
from landscope.figures.style import (
    BLACK,
    BLUE,
    MUTED,
    ORANGE,
    PAPER,
    SKY_BLUE,
    SYMBOLS,
    VERMILLION,
    stage_colours,
)

TITLE = "Outliers: how many, and whether they follow the classes"
HOW_TO_READ = (
    "On the left and in the middle the eigenvalues of H and of G that stand clear of the fitted "
    "edge of the bulk, along training, a colour for each number of classes C with a dashed line at "
    "C − 1; on the right the counts at three moments against C, with lines at C and C − 1."
)
EXPECTED = (
    "The abstract: exactly C directions of high positive curvature; the model: C − 1. Outliers are "
    "counted by the largest gap above an edge that is fitted to the bulk, with no knowledge of C. "
    "Where classes have means of their own there are further groups, up to C² in all (Papyan 2019)."
)
DEFINITIONS = (
    (
        "(λ<sub>j</sub> − E<sub>j</sub>)/(s<sub>j</sub> + scatter)",
        "gap of the j-th eigenvalue from the edge E<sub>j</sub> fitted to those below it by the "
        "Airy law λ<sub>i</sub> = E − s·a<sub>i</sub>; the largest counts if it exceeds 4",
    ),
)


@matplotlib.rc_context(PAPER)
def figure(measured: xr.Dataset) -> Figure:
    """Draw the counts of H, of G, and both against C.

    Parameters
    ----------
    measured
        What `landscope.experiments.networks.properties.compute` returns.
    """
    drawn = static.draw([_panels(measured)], caption=_caption(measured), row_height=2.6)
    for axes in drawn.axes:
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    # Labels of whole counts are narrower, and the panels stand where they are laid out once.
    drawn.set_layout_engine("constrained")
    static.settle(drawn)
    return drawn


def interactive(measured: xr.Dataset) -> go.Figure:
    """Draw the counts of H, of G, and both against C."""
    return plotly_panels.draw([("", _panels(measured))], columns=3, caption=_caption(measured))


def _panels(measured: xr.Dataset) -> list[Panel]:
    counts = {"H": measured["hessian_num_outliers"], "G": measured["gauss_newton_num_outliers"]}
    highest = np.nan_to_num([float(count.max()) for count in counts.values()]).max()
    limits = (-0.4, max(highest, float(measured["num_classes"].max())) + 1.5)
    return [
        *(_along_training(f"Outliers of {name}", count, limits) for name, count in counts.items()),
        _against_classes(measured, counts, limits),
    ]


def _along_training(title: str, count: xr.DataArray, limits: tuple[float, float]) -> Panel:
    steps = count["training_step"].values
    axis = training_axis(steps)
    classes = count["num_classes"].values.tolist()
    curves = []
    # Beside each other: equal counts would hide one another.
    sideways = np.linspace(-0.03, 0.03, len(classes)) * np.ptp(axis.positions)
    marks = zip(classes, sideways, stage_colours(len(classes)), SYMBOLS, strict=False)
    for C, aside, colour, symbol in marks:
        level = np.full(len(axis.positions), C - 1.0)
        of_C, name, x = count.sel(num_classes=C), f"C = {C}", axis.positions + aside
        curves += [
            Curve("C − 1", axis.positions, level, _pale(colour), dashed=True),
            each_seed(name, x, of_C, colour, steps_said(steps), symbol=symbol),
            Curve(name, x, of_C.mean("seed").values, colour),
        ]
    return Panel(
        title,
        "training step",
        "outliers",
        curves,
        ylim=limits,
        xticks=(axis.ticks, axis.tick_labels),
    )


def _pale(colour: str) -> str:
    """Half way to white: a line to compare with stays behind what was counted."""
    red, green, blue = ((1 + part) / 2 for part in to_rgb(colour))
    return to_hex((red, green, blue))


def _against_classes(
    measured: xr.Dataset, counts: dict[str, xr.DataArray], limits: tuple[float, float]
) -> Panel:
    classes = measured["num_classes"].values.astype(float)
    curves = [Curve("C and C − 1", classes, classes - less, MUTED, dashed=True) for less in (0, 1)]
    largest = measured["largest_eigenvalue"].mean("seed").fillna(-np.inf)
    moments = {
        "H, start": (counts["H"].isel(training_step=0), SKY_BLUE, "circle"),
        "H, largest λ": (counts["H"].isel(largest.argmax(["training_step"])), BLUE, "square"),
        "H, end": (counts["H"].isel(training_step=-1), BLACK, "triangle-up"),
        "G, start": (counts["G"].isel(training_step=0), ORANGE, "diamond-open"),
        "G, end": (counts["G"].isel(training_step=-1), VERMILLION, "x"),
    }
    sideways = np.linspace(-0.3, 0.3, len(moments))
    curves += [
        each_seed(
            name, classes + aside, count, colour, [f"C = {C:g}" for C in classes], symbol=symbol
        )
        for aside, (name, (count, colour, symbol)) in zip(sideways, moments.items(), strict=True)
    ]
    return Panel(
        "Against the classes",
        "classes C",
        "outliers",
        curves,
        ylim=limits,
        xticks=(classes.tolist(), [f"{C:g}" for C in classes]),
    )


def _caption(measured: xr.Dataset) -> str:
    count = measured.sizes["seed"]
    networks = (
        said_of_seeds(measured)
        if count == 1
        else f"Points: each of {count} networks of each kind, without error bars; lines: means."
    )
    return (
        f"{measured.attrs['network_title']} on the first C classes of "
        f"{measured.attrs['data_title']}. {networks}"
    )
