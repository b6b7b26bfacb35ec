"""Experiments by name: each trains, draws or measures into a run folder."""

from collections.abc import Callable

from landscope.experiments.demo import demo
from landscope.experiments.networks import (
    clustering,
    clusters,
    goldilocks,
    growth,
    hyperplane,
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
from landscope.random_model import RandomModel
from landscope.runs import Run

EXPERIMENTS: dict[str, Callable[..., Run]] = {"demo": demo}

_SMALL = RandomModel(num_examples=60, num_params=200)
_FEW = {"num_examples": (30, 60, 120), "num_params": (100, 400, 10**4)}

REPRODUCTIONS: dict[str, Reproduction] = {
    "fig1": Reproduction(clustering.compute, clustering.claims, "networks on any data"),
    "fig2": Reproduction(clusters.compute, clusters.claims, "networks"),
    "fig3a": Reproduction(simplex.compute, simplex.claims, "networks"),
    "fig3b": Reproduction(freezing.compute, freezing.claims),
    "fig4": Reproduction(growth.compute, growth.claims, "networks"),
    "fig5": Reproduction(
        eigenspectrum.compute,
        eigenspectrum.claims,
        smoke={"reference": _SMALL, "num_draws": 2},
    ),
    "fig6": Reproduction(
        gradient_overlap.compute,
        gradient_overlap.claims,
        smoke={"reference": _SMALL, "num_draws": 10},
    ),
    "fig7": Reproduction(
        top_eigenvalue.compute,
        top_eigenvalue.claims,
        "model and network",
        smoke={"reference": _SMALL, "num_draws": 2},
    ),
    "fig8": Reproduction(
        trace_over_norm.compute,
        trace_over_norm.claims,
        smoke={"reference": _SMALL, "examples": (30, 100), "num_draws": 2},
    ),
    "properties": Reproduction(properties.compute, properties.claims, "networks"),
    "logit_curvature": Reproduction(logit_curvature.compute, logit_curvature.claims, "networks"),
    "weight_scale": Reproduction(weight_scale.compute, weight_scale.claims, "networks"),
    "hyperplane": Reproduction(hyperplane.compute, hyperplane.claims, "networks"),
    "goldilocks": Reproduction(goldilocks.compute, goldilocks.claims, "networks"),
    "phase": Reproduction(
        phase.compute,
        phase.claims,
        smoke={"reference": _SMALL, "axes": _FEW, "sampled": _FEW, "num_draws": 2},
    ),
}
"""Figures of the paper that can be made anew, and what goes beyond them."""
