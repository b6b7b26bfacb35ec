"""How much of the gradient lies in the top eigenvectors of the Hessian."""

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from matplotlib.figure import Figure

from landscope.figures import interactive as plotly_panels
from landscope.figures import static
from landscope.figures.networks.over_seeds import over_seeds, said_of_seeds, steps_said
from landscope.figures.panel import Level, Panel, rank_ticks
from landscope.figures.stages import training_axis
from landscope.figures.style import SYMBOLS, stage_colours

TITLE = "Gradient: its share in the top eigenvectors of the Hessian"
HOW_TO_READ = (
    "On the left the share of the squared gradient in the top C eigenvectors along training, for "
    "several numbers of classes C; in the middle the cosine with each eigenvector at three "
    "moments, and on the right the share that the first k of them hold together."
)
EXPECTED = (
    "The abstract: gradients are largely confined to the space of high curvature. Fig. 6 (of the "
    "model) finds 71 % in the top 10 of D = 1000 directions, a number that varies much from draw "
    "to draw."
)
DEFINITIONS = (
    ("cos<sub>j</sub> = |v<sub>j</sub>·g|/‖g‖", "v<sub>j</sub> the j-th eigenvector of H"),
    ("Σ<sub>j≤k</sub> cos<sub>j</sub>²", "share of the first k; k/D for a random direction"),
)


def figure(measured: xr.Dataset) -> Figure:
    """Draw the share along training, the cosines and the cumulative share.

    Parameters
    ----------
    measured
        What `landscope.experiments.networks.properties.compute` returns.
    """
    return static.draw([_panels(measured)], caption=_caption(measured), row_height=2.6)


def interactive(measured: xr.Dataset) -> go.Figure:
    """Draw the share along training, the cosines and the cumulative share."""
    return plotly_panels.draw([("", _panels(measured))], columns=3, caption=_caption(measured))


def _panels(measured: xr.Dataset) -> list[Panel]:
    steps = measured["training_step"].values
    axis = training_axis(steps)
    classes = measured["num_classes"].values.tolist()
    along = Panel(
        "Share of the top C",
        "training step",
        "share of ‖g‖²",
        [
            over_seeds(
                f"C = {C}",
                axis.positions,
                measured["top_power"].sel(num_classes=C),
                colour,
                at=steps_said(steps),
                symbol=symbol,
            )
            for C, colour, symbol in zip(
                classes, stage_colours(len(classes)), SYMBOLS, strict=False
            )
        ],
        ylim=(0, 1.05),
        xticks=(axis.ticks, axis.tick_labels),
    )
    C = measured.attrs["num_classes"]
    by_rank = (
        ("Each eigenvector", "eigenvector j", "|cos<sub>j</sub>|", measured["cosines"], "points"),
        (
            "The first k together",
            "eigenvectors k",
            "share of ‖g‖²",
            measured["gradient_power"],
            "series",
        ),
    )
    return [along] + [
        Panel(
            title,
            xlabel,
            ylabel,
            [
                over_seeds(
                    f"step {int(step):,}",
                    # Beside each other: error bars of points would hide one another.
                    np.arange(1, values.sizes["rank"] + 1) + (aside if kind == "points" else 0),
                    values.sel(training_step=step),
                    colour,
                    at=[f"{xlabel} = {rank + 1}" for rank in range(values.sizes["rank"])],
                    kind=kind,
                    symbol=symbol,
                )
                for step, colour, symbol, aside in zip(
                    _shown(measured), stage_colours(3), SYMBOLS, (-0.25, 0.0, 0.25), strict=False
                )
            ],
            levels=[Level(C + 0.5, f"top C = {C}", upright=True)],
            ylim=(0, 1.05),
            xticks=rank_ticks(values.sizes["rank"]),
        )
        for title, xlabel, ylabel, values, kind in by_rank
    ]


def _shown(measured: xr.Dataset) -> np.ndarray:
    steps = measured["training_step"].values
    return steps[[0, len(steps) // 2, -1]]


def _caption(measured: xr.Dataset) -> str:
    return (
        f"{measured.attrs['network_title']} on {measured.attrs['data_title']}. By chance the top C "
        f"hold C/D ≤ {float(measured['top_power_chance'].max()):.1g}. {said_of_seeds(measured)}"
    )
