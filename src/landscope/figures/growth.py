"""What grows and what freezes during training: logits, logit gradients, weights, probabilities."""

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from matplotlib.figure import Figure

from landscope.figures import interactive as plotly_panels
from landscope.figures import static
from landscope.figures.along_training import along_training
from landscope.figures.panel import Level, Panel
from landscope.figures.stages import as_trajectory, number_of_classes
from landscope.figures.style import (
    BAND,
    BLACK,
    BLUE,
    GREEN,
    MUTED,
    ORANGE,
    PURPLE,
    SKY_BLUE,
    VERMILLION,
)

TITLE = "Growth: logits and weights spread, probabilities freeze"
HOW_TO_READ = (
    "The upper row shows what grows with training (logit spread, logit-gradient length, weight "
    "norm), the lower row how the probabilities freeze: the entropy falls from ln C and the "
    "participation rises from 1/C towards 1."
)
EXPECTED = (
    "Fig. 4: logit variance, logit-gradient length and weight norm all grow with training time "
    "(a SmallCNN on CIFAR-10). The abstract links growing logits to Derrida's random energy "
    "model: for independent Gaussian logits and C → ∞ the probabilities freeze at "
    "σ<sub>z</sub>* = √(2 ln C). Convergence to that limit goes with ln C and is slow, and real "
    "logits are not independent, so the dotted line is a scale, no threshold."
)
DEFINITIONS = (
    (
        "σ<sub>z</sub>² = (1/N) Σ<sub>μ</sub> var<sub>k</sub> z<sub>k</sub><sup>μ</sup>",
        "logit variance over classes, with 1/(C − 1), averaged over examples",
    ),
    ("‖J<sub>k</sub><sup>μ</sup>‖", "logit-gradient length: mean, and as bars its spread (1 s.d.)"),
    ("S = −Σ<sub>k</sub> p<sub>k</sub> ln p<sub>k</sub>", "entropy, mean over examples, in nats"),
    ("Y = Σ<sub>k</sub> p<sub>k</sub>²", "participation, mean over examples"),
    ("max<sub>k</sub> p<sub>k</sub> > 0.99", "a frozen example"),
)
REQUIRES = ("sigma_z",)


def figure(trajectory: xr.Dataset) -> Figure:
    """Draw each quantity against the training step.

    Parameters
    ----------
    trajectory
        Measurements along the dimension `step`, or a single snapshot.

    Returns
    -------
    matplotlib.figure.Figure
    """
    panels = _panels(as_trajectory(trajectory, REQUIRES))
    return static.draw([panels[:3], panels[3:]], caption=_CAPTION)


def interactive(trajectory: xr.Dataset) -> go.Figure:
    """Draw each quantity against the training step."""
    panels = _panels(as_trajectory(trajectory, REQUIRES))
    return plotly_panels.draw([("", panels)], columns=3, caption=_CAPTION, row_height=300)


_CAPTION = (
    f"Error bars: ± {BAND:g} standard errors; for ‖J<sub>k</sub>‖ the standard deviation over "
    "logits and examples."
)


def _panels(trajectory: xr.Dataset) -> list[Panel]:
    C = number_of_classes(trajectory)
    return [
        along_training(
            trajectory,
            "Logit spread",
            "σ<sub>z</sub>",
            [("sigma_z", "σ<sub>z</sub>", BLUE)],
            [Level(np.sqrt(2 * np.log(C)), "√(2 ln C)")],
        ),
        along_training(
            trajectory,
            "Logit-gradient length",
            "‖J<sub>k</sub>‖ (logit/weight)",
            [("logit_gradient_norm", "‖J<sub>k</sub>‖", VERMILLION)],
            errors={"logit_gradient_norm": ("logit_gradient_norm_std", 1.0)},
        ),
        along_training(trajectory, "Weight norm", "‖W‖", [("weight_norm", "‖W‖", GREEN)]),
        along_training(
            trajectory,
            "Entropy",
            "S (nats)",
            [("entropy", "S", PURPLE)],
            [Level(np.log(C), "ln C")],
        ),
        along_training(
            trajectory,
            "Participation",
            "Y, share of examples",
            [("participation", "Y", ORANGE), ("frozen_fraction", "frozen examples", SKY_BLUE)],
            [Level(1 / C, "1/C")],
        ),
        along_training(
            trajectory,
            "Accuracy and loss",
            "share; nats",
            [
                ("accuracy", "accuracy", BLACK),
                ("loss", "loss", MUTED),
                ("test_accuracy", "test accuracy", VERMILLION),
            ],
        ),
    ]
