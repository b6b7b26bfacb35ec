"""Figures of the random model, by the experiment that computes what they show."""

from collections.abc import Mapping, Sequence

from landscope.figures.gallery import Picture
from landscope.figures.random_model import (
    eigenspectrum,
    freezing,
    gradient_overlap,
    outlier_groups,
    phase,
    simplex_motion,
    sweep,
    top_eigenvalue,
    trace_over_norm,
)

PICTURES: Mapping[str, Sequence[Picture]] = {
    "model": (eigenspectrum, gradient_overlap),
    "sweep": (sweep,),
    "fig3b": (simplex_motion, freezing),
    "fig5": (eigenspectrum, outlier_groups),
    "fig6": (gradient_overlap,),
    "fig7": (top_eigenvalue,),
    "fig8": (trace_over_norm,),
    "phase": (phase,),
}
