"""Figures of networks that were trained, by the experiment that computes what they show."""

from collections.abc import Mapping, Sequence

from landscope.figures.gallery import Picture
from landscope.figures.networks import (
    cluster_cosines,
    clustering_grid,
    clusters,
    curvature_transient,
    goldilocks,
    gradient_confinement,
    growth_with_training,
    hyperplane_accuracy,
    logit_curvature,
    outlier_count,
    outlier_origin,
    simplex_training,
    weight_scale,
)

PICTURES: Mapping[str, Sequence[Picture]] = {
    "fig1": (clustering_grid,),
    "fig2": (clusters, cluster_cosines),
    "fig3a": (simplex_training,),
    "fig4": (growth_with_training,),
    "properties": (outlier_count, outlier_origin, gradient_confinement, curvature_transient),
    "logit_curvature": (logit_curvature,),
    "weight_scale": (weight_scale,),
    "hyperplane": (hyperplane_accuracy,),
    "goldilocks": (goldilocks,),
}
"""Of networks that an experiment trains."""

OF_OWN_PROBLEMS: Mapping[str, Sequence[Picture]] = {
    "zone": (goldilocks,),
    "intrinsic_dimension": (hyperplane_accuracy,),
}
"""Of a problem of one's own, in hyperplanes."""
