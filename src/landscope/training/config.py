"""What a training run is: every choice, checked and documented."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ByteSize,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)

from landscope.arguments import LARGEST_SEED, MOST_PROBES, shown
from landscope.hyperplanes import BasisKind, random_kind
from landscope.products import ProductMethod
from landscope.training.learning_rate import Decay
from landscope.zoo import DATASETS, NETWORKS, NONLINEARITIES, NORMALIZATIONS
from landscope.zoo.choices import (
    DatasetName,
    NetworkName,
    NonlinearityName,
    NormalizationName,
    listed,
)

MOST_STEPS = 10**9
"""Of training: years of work."""

MOST_MEASUREMENTS = 10**6
"""Each is a file of its own in one folder."""

MOST_EXAMPLES = 10**9
"""No data set has more."""

MOST_DIMENSIONS = 10**12
"""No network has more weights."""

Steps = Annotated[PositiveInt, Field(le=MOST_STEPS)]
Examples = Annotated[PositiveInt, Field(le=MOST_EXAMPLES)]
Dimensions = Annotated[PositiveInt, Field(le=MOST_DIMENSIONS)]
Class = Annotated[NonNegativeInt, Field(lt=MOST_DIMENSIONS)]
SeedNumber = Annotated[NonNegativeInt, Field(le=LARGEST_SEED)]


class Choices(BaseModel):
    """Choices by name: no others, their numbers finite, and not to be changed."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="wrap")
    @classmethod
    def _not_yes_or_no(cls, value: Any, accept: ValidatorFunctionWrapHandler) -> Any:
        """Refuse True, which counts as 1 elsewhere: no choice is a yes or no."""
        accepted = accept(value)
        if _holds_bool(value):
            raise ValueError(f"{shown(value)} is a yes or no; accepted are numbers")
        return accepted


def _holds_bool(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(map(_holds_bool, value))
    return isinstance(value, bool)


class MeasureConfig(Choices):
    """How each snapshot is measured: keyword arguments of `landscope.measure`."""

    num_eigenvalues: Dimensions | None = Field(
        default=None,
        examples=[20],
        description="Top eigenvalues of each operator; if absent, 2C and at least C + 10.",
    )
    logits: Dimensions | None = Field(
        default=None,
        description="Logits, drawn at random, whose clustering and probabilities are measured; if "
        "absent, all, or 10 of more than 100.",
        examples=[10],
    )
    num_probes: int = Field(
        default=8,
        ge=2,
        le=MOST_PROBES,
        description="Random vectors that each spectral density averages over.",
    )
    num_steps: Steps = Field(
        default=60, description="Lanczos steps on each random vector of a spectral density."
    )
    tol: PositiveFloat = Field(
        default=1e-4,
        lt=1,
        description="Residual of each eigenpair, relative to the largest eigenvalue.",
    )
    method: ProductMethod = Field(
        default=ProductMethod.AUTO,
        description=f"How products with an operator are computed: {', '.join(ProductMethod)}.",
    )
    memory_limit: Annotated[ByteSize, Field(gt=0)] | None = Field(
        default=None,
        examples=["4GiB"],
        description="Memory for products beside model and data, in bytes or such as 4GiB; if "
        "absent, 40 % of what is free at the first measurement.",
    )


class HyperplaneConfig(Choices):
    """The hyperplane that training keeps to: a random one through the initial weights."""

    dim: Dimensions | None = Field(
        default=None,
        description="Train in a random affine hyperplane of so many dimensions; all weights if "
        "absent.",
        examples=[500],
    )
    kind: Annotated[BasisKind, AfterValidator(random_kind)] = Field(
        default=BasisKind.FASTFOOD, description="How the hyperplane's basis is drawn and applied."
    )


class TrainConfig(Choices):
    """What to train, how, and when to measure.

    Two runs with equal configurations give the same weights on the same machine; `device` and
    `data_root` say only where and are no part of a run's identity.

    Examples
    --------
    >>> config = TrainConfig(steps=100, optimizer="adam", learning_rate=0.001)
    >>> config.data, config.network, config.optimizer
    ('digits', 'small_cnn', 'adam')
    >>> config.identity() == config.model_copy(update={"device": "cuda"}).identity()
    True
    """

    data: DatasetName = Field(default="digits", description=f"Data set: {listed(DATASETS)}.")
    classes: tuple[Class, ...] | None = Field(
        default=None,
        description="Train on these classes only; all of them if absent.",
        examples=[[0, 1, 2]],
    )
    network: NetworkName = Field(default="small_cnn", description=f"Network: {listed(NETWORKS)}.")
    nonlinearity: NonlinearityName = Field(
        default="relu", description=f"Nonlinearity: {listed(NONLINEARITIES)}."
    )
    normalization: NormalizationName = Field(
        default="none",
        description=f"Normalisation before each nonlinearity: {listed(NORMALIZATIONS)}.",
    )
    width: PositiveFloat = Field(
        default=1.0, description="Multiplies the widths of the network's layers."
    )
    radius: PositiveFloat = Field(
        default=1.0, description="Multiplies the initial weights and biases."
    )
    hyperplane: HyperplaneConfig = Field(
        default=HyperplaneConfig(), description="The hyperplane that training keeps to."
    )

    train_examples: Examples | None = Field(
        default=None,
        description="Training examples to keep, classes balanced; all of them if absent.",
        examples=[1000],
    )
    test_examples: Examples | None = Field(
        default=None,
        description="Test examples that accuracy is taken on, classes balanced; all if absent.",
        examples=[1000],
    )

    steps: Steps = Field(default=600, description="Number of updates of the weights.")
    batch_size: Examples = Field(default=64, description="Examples in a mini-batch.")
    optimizer: Literal["sgd", "adam"] = Field(default="sgd", description="Rule of the update.")
    learning_rate: PositiveFloat = Field(
        default=0.05, description="Learning rate η₀ after warm-up."
    )
    momentum: float = Field(
        default=0.9, ge=0, lt=1, description="Momentum β of SGD; Adam ignores it."
    )
    weight_decay: NonNegativeFloat = Field(
        default=0.0, description="λ of the ridge λ/2 ‖W‖² that updates descend; it is not measured."
    )
    schedule: Decay = Field(
        default="constant", description="How the learning rate decays after warm-up."
    )
    warmup_steps: NonNegativeInt = Field(
        default=0, description="Updates over which the learning rate rises linearly to η₀."
    )
    seed: SeedNumber = Field(
        default=0, description="Seed of the weights, the mini-batches and the measurements."
    )

    num_measurements: int = Field(
        default=8,
        ge=2,
        le=MOST_MEASUREMENTS,
        description="How often to measure: the start, the end, and log-spaced between.",
    )
    measure_examples: Examples = Field(
        default=300, description="Training examples that are measured, classes balanced."
    )
    measure: MeasureConfig = Field(
        default=MeasureConfig(), description="How each snapshot is measured."
    )
    checkpoint_every: Steps = Field(
        default=200, description="Updates between checkpoints; each measured step has one besides."
    )

    device: str = Field(default="cpu", description="Where to compute, such as cpu or cuda.")
    data_root: Path | None = Field(
        default=None, description="Folder of the data files; LANDSCOPE_DATA if absent."
    )

    @model_validator(mode="after")
    def _warmup_ends(self) -> Self:
        if self.warmup_steps > self.steps:
            raise ValueError(
                f"warmup_steps is {self.warmup_steps}; it must be at most steps, {self.steps}"
            )
        return self

    def identity(self) -> dict[str, Any]:
        """Give the choices that make this run this run, as JSON can hold them."""
        return self.model_dump(mode="json", exclude={"device", "data_root"})
