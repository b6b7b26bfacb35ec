"""Shapes that stand in signatures, such as Float[Tensor, "D k"], hold while tests run."""

import functools
import inspect
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import fields, is_dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import FunctionType, ModuleType
from typing import Any, get_args

import jaxtyping
import numpy as np
import torch
from beartype import beartype
from jaxtyping import AbstractArray, jaxtyped


def described(value: Any) -> Any:
    """What a check of shapes can see of an argument or a result."""
    match value:
        case torch.Tensor() | np.ndarray():
            return type(value), value.dtype, tuple(value.shape)
        case tuple() | list():
            return type(value), *map(described, value)
        case dict():
            return type(value), *value, *map(described, value.values())
    return type(value)


def check(function: Callable[..., Any]) -> Callable[..., Any]:
    """Check a function's arguments and its result, once for all that look alike.

    A check takes a hundred times as long as it takes to know a shape again.
    """
    found = threading.local()

    @functools.wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        if "result" in vars(found):
            return vars(found).pop("result")
        return function(*arguments, **options)

    @functools.cache
    def refuse_wrong() -> Callable[..., Any]:
        with suppress(NameError):  # a name that is imported for type checkers alone
            signature = inspect.signature(function, eval_str=True)
            if inspect.isgeneratorfunction(inspect.unwrap(function)):  # or it makes a context of it
                signature = signature.replace(return_annotation=inspect.Signature.empty)
            vars(call)["__signature__"] = signature
        return jaxtyped(call, typechecker=beartype)

    passed: dict[Any, set[Any]] = {}

    @functools.wraps(function)
    def checked_function(*arguments: Any, **options: Any) -> Any:
        if jaxtyping.config.jaxtyping_disable:
            return function(*arguments, **options)
        given = described(arguments), described(options)
        if given not in passed:
            result = refuse_wrong()(*arguments, **options)
            passed[given] = {described(result)}
        elif described(result := function(*arguments, **options)) not in passed[given]:
            found.result = result
            refuse_wrong()(*arguments, **options)
            passed[given].add(described(result))
        return result

    return checked_function


def states_shape(annotation: Any) -> bool:
    """Whether the shape of an array stands in it, also as a part or in a text."""
    if isinstance(annotation, str):
        return True
    if inspect.isclass(annotation) and issubclass(annotation, AbstractArray):
        return True
    return any(map(states_shape, get_args(annotation)))


def checked(thing: Any) -> Any:
    """Check the shapes in the signature of a function or method, or in those of a class.

    Nothing where there are none, and nothing inside functions: to check one takes milliseconds when
    it is defined, which a function that defines another would take at each call.
    """
    match thing:
        case FunctionType():
            return check(thing) if any(map(states_shape, thing.__annotations__.values())) else thing
        case classmethod() | staticmethod():
            return type(thing)(checked(thing.__func__))
        case property():
            return property(checked(thing.fget), thing.fset, thing.fdel, thing.__doc__)
        case functools.cached_property():
            thing.func = checked(thing.func)
        case type():
            for name, member in list(vars(thing).items()):
                if not inspect.isclass(member) and (mended := checked(member)) is not member:
                    setattr(thing, name, mended)
            if is_dataclass(thing) and any(states_shape(field.type) for field in fields(thing)):
                thing.__init__ = check(thing.__init__)
    return thing


class CheckedModule(SourceFileLoader):
    """Check the shapes of what a module defines, before any other can import it."""

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        for name, thing in list(vars(module).items()):
            if getattr(thing, "__module__", None) == module.__name__:
                setattr(module, name, checked(thing))


class CheckedModules(MetaPathFinder):
    """Find the modules whose names begin so."""

    def __init__(self, prefixes: Sequence[str]) -> None:
        self.prefixes = tuple(prefixes)

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Leave all others to those that find modules otherwise."""
        if not f"{name}.".startswith(self.prefixes):
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.origin is not None:
            spec.loader = CheckedModule(name, spec.origin)
        return spec


def check_shapes(packages: Sequence[str]) -> None:
    """Check the shapes in all signatures of these packages, which are not imported yet."""
    sys.meta_path.insert(0, CheckedModules([f"{package}." for package in packages]))
