"""Networks with a choice of nonlinearity and normalisation, one architecture per file."""

from landscope.zoo.networks.fully_connected import FullyConnected
from landscope.zoo.networks.nonlinearity import NONLINEARITIES
from landscope.zoo.networks.normalization import NORMALIZATIONS
from landscope.zoo.networks.registry import NETWORKS, make_network
from landscope.zoo.networks.resnet20 import ResNet20
from landscope.zoo.networks.small_cnn import SmallCNN

__all__ = [
    "NETWORKS",
    "NONLINEARITIES",
    "NORMALIZATIONS",
    "FullyConnected",
    "ResNet20",
    "SmallCNN",
    "make_network",
]
