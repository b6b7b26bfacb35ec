"""Freezing of the class probabilities against the spread of the logits."""

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from matplotlib.figure import Figure

from landscope.figures import interactive as plotly_panels
from landscope.figures import static
from landscope.figures.panel import Curve, Level, Panel
from landscope.figures.style import BAND, BLACK, stage_colours

TITLE = "Freezing: participation and entropy at any number of classes"
HOW_TO_READ = (
    "Lines are exact averages at C classes, points are samples, the dashed line is the limit "
    "C → ∞; with σ<sub>z</sub> in units of σ<sub>z</sub>* all C share one limit."
)
EXPECTED = (
    "The paper reads the motion in the simplex as the freezing of Derrida's random energy model, "
    "at σ<sub>z</sub>* = √(2 ln C) (2.146 for C = 10). It is sharp only for ln C → ∞: at C = 10 "
    "participation has risen well before, and at C = 10⁸ the corner is still rounded."
)
DEFINITIONS = (
    ("Y = Σ<sub>k</sub> p<sub>k</sub>²", "participation; 1/C at the centre, 1 in a corner"),
    ("E[Y] → 1 − σ<sub>z</sub>*/σ<sub>z</sub>", "for σ<sub>z</sub> > σ<sub>z</sub>*, else 0"),
    ("E[S]/ln C → 1 − (σ<sub>z</sub>/σ<sub>z</sub>*)²", "for σ<sub>z</sub> below, else 0"),
)


def figure(drawn: xr.Dataset) -> Figure:
    """Draw participation beside entropy."""
    return static.draw([_panels(drawn)], caption=_CAPTION, row_height=2.6)


def interactive(drawn: xr.Dataset) -> go.Figure:
    """Draw participation beside entropy."""
    return plotly_panels.draw([("", _panels(drawn))], columns=2, caption=_CAPTION)


_CAPTION = f"Error bars: ± {BAND:g} standard errors of the samples, mostly smaller than the points."


def _panels(drawn: xr.Dataset) -> list[Panel]:
    units = np.ones(drawn.sizes["num_classes"]), np.log(drawn["num_classes"].values)
    return [
        _panel(drawn, "participation", "participation_limit", "E[Y]", units[0]),
        _panel(drawn, "entropy", "relative_entropy_limit", "E[S]/ln C", units[1]),
    ]


def _panel(drawn: xr.Dataset, name: str, limit: str, ylabel: str, units: np.ndarray) -> Panel:
    x, sampled_x = drawn["reduced_sigma"].values, drawn["sampled_sigma"].values
    colours = stage_colours(drawn.sizes["num_classes"])
    curves = [Curve("C → ∞", x, drawn[limit].values, BLACK, dashed=True)]
    for C, unit, colour in zip(drawn["num_classes"].values, units, colours, strict=True):
        one = drawn.sel(num_classes=C)
        label = f"C = {int(C):,}" if C < 1e6 else f"C = 10<sup>{np.log10(C):.0f}</sup>"
        curves.append(Curve(label, x, one[name].values / unit, colour))
        sampled = one[f"{name}_sampled"].values / unit
        if np.isfinite(sampled).any():
            error = BAND * one[f"{name}_stderr"].values / unit
            curves.append(Curve("samples", sampled_x, sampled, colour, "points", error=error))
    return Panel(
        title=name.capitalize(),
        xlabel="σ<sub>z</sub>/σ<sub>z</sub>*",
        ylabel=ylabel,
        curves=curves,
        levels=[Level(1.0, "σ<sub>z</sub>*", upright=True)],
        ylim=(-0.02, 1.04),
    )
