"""Groups of outliers of class-conditional centroids, by rank."""

import plotly.graph_objects as go
import xarray as xr
from matplotlib.figure import Figure

from landscope.figures import interactive as plotly_panels
from landscope.figures import static
from landscope.figures.panel import Panel
from landscope.figures.random_model.eigenspectrum import ranks

TITLE = "Groups: centroids that depend on the class"
HOW_TO_READ = (
    "Each panel shows the top eigenvalues of one draw by rank, with diamonds where theory puts the "
    "outliers, for class-conditional centroids that differ for each logit and class (full), on a "
    "class's own logit only (own), and by one vector that all logits of a class have in common "
    "(shared)."
)
EXPECTED = (
    "The paper's model has no class-conditional means, though its Fig. 1 measures that gradients "
    "of one logit cluster better within the logit's own class. Such means make the hierarchy of "
    "outliers that Papyan (2019, arXiv:1901.08244) finds on real networks; what all logits share "
    "drops out, since the rows of M sum to zero."
)
DEFINITIONS = (
    (
        "c<sub>k,a</sub> = c<sub>k</sub> + d<sub>k,a</sub>",
        "mean of logit k on class a; d<sub>k,a</sub> free, or δ<sub>ka</sub>d<sub>a</sub>, or "
        "d<sub>a</sub>",
    ),
)


def figure(drawn: xr.Dataset) -> Figure:
    """Draw the eigenvalues by rank for each kind of class-conditional centroids."""
    return static.draw([_panels(drawn)])


def interactive(drawn: xr.Dataset) -> go.Figure:
    """Draw the eigenvalues by rank for each kind of class-conditional centroids."""
    return plotly_panels.draw([("", _panels(drawn))], columns=3)


def _panels(drawn: xr.Dataset) -> list[Panel]:
    names = [str(name) for name in drawn["variant"].values if "class" in str(name)]
    return [ranks(drawn.sel(variant=name), name) for name in names]
