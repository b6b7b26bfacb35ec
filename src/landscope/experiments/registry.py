"""Experiments by name: each trains, draws or measures into a run folder."""

from collections.abc import Callable

from landscope.experiments.demo import demo
from landscope.experiments.random_model import eigenspectrum, gradient_overlap
from landscope.experiments.reproduction import Reproduction
from landscope.runs import Run

EXPERIMENTS: dict[str, Callable[..., Run]] = {"demo": demo}

REPRODUCTIONS: dict[str, Reproduction] = {
    "fig5": Reproduction(eigenspectrum.compute, eigenspectrum.claims),
    "fig6": Reproduction(gradient_overlap.compute, gradient_overlap.claims),
}
"""Figures of the paper that can be made anew, and what goes beyond them."""
