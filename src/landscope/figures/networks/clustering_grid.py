"""Mean cosines of logit gradients over data sets, networks, nonlinearities and stages."""

from itertools import product
from textwrap import wrap

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from matplotlib.figure import Figure

from landscope.figures import interactive as plotly_panels
from landscope.figures import static
from landscope.figures.clustering import BARS, DEFINITIONS
from landscope.figures.networks.over_seeds import over_seeds, said_of_seeds
from landscope.figures.panel import Level, Panel

TITLE = "Clustering: mean cosines of logit gradients, for all networks"
HOW_TO_READ = (
    "Each panel is one kind of network on one data set at four stages of training: green is the "
    "mean cosine of gradients of the same logit at two examples of its class, red of the same "
    "logit at any two examples, blue of different logits, pale blue the mean size of the last."
)
EXPECTED = (
    "Fig. 1: q<sub>SLSC</sub> ≥ q<sub>SL</sub> ≫ |q<sub>DL</sub>| ≈ 0 for every data set, "
    "architecture, nonlinearity and stage of training. How large q<sub>SL</sub> must be, the "
    "paper does not say."
)

__all__ = ["DEFINITIONS", "EXPECTED", "HOW_TO_READ", "TITLE", "figure", "interactive"]

_SHORT = {"initialisation": "initial"}
_LABEL_WIDTH = 22


def figure(measured: xr.Dataset) -> Figure:
    """Draw one panel for each network, nonlinearity and data set, a row for each of the last two.

    Parameters
    ----------
    measured
        What `landscope.experiments.networks.clustering.compute` returns.
    """
    panels = [_panel(measured, *place, title_data=False) for place in _places(measured)]
    columns = measured.sizes["network"]
    grid = [panels[i : i + columns] for i in range(0, len(panels), columns)]
    return static.draw(grid, caption=_caption(measured), row_height=1.55)


def interactive(measured: xr.Dataset) -> go.Figure:
    """Draw one panel for each network, nonlinearity and data set."""
    panels = [_panel(measured, *place, title_data=True) for place in _places(measured)]
    columns = measured.sizes["network"]
    return plotly_panels.draw(
        [("", panels)], columns=columns, caption=_caption(measured), row_height=260
    )


def _places(measured: xr.Dataset) -> list[tuple[str, str, str]]:
    axes = (measured[name].values.tolist() for name in ("data", "nonlinearity", "network"))
    return list(product(*axes))


def _panel(
    measured: xr.Dataset, data: str, nonlinearity: str, network: str, *, title_data: bool
) -> Panel:
    cell = measured.sel(data=data, nonlinearity=nonlinearity, network=network)
    places = np.arange(cell.sizes["stage"])
    stages = [_SHORT.get(stage, stage) for stage in cell["stage"].values.tolist()]
    title = f"{network}, {nonlinearity}"
    return Panel(
        title=f"{data.partition(' (')[0]}, {title}" if title_data else title,
        xlabel="",
        ylabel="mean cosine" if title_data else "<br>".join(wrap(data, _LABEL_WIDTH)),
        curves=[
            over_seeds(name, places, cell[variable], colour, kind="bars")
            for variable, name, colour in BARS
        ],
        levels=[Level(0, "")],
        ylim=(-0.15, 1.05),
        xticks=(places.tolist(), stages),
    )


def _caption(measured: xr.Dataset) -> str:
    steps = "; ".join(
        f"{network}: {', '.join(str(int(step)) for step in of_network)}"
        for network, of_network in zip(
            measured["network"].values, measured["stage_step"].values, strict=True
        )
    )
    return (
        f"Vertical: mean cosine, on {measured.attrs['num_examples']} training examples. "
        f"{said_of_seeds(measured)} Stages are the training steps {steps}."
    )
