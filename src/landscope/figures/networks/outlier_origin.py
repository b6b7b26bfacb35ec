"""Where the outliers of G come from: shares of class means, cross-class means and deviations."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from landscope.figures import interactive as plotly_panels
from landscope.figures import static
from landscope.figures.networks.over_seeds import above_zero
from landscope.figures.panel import Curve, Level, Panel, rank_ticks
from landscope.figures.style import BLACK, BLUE, GREEN, ORANGE, VERMILLION

TITLE = "Origin: what the outliers of G are made of"
HOW_TO_READ = (
    "Points are the eigenvalues of G by rank beside the largest ones of each of the four parts "
    "that it is the sum of; bars are the share of each part in each eigenvector of G, on top of "
    "each other because they add up to one at every rank."
)
EXPECTED = (
    "The paper does not decompose G. By Papyan 2019 (arXiv:1901.08244) class means make the first "
    "C outliers or so, cross-class means the next group of up to C², and what is within classes "
    "the bulk."
)
DEFINITIONS = (
    (
        "g<sub>c′</sub><sup>μ</sup> = (p<sup>μ</sup> − e<sub>c′</sub>)<sup>T</sup>J<sup>μ</sup>",
        "gradient of example μ were its class c′; its weight is p<sub>c′</sub><sup>μ</sup>/N",
    ),
    ("g<sub>c,c′</sub>, g<sub>c</sub>", "their weighted means: cross-class, and class means"),
    ("v<sup>T</sup>G<sub>part</sub>v/λ", "share of a part in the eigenpair (λ, v) of G"),
)

_COLOURS = (GREEN, ORANGE, BLUE, VERMILLION)
_SYMBOLS = ("diamond-open", "square", "triangle-up", "x")

# Of a bar, in ranks.
_WIDTH = 0.9


def figure(measured: xr.Dataset) -> Figure:
    """Draw eigenvalues above shares at the first, the middle and the last measured step.

    Parameters
    ----------
    measured
        What `landscope.experiments.networks.properties.compute` returns.
    """
    shown = _shown(measured)
    shares = [_shares(one) for one in shown]
    drawn = static.draw(
        [[_values(one) for one in shown], shares], caption=_caption(measured), row_height=2.3
    )
    for axes, panel in zip(drawn.axes[len(shown) :], shares, strict=True):
        _stack(axes, panel.curves)
    return drawn


def _stack(axes: Axes, curves: Sequence[Curve]) -> None:
    """Put the bars of a panel, which stand side by side, on top of each other."""
    feet = np.zeros(len(curves[0].x))
    for bars, curve in zip(axes.containers, curves, strict=True):
        for bar, rank, foot in zip(bars, curve.x, feet, strict=True):
            bar.set(x=rank - _WIDTH / 2, width=_WIDTH, y=foot)
        feet = feet + np.nan_to_num(curve.y)


def interactive(measured: xr.Dataset) -> go.Figure:
    """Draw eigenvalues above shares, with a slider over the measured steps."""
    first = measured.isel(seed=0)
    staged = [
        (f"step {int(step):,}", [_values(one), _shares(one)])
        for step in first["training_step"].values
        for one in [first.sel(training_step=step)]
    ]
    drawn = plotly_panels.draw(staged, columns=2, caption=_caption(measured))
    return drawn.update_layout(barmode="stack", bargap=1 - _WIDTH)


def _shown(measured: xr.Dataset) -> list[xr.Dataset]:
    count = measured.sizes["training_step"]
    first = measured.isel(seed=0)
    return [first.isel(training_step=place) for place in (0, count // 2, count - 1)]


def _values(one: xr.Dataset) -> Panel:
    values = one["gauss_newton_eigenvalues"].dropna("rank").values
    largest = max(values, default=np.nan)
    curves = [above_zero(Curve("G", np.arange(1, len(values) + 1), values, BLACK, "points"))]
    for part, colour, symbol in zip(one["part"].values, _COLOURS, _SYMBOLS, strict=True):
        of_part = one["part_eigenvalues"].sel(part=part).values
        of_part = np.where(of_part > 1e-6 * largest, of_part, np.nan)[: len(values)]
        ranks = np.arange(1, len(of_part) + 1)
        curves.append(Curve(str(part), ranks, of_part, colour, "points", symbol=symbol))
    return Panel(
        f"Step {int(one['training_step']):,}",
        "rank j",
        "eigenvalue (loss/weight²)",
        curves,
        levels=[_first(one, f"C − 1 = {one.attrs['num_classes'] - 1}")],
        log_y=True,
        xticks=rank_ticks(len(values)),
    )


def _shares(one: xr.Dataset) -> Panel:
    shares = one["part_share"].dropna("gram_rank", how="all")
    ranks = np.arange(1, shares.sizes["gram_rank"] + 1)
    curves = [
        Curve(
            str(part),
            ranks,
            shares.sel(part=part).values,
            colour,
            "bars",
            hover=[
                f"rank {rank}: {share:.1%}"
                for rank, share in zip(ranks, shares.sel(part=part).values, strict=True)
            ],
        )
        for part, colour in zip(one["part"].values, _COLOURS, strict=True)
    ]
    return Panel(
        "Shares",
        "rank j of G",
        "share of the eigenvalue",
        curves,
        levels=[_first(one, "")],
        xlim=(0.4, len(ranks) + 0.6),
        ylim=(0, 1),
        xticks=rank_ticks(len(ranks)),
    )


def _first(one: xr.Dataset, label: str) -> Level:
    return Level(one.attrs["num_classes"] - 0.5, label, upright=True)


def _caption(measured: xr.Dataset) -> str:
    return (
        f"One network ({measured.attrs['network_title']}) on {measured.attrs['data_title']}. "
        "Eigenvalues of a part below 10⁻⁶ of the largest of G are left out; all are exact."
    )
