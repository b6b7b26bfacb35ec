"""The random model's gradient in the eigenvectors of its Hessian."""

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from matplotlib.figure import Figure

from landscope.figures import interactive as plotly_panels
from landscope.figures import static
from landscope.figures.panel import Curve, Level, Panel
from landscope.figures.style import BLACK, BLUE, ORANGE, PURPLE

TITLE = "Gradient: its share in the top C eigenvectors"
HOW_TO_READ = (
    "Dots are cosines of the gradient with the eigenvectors of one draw, largest eigenvalue first, "
    "and the line climbs to the share that they hold together; where there are many draws, bars "
    "count how often a share comes out, and the last panel holds each draw's share against what "
    "theory says of it."
)
EXPECTED = (
    "Fig. 6 finds 71 % of the gradient's power in the top 10 eigenvectors of D = 1000. That is one "
    "draw of a quantity that scatters widely: for many examples and parameters it is "
    "X/(X + σ<sub>E</sub>²/σ<sub>c</sub>²), X ~ χ²<sub>C−1</sub>/(C − 1), whatever σ<sub>z</sub>."
)
DEFINITIONS = (
    (
        "g = (1/N) Σ<sub>μ</sub> Σ<sub>k</sub> (p<sub>k</sub><sup>μ</sup> − "
        "y<sub>k</sub><sup>μ</sup>) J<sub>k</sub><sup>μ</sup>",
        "gradient; labels y uniform, or drawn from p",
    ),
    ("cos<sub>j</sub> = v<sub>j</sub>·g/‖g‖", "signed to be positive"),
    ("Σ<sub>j≤C</sub> cos<sub>j</sub>²", "share of the top C"),
)

_BINS = np.linspace(0, 1, 26)
_COLOURS = {"uniform": BLUE, "sampled": PURPLE}


def figure(drawn: xr.Dataset) -> Figure:
    """Draw cosines and cumulative share; with many draws their histogram and the theory beside."""
    panels = _panels(drawn)
    return static.draw([panels[:2], panels[2:]] if len(panels) > 2 else [panels])


def interactive(drawn: xr.Dataset) -> go.Figure:
    """Draw cosines and cumulative share; with many draws their histogram and the theory beside."""
    return plotly_panels.draw([("", _panels(drawn))], columns=2)


def _panels(drawn: xr.Dataset) -> list[Panel]:
    shown = drawn.dropna("rank", subset=["cosine"])
    C = drawn.attrs["num_classes"]
    single = [
        Panel(
            "Cosines, one draw",
            "eigenvector j",
            "|cos<sub>j</sub>|",
            [Curve("drawn", shown["rank"].values, shown["cosine"].values, BLUE, "points")],
            levels=[Level(C + 0.5, f"top C = {C}", upright=True)],
            log_x=True,
        ),
        Panel(
            "Cumulative share, one draw",
            "eigenvectors k",
            "share of ‖g‖²",
            [
                Curve("drawn", shown["rank"].values, shown["gradient_power"].values, BLUE),
                _cumulative_theory(drawn),
            ],
            levels=[Level(C + 0.5, f"top C = {C}", upright=True)],
            log_x=True,
            ylim=(0, 1.04),
        ),
    ]
    return [*single, *_many_draws(drawn, C)] if "labels" in drawn.dims else single


def _cumulative_theory(drawn: xr.Dataset) -> Curve:
    shares = drawn["outlier_power_theory"].dropna("outlier").values
    ranks = np.arange(1, len(shares) + 1)
    return Curve(
        "theory, given the draw", ranks, np.cumsum(shares), ORANGE, "points", symbol="diamond-open"
    )


def _many_draws(drawn: xr.Dataset, C: int) -> list[Panel]:
    kinds = [str(kind) for kind in drawn["labels"].values]
    counts = [
        np.histogram(drawn["top_power"].sel(labels=kind), _BINS)[0].astype(float) for kind in kinds
    ]
    return [
        Panel(
            f"Share of the top {C}, {drawn.sizes['draw']} draws",
            f"share of ‖g‖² in the top {C}",
            "draws",
            [
                Curve(
                    f"labels {kind}",
                    np.repeat(_BINS, 2)[1:-1],
                    np.repeat(count, 2),
                    _COLOURS[kind],
                    dashed=kind == "sampled",
                )
                for kind, count in zip(kinds, counts, strict=True)
            ],
            levels=[Level(0.71, "paper, one draw", upright=True)],
            xlim=(0, 1),
        ),
        Panel(
            "Theory against draws",
            "share in the outliers, theory",
            f"share in the top {C}, drawn",
            [
                Curve(
                    f"labels {kind}",
                    drawn["top_power_theory"].sel(labels=kind).values,
                    drawn["top_power"].sel(labels=kind).values,
                    _COLOURS[kind],
                    "points",
                    symbol="circle" if kind == "uniform" else "diamond-open",
                )
                for kind in kinds
            ]
            + [Curve("equal", np.array([0.0, 1.0]), np.array([0.0, 1.0]), BLACK, dashed=True)],
            xlim=(0, 1),
            ylim=(0, 1),
        ),
    ]
