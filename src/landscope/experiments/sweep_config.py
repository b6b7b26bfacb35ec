"""What a configuration file of `landscope sweep` can say: choices of training, many at a time."""

import math
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Annotated, Any, Self, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    PlainSerializer,
    ValidationError,
    create_model,
    model_validator,
)
from pydantic.fields import FieldInfo

from landscope.experiments.config_file import nested_schema
from landscope.geometry.measure import ON_REQUEST, PARTS
from landscope.training import TrainConfig
from landscope.training.config import Choices

_PLACES = ("device", "data_root")
"""Where to compute and to read: the command's to say, for they are no part of what a cell is."""

SEED = "seed"

MOST_CELLS = 10_000


def _several(schema: type[BaseModel]) -> dict[str, Any]:
    """The fields of a schema, each of which takes one value or a list of values."""
    return {
        name: _field(field) for name, field in schema.model_fields.items() if name not in _PLACES
    }


def _field(field: FieldInfo) -> tuple[Any, Any]:
    if nested := nested_schema(field.annotation):
        several = create_model(
            nested.__name__, __base__=Choices, __doc__=nested.__doc__, **_several(nested)
        )
        return several, Field(default=several(), description=field.description)
    one: Any = field.annotation
    for constraint in field.metadata:
        one = Annotated[one, constraint]
    listed = _list_of_lists if _is_list(field.annotation) else _list
    values = Annotated[
        tuple[one, ...],
        BeforeValidator(listed),
        AfterValidator(_without_repeats),
        # A choice of one value is written as it is.
        PlainSerializer(lambda values: values[0] if len(values) == 1 else list(values)),
    ]
    return values, Field(
        default=(field.default,), description=field.description, examples=field.examples
    )


def _list(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else [value]


def _list_of_lists(value: Any) -> Any:
    """A list of numbers is one value, a list that holds lists several."""
    several = isinstance(value, list | tuple) and any(
        item is None or isinstance(item, list | tuple) for item in value
    )
    return value if several else [value]


def _is_list(annotation: Any) -> bool:
    return any(get_origin(kind) is tuple for kind in (annotation, *get_args(annotation)))


def _without_repeats(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if not values:
        raise ValueError("the list is empty; accepted is one value or a list of values")
    seen = set()
    for value in values:
        if value in seen:
            raise ValueError(f"{value!r} is given twice; keep one of the two")
        seen.add(value)
    return values


def _known_part(part: str) -> str:
    if part not in (known := (*PARTS, *ON_REQUEST)):
        raise ValueError(f"{part!r} is not known; accepted are {', '.join(known)}")
    return part


_Lists: Any = create_model("_Lists", __base__=Choices, **_several(TrainConfig))


class SweepConfig(_Lists):
    """A grid of networks: each choice takes one value, or a list of values to sweep over.

    The choices are those of `TrainConfig` but `device` and `data_root`, beside the parts of
    `landscope.measure` that are measured.

    Examples
    --------
    >>> config = SweepConfig(network="small_cnn", learning_rate=[0.01, 0.1], seed=[0, 1, 2])
    >>> config.swept, len(config.trainings())
    (['learning_rate', 'seed'], 6)
    """

    parts: tuple[Annotated[str, AfterValidator(_known_part)], ...] = Field(
        default=("probabilities", "clustering", "hessian"),
        min_length=1,
        description=f"What each stage of training measures: {', '.join((*PARTS, *ON_REQUEST))}.",
    )

    @property
    def swept(self) -> list[str]:
        """The choices that tell cells apart: those with several values, and the seed."""
        return [name for name, values in _leaves(self) if name == SEED or len(values) > 1]

    @property
    def kept(self) -> dict[str, Any]:
        """The choices that all cells have in common, by name."""
        swept = self.swept
        return {name: value for name, (value, *_) in _leaves(self) if name not in swept}

    def trainings(self) -> dict[tuple[Any, ...], TrainConfig]:
        """Every combination, by the labels of what is swept."""
        choices = dict(_leaves(self))
        labels = {name: _labels(choices[name]) for name in self.swept}
        return {
            tuple(labels[name][chosen[name]] for name in self.swept): TrainConfig.model_validate(
                _nested(chosen)
            )
            for chosen in (
                dict(zip(choices, values, strict=True)) for values in product(*choices.values())
            )
        }

    @model_validator(mode="after")
    def _every_combination_can_be_trained(self) -> Self:
        count = math.prod(len(values) for _, values in _leaves(self))
        if count > MOST_CELLS:
            raise ValueError(f"the grid has {count:,} cells; at most {MOST_CELLS:,} are accepted")
        try:
            self.trainings()
        except ValidationError as error:
            (first, *_) = error.errors()
            raise ValueError(first["msg"].removeprefix("Value error, ")) from None
        return self


def _leaves(several: BaseModel, prefix: str = "") -> Iterator[tuple[str, tuple[Any, ...]]]:
    """All choices with their values; nested names are joined by dots."""
    for name in type(several).model_fields:
        value = getattr(several, name)
        if isinstance(value, BaseModel):
            yield from _leaves(value, f"{prefix}{name}.")
        elif f"{prefix}{name}" != "parts":
            yield f"{prefix}{name}", value


def _nested(chosen: Mapping[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for name, value in chosen.items():
        *path, last = name.split(".")
        place = nested
        for part in path:
            place = place.setdefault(part, {})
        place[last] = value
    return nested


def _labels(values: tuple[Any, ...]) -> dict[Any, Any]:
    """Names of values along an axis: numbers as they are, or else text for all of them."""
    if all(isinstance(value, int | float) for value in values):
        return {value: value for value in values}
    return {value: _text(value) for value in values}


def _text(value: Any) -> str:
    if value is None:
        return "none"
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
