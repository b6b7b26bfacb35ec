"""A configuration file to start from: every key with what it means and its default."""

import textwrap
from collections.abc import Iterator
from typing import Any

import yaml
from pydantic import BaseModel

from landscope.experiments.config_file import nested_schema

_WIDTH = 100


def example_config(schema: type[BaseModel], **chosen: Any) -> str:
    """Write a commented YAML file that says the defaults of a schema.

    Parameters
    ----------
    schema : type of BaseModel
        Its fields have descriptions; those whose default is None are commented out, with the
        first of their examples.
    chosen
        Values in place of defaults.

    Returns
    -------
    str

    Examples
    --------
    >>> from landscope.experiments.point_config import DataConfig
    >>> print(example_config(DataConfig))
    # A data set of the zoo, and which of its examples are measured.
    <BLANKLINE>
    # Data set: cifar10, cifar100, cifar10_subset, digits, fashion_mnist, gaussian_mixture, mnist.
    name: digits
    <BLANKLINE>
    # Only these classes; all of them if absent.
    #classes: [0, 1, 2]
    <BLANKLINE>
    # Which examples to measure on: train or test.
    split: train
    <BLANKLINE>
    # At most so many, classes balanced.
    max_examples: 300
    <BLANKLINE>
    """
    about = (schema.__doc__ or schema.__name__).partition("\n")[0]
    return "\n\n".join([f"# {about}", *_entries(schema(**chosen))]) + "\n"


def _entries(config: BaseModel, width: int = _WIDTH) -> Iterator[str]:
    schema, values = type(config), config.model_dump(mode="json")
    for name, field in schema.model_fields.items():
        about = textwrap.fill(
            field.description or name, width, initial_indent="# ", subsequent_indent="# "
        )
        if nested_schema(field.annotation):
            nested = _entries(getattr(config, name), width - 2)
            entry = f"{name}:\n" + textwrap.indent("\n".join(nested), "  ")
        elif values[name] is None:
            entry = f"#{name}: {_written((field.examples or [None])[0])}"
        else:
            entry = f"{name}: {_written(values[name])}"
        yield f"{about}\n{entry}"


def _written(value: Any) -> str:
    # As the one item of a list: a value alone would be a document, with marks around it.
    return yaml.safe_dump([value], default_flow_style=True, width=10**6).strip()[1:-1]
