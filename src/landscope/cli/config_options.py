"""Options that mirror a pydantic configuration, so that each choice is described once."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from types import NoneType
from typing import Annotated, Any, TypeVar, get_args, get_origin

import typer
from pydantic import BaseModel, ByteSize
from pydantic.fields import FieldInfo

from landscope.cli.options import DataRoot, Device, Seed
from landscope.experiments.config_file import nested_schema

Command = TypeVar("Command", bound=Callable[..., None])
Config = TypeVar("Config", bound=BaseModel)

# Fields that every command describes in the same words.
_SHARED: Mapping[str, Any] = {"device": Device, "data_root": DataRoot, "seed": Seed}
# Beside --steps, the steps of training, --num-steps would mislead; the others could be anything's.
OPTION_NAMES = {
    "num_steps": "--lanczos-steps",
    "method": "--products",
    "dim": "--hyperplane-dim",
    "kind": "--hyperplane-kind",
}


def mirrors(config: type[BaseModel], *, optional: bool = False) -> Callable[[Command], Command]:
    """Give a command one option for each field of `config` in place of its `**choices`.

    Parameters
    ----------
    config : type of BaseModel
        Its fields, and those of the models nested in it, become options with their descriptions
        and defaults.
    optional : bool
        If True, every default is None: "not chosen".

    Returns
    -------
    decorator
    """

    def decorate(command: Command) -> Command:
        own = [
            parameter
            for parameter in inspect.signature(command).parameters.values()
            if parameter.kind is not inspect.Parameter.VAR_KEYWORD
        ]
        parameters = [*own, *_options(config, optional, panel=None)]
        # typer reads these two.
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {p.name: p.annotation for p in parameters}
        return command

    return decorate


def parse(config: type[Config], choices: Mapping[str, Any]) -> Config:
    """Return the configuration that the options of `mirrors(config)` describe."""
    values = {
        name: parse(nested, choices)
        if (nested := nested_schema(field.annotation))
        else choices[name]
        for name, field in config.model_fields.items()
    }
    return config(**values)


def _options(
    config: type[BaseModel], optional: bool, panel: str | None
) -> Iterator[inspect.Parameter]:
    for name, field in config.model_fields.items():
        if nested := nested_schema(field.annotation):
            yield from _options(nested, optional, panel=name.capitalize())
        else:
            yield inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=None if optional else field.default,
                annotation=_SHARED.get(name) or _annotation(name, field, optional, panel),
            )


def _annotation(name: str, field: FieldInfo, optional: bool, panel: str | None) -> Any:
    names = [OPTION_NAMES[name]] if name in OPTION_NAMES else []
    # Annotated constraints are pydantic's to check; typer needs the bare type.
    kinds = [_bare(kind) for kind in get_args(field.annotation) if kind is not NoneType]
    is_union = NoneType in get_args(field.annotation)
    kind: Any = kinds[0] if is_union else field.annotation
    if get_origin(kind) is tuple:
        option = typer.Option(
            *names, help=field.description, rich_help_panel=panel, parser=integers, metavar="0,1,…"
        )
        return Annotated[str | None, option]
    if kind is ByteSize:
        option = typer.Option(*names, help=field.description, rich_help_panel=panel, metavar="SIZE")
        return Annotated[str | None, option]
    option = typer.Option(*names, help=field.description, rich_help_panel=panel)
    return Annotated[kind | None if is_union or optional else kind, option]


def integers(text: str) -> tuple[int, ...]:
    """Read integers separated by commas.

    Examples
    --------
    >>> integers("0,3,8")
    (0, 3, 8)
    """
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"{text!r} must be integers separated by commas") from None


def _bare(kind: Any) -> Any:
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind
