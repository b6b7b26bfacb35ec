"""Experiments by name: each trains, draws or measures into a run folder."""

from collections.abc import Callable

from landscope.experiments.demo import demo
from landscope.experiments.random_model import (
    eigenspectrum,
    freezing,
    gradient_overlap,
    phase,
    top_eigenvalue,
    trace_over_norm,
)
from landscope.experiments.reproduction import Reproduction
from landscope.runs import Run

EXPERIMENTS: dict[str, Callable[..., Run]] = {"demo": demo}

REPRODUCTIONS: dict[str, Reproduction] = {
    "fig3b": Reproduction(freezing.compute, freezing.claims),
    "fig5": Reproduction(eigenspectrum.compute, eigenspectrum.claims),
    "fig6": Reproduction(gradient_overlap.compute, gradient_overlap.claims),
    "fig7": Reproduction(top_eigenvalue.compute, top_eigenvalue.claims, needs_network=True),
    "fig8": Reproduction(trace_over_norm.compute, trace_over_norm.claims),
    "phase": Reproduction(phase.compute, phase.claims),
}
"""Figures of the paper that can be made anew, and what goes beyond them."""
