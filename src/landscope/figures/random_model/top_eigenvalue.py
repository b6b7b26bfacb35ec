"""The largest eigenvalue against the spread of the logits."""

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from matplotlib.figure import Figure

from landscope.figures import interactive as plotly_panels
from landscope.figures import static
from landscope.figures.panel import Curve, Panel
from landscope.figures.style import BAND, BLACK, BLUE, GREEN, MUTED, PURPLE, VERMILLION

TITLE = "Curvature: whether the largest eigenvalue rises, then falls"
HOW_TO_READ = (
    "On the left the largest eigenvalue for centroids that grow as σ<sub>c</sub>² ∝ "
    "σ<sub>z</sub><sup>β</sup>: points are drawn, full lines theory given the same draws, dashed "
    "lines the limit of many examples, triangles its maximum; on the right how "
    "σ<sub>c</sub>² grows with σ<sub>z</sub> along the training of a network."
)
EXPECTED = (
    "Fig. 7: the largest eigenvalue rises, then falls, which the paper relates to the transient of "
    "high curvature in training. It depends on how fast logit gradients grow: freezing makes "
    "1 − E[Y] fall like 1/σ<sub>z</sub>, so that there is a maximum for 0 < β < 1 alone."
)
DEFINITIONS = (
    (
        "λ<sub>1</sub> ≈ σ<sub>c</sub>²(1 − E[Y])/(C − 1)",
        "for N → ∞; at N = 300 the scatter of the centroids' products lifts it",
    ),
    ("σ<sub>c</sub>² ∝ σ<sub>z</sub><sup>β</sup>", "at σ<sub>c</sub>/σ<sub>E</sub> fixed"),
)

_COLOURS = (BLUE, GREEN, VERMILLION)


def figure(drawn: xr.Dataset) -> Figure:
    """Draw λ₁ for each growth beside the growth of a network."""
    return static.draw([_panels(drawn)], caption=_caption(drawn), row_height=2.8)


def interactive(drawn: xr.Dataset) -> go.Figure:
    """Draw λ₁ for each growth beside the growth of a network."""
    return plotly_panels.draw([("", _panels(drawn))], columns=2, caption=_caption(drawn))


def _panels(drawn: xr.Dataset) -> list[Panel]:
    exponents = [float(beta) for beta in drawn["exponent"].values]
    curves = [
        curve
        for beta, colour in zip(exponents, _COLOURS, strict=True)
        for curve in _growing(drawn, beta, f"β = {beta:g}", colour)
    ]
    return [
        Panel(
            "Largest eigenvalue",
            "σ<sub>z</sub>",
            "λ<sub>1</sub>",
            curves,
            log_x=True,
            log_y=True,
        ),
        _network(drawn),
    ]


def _growing(drawn: xr.Dataset, beta: float, name: str, colour: str) -> list[Curve]:
    x, fine = drawn["sigma_z"].values, drawn["fine_sigma_z"].values
    sampled = drawn["top_eigenvalue"] * drawn["sigma_z"] ** beta
    error = BAND * sampled.std("draw", ddof=1) / drawn.sizes["draw"] ** 0.5
    theory = (drawn["top_eigenvalue_theory"].mean("draw") * drawn["sigma_z"] ** beta).values
    limit = drawn["limit"].values * fine**beta
    peak = int(np.argmax(limit))
    maximum = [peak] if 0 < peak < len(fine) - 1 else []
    return [
        Curve("drawn", x, sampled.mean("draw").values, colour, "points", error=error.values),
        Curve(name, x, theory, colour),
        Curve("N → ∞", fine, limit, colour, dashed=True),
        Curve("its maximum", fine[maximum], limit[maximum], colour, "points", symbol="triangle-up"),
    ]


def _network(drawn: xr.Dataset) -> Panel:
    x, y = drawn["growth_sigma_z"].values, drawn["growth_sigma_c"].values ** 2
    ends = np.array([x.min(), x.max()])
    beta = float(drawn["growth_exponent"])
    middle = np.exp(np.log(x).mean()), np.exp(np.log(y).mean())
    return Panel(
        "Growth of a network's logit gradients",
        "σ<sub>z</sub>",
        "σ<sub>c</sub>² (logit²/weight²)",
        [
            Curve("network", x, y, BLACK, "series"),
            Curve("fit", ends, middle[1] * (ends / middle[0]) ** beta, PURPLE),
            *(
                Curve(
                    "slopes ½ and 1",
                    ends,
                    y[np.argmin(x)] * (ends / ends[0]) ** slope,
                    MUTED,
                    dashed=True,
                )
                for slope in (0.5, 1.0)
            ),
        ],
        log_x=True,
        log_y=True,
    )


def _caption(drawn: xr.Dataset) -> str:
    fits = [
        f"β = {beta:.2f} ± {float(drawn[f'{part}_exponent_stderr']):.2f} {where}"
        for part, where in (("growth", "over all steps"), ("late", "where σ<sub>z</sub> > 1"))
        if np.isfinite(beta := float(drawn[f"{part}_exponent"]))
    ]
    return (
        f"All growths meet at σ<sub>z</sub> = 1. Error bars: ± {BAND:g} standard errors over "
        f"{drawn.sizes['draw']} draws. Fit on the right: {', '.join(fits)}; dashed "
        "there: slopes ½ and 1."
    )
