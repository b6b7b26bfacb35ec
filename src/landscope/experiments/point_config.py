"""What a configuration file of `landscope measure` can say."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    PositiveFloat,
    ValidationInfo,
    field_validator,
)

from landscope.training import MeasureConfig
from landscope.training.config import Choices, Class, Examples
from landscope.zoo import DATASETS, NETWORKS, NONLINEARITIES, NORMALIZATIONS
from landscope.zoo.choices import (
    DatasetName,
    NetworkName,
    NonlinearityName,
    NormalizationName,
    listed,
)


class NetworkConfig(Choices):
    """A network of the zoo."""

    name: NetworkName = Field(default="small_cnn", description=f"Network: {listed(NETWORKS)}.")
    nonlinearity: NonlinearityName = Field(
        default="relu", description=f"Nonlinearity: {listed(NONLINEARITIES)}."
    )
    normalization: NormalizationName = Field(
        default="none",
        description=f"Normalisation before each nonlinearity: {listed(NORMALIZATIONS)}.",
    )
    width: PositiveFloat = Field(default=1.0, description="Multiplies the widths of the layers.")


class DataConfig(Choices):
    """A data set of the zoo, and which of its examples are measured."""

    name: DatasetName = Field(default="digits", description=f"Data set: {listed(DATASETS)}.")
    classes: tuple[Class, ...] | None = Field(
        default=None, description="Only these classes; all of them if absent.", examples=[[0, 1, 2]]
    )
    split: Literal["train", "test"] = Field(
        default="train", description="Which examples to measure on: train or test."
    )
    max_examples: Examples = Field(default=300, description="At most so many, classes balanced.")


def _names_a_function(target: str) -> str:
    if not re.fullmatch(r"\w+(\.\w+)*:\w+", target):
        raise ValueError(f"{target!r} names no function; accepted is package.module:function")
    return target


class PointConfig(Choices):
    """What to measure, where in weight space, and how.

    Examples
    --------
    >>> PointConfig.model_validate({"network": {"nonlinearity": "tanh"}}).network.name
    'small_cnn'
    """

    problem: Annotated[str, AfterValidator(_names_a_function)] | None = Field(
        default=None,
        description="package.module:function that returns a landscope.Problem, in place of "
        "network, data and loss.",
        examples=["my_package.my_module:make_problem"],
    )
    network: NetworkConfig = Field(
        default=NetworkConfig(), description="A network of the zoo, at its initialisation."
    )
    data: DataConfig = Field(
        default=DataConfig(), description="A data set of the zoo, and which of its examples."
    )
    loss: Literal["cross_entropy", "mse"] = Field(
        default="cross_entropy", description="Loss of one example: cross_entropy or mse."
    )
    weights: Path | None = Field(
        default=None,
        description="File of weights by name, relative to this file: a checkpoint of a run, "
        "safetensors, or .pt, .pth, .bin, .ckpt.",
        examples=["runs/demo/checkpoints/00000250.safetensors"],
    )
    checkpoints: Path | None = Field(
        default=None,
        description="Folder of such files, relative to this file, in place of weights: "
        "landscope measure follows them as a trajectory.",
        examples=["runs/demo/checkpoints"],
    )
    measure: MeasureConfig = Field(default=MeasureConfig(), description="How to measure.")

    @field_validator("network", "data", "loss", mode="before")
    @classmethod
    def _not_beside_a_problem(cls, value: Any, info: ValidationInfo) -> Any:
        if info.data.get("problem") is not None:
            raise ValueError("cannot stand beside problem, which has a network, data and loss")
        return value

    @field_validator("checkpoints")
    @classmethod
    def _not_beside_weights(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value is not None and info.data.get("weights") is not None:
            raise ValueError("cannot stand beside weights: measure one point or all of a folder")
        return value
