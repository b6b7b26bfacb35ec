"""A configuration file, read into its schema; what is wrong is named with its line."""

from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from landscope.experiments.yaml_file import line_of, read_yaml, shortened

Schema = TypeVar("Schema", bound=BaseModel)
Location = tuple[int | str, ...]

_MOST_ERRORS = 10  # that are told


class ConfigurationError(ValueError):
    """A configuration file says what its schema does not accept: a line for each fault."""


def read_config(path: str | Path, schema: type[Schema]) -> Schema:
    r"""Read a YAML file, or one of JSON, which YAML comprises.

    Parameters
    ----------
    path : path
        The file. An empty one gives the defaults.
    schema : type of BaseModel
        What the file may say.

    Returns
    -------
    BaseModel
        An instance of `schema`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ConfigurationError
        If it does not follow the schema: one line for each fault, with file, line, key, what came
        and what is accepted.
    ValueError
        If it is no YAML.

    Examples
    --------
    >>> import tempfile
    >>> from landscope.experiments.point_config import PointConfig
    >>> path = Path(tempfile.mkdtemp()) / "point.yaml"
    >>> _ = path.write_text("network:\n  name: small_cnn\ndata: {split: tset}")
    >>> read_config(path, PointConfig)
    Traceback (most recent call last):
    ...
    landscope...ConfigurationError: ...yaml, line 3: data.split is 'tset'; accepted are 'train' ...
    """
    path = Path(path)
    if not path.is_file():
        lack = "is no file" if path.exists() else "does not exist"
        raise FileNotFoundError(f"the configuration file {path} {lack}")
    content, root = read_yaml(path)
    try:
        return schema.model_validate(content)
    except ValidationError as error:
        said = []
        for details in error.errors()[:_MOST_ERRORS]:
            place, line = _place(root, details["loc"])
            told: dict[str, Any] = {**details, "loc": place}
            said.append(f"{path}, line {line}: {_sentence(schema, **told)}")
        if more := error.error_count() - len(said):
            said.append(f"{more:,} more of the kind are left out here")
        raise ConfigurationError(".\n".join(said)) from None


def nested_schema(annotation: Any) -> type[BaseModel] | None:
    """The schema in the annotation of a field, be it alone, optional or an item.

    Examples
    --------
    >>> from landscope.training import MeasureConfig
    >>> nested_schema(list[MeasureConfig] | None) is MeasureConfig
    True
    >>> nested_schema(int | None) is None
    True
    """
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(nested_schema, get_args(annotation))), None)


def _place(node: yaml.Node | None, location: Location) -> tuple[Location, int]:
    """Where in a document something is wrong, and the line of that key or of the closest above.

    One value that stands for a list of itself is no item of it.
    """
    place: list[int | str] = []
    line = 1 if node is None else line_of(node)
    for part in location:
        entry = None
        if isinstance(node, yaml.MappingNode):
            entry = next((pair for pair in node.value if pair[0].value == str(part)), None)
        elif isinstance(part, int) and isinstance(node, yaml.SequenceNode):
            entry = (node.value[part], node.value[part])
        elif isinstance(part, int):
            continue
        place.append(part)
        if entry is not None:
            line = line_of(entry[0])
        node = entry and entry[1]
    return tuple(place), line


def _sentence(
    schema: type[BaseModel],
    *,
    type: str,
    loc: Location,
    input: Any,
    msg: str,
    ctx: dict[str, Any] | None = None,
    **_: Any,
) -> str:
    """One of pydantic's errors in our words."""
    key = shortened(".".join(map(str, loc)))
    if type == "value_error":  # what our own validators raise
        said = msg.removeprefix("Value error, ")
        return f"{key}: {said}" if key else said
    if type == "missing":
        return f"{key} is missing"
    came = f"{key or 'the file'} is {_shown(input)}"
    if type == "extra_forbidden":
        accepted = list(_schema_at(schema, loc[:-1]).model_fields)
        close = get_close_matches(str(loc[-1]), accepted, 1)
        meant = f"; did you mean {close[0]}?" if close else ""
        return f"{key} is no key here; accepted are {', '.join(accepted)}{meant}"
    if type == "model_type":
        keys = ", ".join(_schema_at(schema, loc).model_fields)
        return f"{came}; accepted is a mapping with any of the keys {keys}"
    if ctx and "expected" in ctx:
        return f"{came}; accepted are {ctx['expected'].replace(' or ', ' and ')}"
    return f"{came}; {msg.replace('Input should be', 'it must be').replace('tuple', 'list')}"


def _shown(value: Any) -> str:
    try:
        return shortened(repr(value))
    except ValueError:  # Python writes no whole number of so many digits
        return "a number of thousands of digits"


def _schema_at(schema: type[BaseModel], location: Location) -> type[BaseModel]:
    for part in location:
        if part in schema.model_fields:
            schema = nested_schema(schema.model_fields[str(part)].annotation) or schema
    return schema
