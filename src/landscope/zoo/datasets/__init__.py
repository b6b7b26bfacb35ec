"""Small data sets for classification, one source per file."""

from landscope.zoo.datasets.classification_data import ClassificationData
from landscope.zoo.datasets.gaussian_mixture import gaussian_mixture
from landscope.zoo.datasets.location import DataNotFoundError
from landscope.zoo.datasets.registry import DATASETS, load_dataset

__all__ = [
    "DATASETS",
    "ClassificationData",
    "DataNotFoundError",
    "gaussian_mixture",
    "load_dataset",
]
