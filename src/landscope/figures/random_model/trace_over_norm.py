"""Tr H/‖H‖ against the spread of the logits, for several numbers of examples."""

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from matplotlib.figure import Figure

from landscope.figures import interactive as plotly_panels
from landscope.figures import static
from landscope.figures.panel import Curve, Level, Panel
from landscope.figures.style import BAND, stage_colours

TITLE = "Trace over norm: its fall belongs to finite N"
HOW_TO_READ = (
    "Each colour is a number of examples N: points are drawn, full lines theory at D parameters, "
    "dashed lines the limit D → ∞; the dotted line is the limit of many examples as well, which no "
    "σ<sub>z</sub> moves."
)
EXPECTED = (
    "Fig. 8 shows Tr H/‖H‖ falling with σ<sub>z</sub> and calls the transition equivalent to the "
    "edge of the Goldilocks zone (Fort & Scherlis 2018, arXiv:1807.02581). In the model the fall "
    "is an effect of few examples: freezing leaves curvature on few of them, whose scatter adds to "
    "‖H‖. It goes away with N, so it is not that edge."
)
DEFINITIONS = (
    (
        "‖H‖<sub>F</sub>² = σ<sub>c</sub>⁴q²/(C−1) + [(σ<sub>c</sub>² + σ<sub>E</sub>²)² E tr M² − "
        "σ<sub>c</sub>⁴q²/(C−1)]/N",
        "for D → ∞, q = 1 − E[Y]; Tr H = (σ<sub>c</sub>² + σ<sub>E</sub>²)q",
    ),
    (
        "√(C−1)(1 + σ<sub>E</sub>²/σ<sub>c</sub>²)",
        "Tr H/‖H‖<sub>F</sub> for D → ∞ and then N → ∞",
    ),
)


def figure(drawn: xr.Dataset) -> Figure:
    """Draw the ratio, one colour for each N."""
    return static.draw([_panels(drawn)], caption=_caption(drawn), row_height=2.8)


def interactive(drawn: xr.Dataset) -> go.Figure:
    """Draw the ratio, one colour for each N."""
    return plotly_panels.draw([("", _panels(drawn))], columns=1, caption=_caption(drawn))


def _panels(drawn: xr.Dataset) -> list[Panel]:
    curves = []
    x, sampled_x = drawn["sigma_z"].values, drawn["sampled_sigma_z"].values
    examples = drawn["num_examples"].values
    for N, colour in zip(examples, stage_colours(len(examples)), strict=True):
        one = drawn.sel(num_examples=N)
        curves.append(Curve(f"N = {N:,}", x, one["ratio_theory"].values, colour))
        curves.append(Curve("D → ∞", x, one["ratio_infinite_params"].values, colour, dashed=True))
        if np.isfinite(one["ratio_drawn"].values).any():
            error = BAND * one["ratio_stderr"].values
            curves.append(
                Curve("drawn", sampled_x, one["ratio_drawn"].values, colour, "points", error=error)
            )
    return [
        Panel(
            "Trace over Frobenius norm",
            "σ<sub>z</sub>",
            "Tr H/‖H‖<sub>F</sub>",
            curves,
            levels=[Level(float(drawn["limit"]), "D → ∞, then N → ∞")],
            log_x=True,
        )
    ]


def _caption(drawn: xr.Dataset) -> str:
    return (
        f"D = {drawn.attrs['num_params']:,.0f}. Error bars: ± {BAND:g} standard errors of the "
        "drawn means. The fall shrinks as N grows: an effect of finite N, not the edge of the "
        "Goldilocks zone."
    )
