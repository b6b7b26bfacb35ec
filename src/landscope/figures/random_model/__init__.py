"""Figures of the random model, by the experiment that computes what they show."""

from collections.abc import Mapping, Sequence

from landscope.figures.gallery import Picture
from landscope.figures.random_model import eigenspectrum, gradient_overlap, outlier_groups

PICTURES: Mapping[str, Sequence[Picture]] = {
    "fig5": (eigenspectrum, outlier_groups),
    "fig6": (gradient_overlap,),
}
