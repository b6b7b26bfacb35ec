"""Cosines of logit gradients with the centroids, of a network of ten classes."""

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from matplotlib.figure import Figure

from landscope.figures import interactive as plotly_panels
from landscope.figures import static
from landscope.figures.panel import Curve, Panel
from landscope.figures.style import BLUE, GREEN, VERMILLION

TITLE = "Cosines: each logit gradient with each centroid"
HOW_TO_READ = (
    "Histograms of the cosine between the gradient of logit k at one example and a mean over "
    "others: of logit k at other examples of class k, if it is one (green), of logit k at other "
    "examples of other classes, if it is not (red), and of another logit at all others (blue)."
)
EXPECTED = (
    "Fig. 2 is a diagram: gradients of a logit cluster whatever the input, those of its own class "
    "more tightly, and different logits are nearly orthogonal: green right of red, both far "
    "right of blue, which should stand at zero."
)
DEFINITIONS = (
    (
        "cos(J<sub>k</sub><sup>μ</sup>, c<sub>l</sub><sup>(−μ)</sup>)",
        "c<sub>l</sub><sup>(−μ)</sup> the mean of J<sub>l</sub><sup>ν</sup> over ν ≠ μ, for the "
        "same logit within the group of μ",
    ),
)

_BINS = np.linspace(-1, 1, 61)


def figure(measured: xr.Dataset) -> Figure:
    """Draw the histograms at each stage, two in a row."""
    panels = _panels(measured)
    grid = [panels[i : i + 2] for i in range(0, len(panels), 2)]
    return static.draw(grid, caption=_caption(measured))


def interactive(measured: xr.Dataset) -> go.Figure:
    """Draw the histograms at each stage, two in a row."""
    return plotly_panels.draw([("", _panels(measured))], columns=2, caption=_caption(measured))


def groups(measured: xr.Dataset, stage: str) -> dict[str, np.ndarray]:
    """Cosines of the three groups at a stage; those of a zero gradient are left out."""
    at = measured.sel(stage10=stage)
    grouped = at["group_cosine"].transpose("example10", "logit10").values
    others = at["cosine"].transpose("example10", "logit10", "centroid10").values
    own = np.equal.outer(at["target10"].values, np.arange(grouped.shape[1]))
    different = others[:, ~np.eye(others.shape[1], dtype=bool)]
    found = {
        "same logit, its class": grouped[own],
        "same logit, other classes": grouped[~own],
        "different logits": different.ravel(),
    }
    return {name: values[np.isfinite(values)] for name, values in found.items()}


def _panels(measured: xr.Dataset) -> list[Panel]:
    return [
        Panel(
            f"{stage.capitalize()}, step {int(step):,}",
            "cosine with a mean",
            "density",
            [
                _histogram(name, values, colour)
                for (name, values), colour in zip(
                    groups(measured, stage).items(), (GREEN, VERMILLION, BLUE), strict=True
                )
            ],
            xlim=(-1, 1),
        )
        for stage, step in zip(
            measured["stage10"].values.tolist(), measured["stage_step10"].values, strict=True
        )
    ]


def _histogram(name: str, values: np.ndarray, colour: str) -> Curve:
    density = np.histogram(values, _BINS, density=True)[0]
    return Curve(name, np.repeat(_BINS, 2)[1:-1], np.repeat(density, 2), colour)


def _caption(measured: xr.Dataset) -> str:
    return (
        f"One network ({measured.attrs['network_title']}) on all ten classes of "
        f"{measured.attrs['data_title']}, {measured.sizes['example10']} training examples; each "
        "histogram has area 1."
    )
