"""The random model's eigenspectrum: histogram, predicted bulk, outliers where they should be."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from matplotlib.figure import Figure

from landscope.figures import interactive as plotly_panels
from landscope.figures import static
from landscope.figures.panel import Curve, Level, Panel
from landscope.figures.style import BLACK, BLUE, ORANGE, VERMILLION

TITLE = "Spectrum: a bulk and C − 1 outliers"
HOW_TO_READ = (
    "Above, the histogram of one draw's eigenvalues on a logarithmic axis with the predicted bulk "
    "on it, and its outliers as sticks; below, the same eigenvalues by rank with the predicted "
    "outliers as diamonds around them and the predicted edge of the bulk as a dotted line."
)
EXPECTED = (
    "Fig. 5 shows a bulk and C − 1 outliers. Its caption adds that means whose lengths vary give C "
    "of them, data not shown: in the model as defined they cannot, since the means enter through "
    "S<sup>T</sup>(1⊗c) with S<sup>T</sup>1 = 0, of rank C − 1, and a perturbation of that rank "
    "moves no more eigenvalues out of the bulk (Weyl). Means that depend on the true class do give "
    "more: a second group of smaller outliers, as real networks show."
)
DEFINITIONS = (
    ("J<sub>k</sub><sup>μ</sup> = c<sub>k</sub> + E<sub>k</sub><sup>μ</sup>", "logit gradients"),
    (
        "H = (1/N) Σ<sub>μ</sub> J<sup>μT</sup>S<sup>μ</sup>S<sup>μT</sup>J<sup>μ</sup>",
        "S = diag(√p) − p√p<sup>T</sup>",
    ),
    ("λρ(λ)·D", "eigenvalues per e-fold of λ; equal areas hold equally many"),
    (
        "λ<sub>+</sub>",
        "edge of the bulk in the limit of many dimensions; the first bulk eigenvalue of a draw of "
        "this size lies within a few per cent of it",
    ),
)


def figure(drawn: xr.Dataset) -> Figure:
    """Draw histogram above ranks, one column for each kind of centroids.

    Parameters
    ----------
    drawn
        What `landscope.experiments.random_model.draw.describe` returns, or several along `variant`.
    """
    columns = [[histogram(one, name), ranks(one, name)] for name, one in _variants(drawn)]
    return static.draw(list(zip(*columns, strict=True)), caption=_caption(drawn))


def interactive(drawn: xr.Dataset) -> go.Figure:
    """Draw histogram above ranks, one column for each kind of centroids."""
    shown = _variants(drawn)
    panels = [histogram(one, name) for name, one in shown] + [
        ranks(one, name) for name, one in shown
    ]
    return plotly_panels.draw([("", panels)], columns=len(shown), caption=_caption(drawn))


def _variants(drawn: xr.Dataset) -> Sequence[tuple[str, xr.Dataset]]:
    if "variant" not in drawn.dims:
        return [("", drawn)]
    return [(str(name), drawn.sel(variant=name)) for name in drawn["variant"].values[:3]]


def histogram(one: xr.Dataset, name: str) -> Panel:
    """Describe the panel of one draw's histogram, its predicted bulk and its outliers."""
    one = one.dropna("bin", subset=["count_density"])
    edges = np.append(one["bin_left"].values, one["bin_right"].values[-1])
    outliers = one["eigenvalue"].values[: int(one["num_outliers"])]
    height = 1 / np.log(edges[1] / edges[0])
    counts = one["count_density"].where(one["bin_left"] < one["edge_theory"], np.nan).values
    return Panel(
        title=name.capitalize() or "Eigenvalues",
        xlabel="eigenvalue λ",
        ylabel="eigenvalues per e-fold",
        curves=[
            Curve("drawn, bulk", *_staircase(edges, counts), BLUE),
            Curve("theory, bulk", *_positive(one), ORANGE),
            Curve(
                "drawn, outliers", outliers, np.full_like(outliers, height), VERMILLION, "sticks"
            ),
        ],
        levels=_edge(one, upright=True),
        log_x=True,
        log_y=True,
        ylim=(height / 4, max(3 * float(one["count_density"].max()), 4 * height)),
    )


def ranks(one: xr.Dataset, name: str) -> Panel:
    """Describe the panel of eigenvalues by rank with the predicted outliers."""
    predicted = one["outlier_theory"].dropna("outlier").values
    shown = one["eigenvalue"].values[: max(20, len(predicted) + 10)]
    return Panel(
        title=f"{name.capitalize()}: the top" if name else "Top eigenvalues",
        xlabel="rank j",
        ylabel="λ<sub>j</sub>",
        curves=[
            Curve("drawn", np.arange(1, len(shown) + 1), shown, BLACK, "points"),
            Curve(
                "theory, outliers",
                np.arange(1, len(predicted) + 1),
                predicted,
                ORANGE,
                "points",
                symbol="diamond-open",
            ),
        ],
        levels=_edge(one),
        log_y=True,
    )


def _edge(one: xr.Dataset, *, upright: bool = False) -> list[Level]:
    """The predicted edge, which has no place on a logarithmic axis where σ_E = 0."""
    edge = float(one["edge_theory"])
    return [Level(edge, "λ<sub>+</sub>", upright=upright)] if edge > 0 else []


def _caption(drawn: xr.Dataset) -> str:
    caption = "One draw. Theory of its outliers: given its centroids; of the bulk: averaged."
    if "variant" in drawn.dims:
        caption += " Ninety outliers, on the right, are so many fewer eigenvalues in the bulk."
    return caption


def _staircase(edges: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Corners of a histogram; empty bins are gaps on a logarithmic axis."""
    return np.repeat(edges, 2)[1:-1], np.repeat(np.where(counts > 0, counts, np.nan), 2)


def _positive(one: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    middle = np.sqrt(one["bin_left"].values * one["bin_right"].values)
    density = one["count_density_theory"].values
    return middle[density > 0], density[density > 0]
