"""What the zoo has, as types that a configuration checks its names against."""

from collections.abc import Collection
from typing import Annotated

from pydantic import AfterValidator

from landscope.arguments import shown
from landscope.zoo.datasets import DATASETS
from landscope.zoo.networks import NETWORKS, NONLINEARITIES, NORMALIZATIONS


def listed(names: Collection[str]) -> str:
    """The names in alphabetical order, separated by commas.

    Examples
    --------
    >>> listed(NETWORKS)
    'fully_connected, resnet20, small_cnn'
    """
    return ", ".join(sorted(names))


def _one_of(names: Collection[str]) -> AfterValidator:
    def check(name: str) -> str:
        if name not in names:
            raise ValueError(f"{shown(name)} is not known; accepted are {listed(names)}")
        return name

    return AfterValidator(check)


DatasetName = Annotated[str, _one_of(DATASETS)]
NetworkName = Annotated[str, _one_of(NETWORKS)]
NonlinearityName = Annotated[str, _one_of(NONLINEARITIES)]
NormalizationName = Annotated[str, _one_of(NORMALIZATIONS)]
