"""The networks and data sets of the paper, small enough to measure exactly."""

from landscope.zoo.datasets import (
    DATASETS,
    ClassificationData,
    DataNotFoundError,
    gaussian_mixture,
    load_dataset,
)
from landscope.zoo.networks import (
    NETWORKS,
    NONLINEARITIES,
    NORMALIZATIONS,
    FullyConnected,
    ResNet20,
    SmallCNN,
    make_network,
)

__all__ = [
    "DATASETS",
    "NETWORKS",
    "NONLINEARITIES",
    "NORMALIZATIONS",
    "ClassificationData",
    "DataNotFoundError",
    "FullyConnected",
    "ResNet20",
    "SmallCNN",
    "gaussian_mixture",
    "load_dataset",
    "make_network",
]
