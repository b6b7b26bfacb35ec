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
    ValueError
        If it is no YAML or does not follow the schema: one sentence for each error, with file,
        line, key, what came and what is accepted.

    Examples
    --------
    >>> import tempfile
    >>> from landscope.experiments.point_config import PointConfig
    >>> path = Path(tempfile.mkdtemp()) / "point.yaml"
    >>> _ = path.write_text("network:\n  name: small_cnn\ndata: {split: tset}")
    >>> read_config(path, PointConfig)
    Traceback (most recent call last):
    ...
    ValueError: ...point.yaml, line 3: data.split is 'tset'; accepted are 'train' and 'test'
    """
    path = Path(path)
    if not path.is_file():
        lack = "is no file" if path.exists() else "does not exist"
        raise FileNotFoundError(f"the configuration file {path} {lack}")
    content, root = read_yaml(path)
    try:
        return schema.model_validate(content)
    except ValidationError as error:
        said = [
            f"{path}, line {_line(root, details['loc'])}: {_sentence(schema, **details)}"
            for details in error.errors()[:_MOST_ERRORS]
        ]
        if more := error.error_count() - len(said):
            said.append(f"{more:,} more of the kind are left out here")
        raise ValueError(".\n".join(said)) from None


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


def _line(node: yaml.Node | None, location: Location) -> int:
    """The line of the key or item at `location`, or of what comes closest above it."""
    line = 1 if node is None else line_of(node)
    for part in location:
        if isinstance(node, yaml.MappingNode):
            entry = next((pair for pair in node.value if pair[0].value == str(part)), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            entry = (node.value[part], node.value[part])
        else:
            entry = None
        if entry is None:
            return line
        line, node = line_of(entry[0]), entry[1]
    return line


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
