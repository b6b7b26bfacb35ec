"""Experiments by name: each trains, draws or measures into a run folder."""

from collections.abc import Callable

from landscope.experiments.demo import demo
from landscope.experiments.networks import (
    clustering,
    clusters,
    growth,
    logit_curvature,
    properties,
    simplex,
    weight_scale,
)
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
    "fig1": Reproduction(clustering.compute, clustering.claims, "networks on any data"),
    "fig2": Reproduction(clusters.compute, clusters.claims, "networks"),
    "fig3a": Reproduction(simplex.compute, simplex.claims, "networks"),
    "fig3b": Reproduction(freezing.compute, freezing.claims),
    "fig4": Reproduction(growth.compute, growth.claims, "networks"),
    "fig5": Reproduction(eigenspectrum.compute, eigenspectrum.claims),
    "fig6": Reproduction(gradient_overlap.compute, gradient_overlap.claims),
    "fig7": Reproduction(top_eigenvalue.compute, top_eigenvalue.claims, "model and network"),
    "fig8": Reproduction(trace_over_norm.compute, trace_over_norm.claims),
    "properties": Reproduction(properties.compute, properties.claims, "networks"),
    "logit_curvature": Reproduction(logit_curvature.compute, logit_curvature.claims, "networks"),
    "weight_scale": Reproduction(weight_scale.compute, weight_scale.claims, "networks"),
    "phase": Reproduction(phase.compute, phase.claims),
}
"""Figures of the paper that can be made anew, and what goes beyond them."""
