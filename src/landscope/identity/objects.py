"""A digest of any Python object: of what it is made of, not of where it lies."""

import copyreg
import hashlib
import math
import weakref
from collections.abc import Mapping
from dataclasses import is_dataclass
from enum import Enum
from functools import partial
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from landscope.identity import code
from landscope.identity.modules import Inside, hooks_of
from landscope.identity.tensors import tensor_digest

_PLACES = (torch.device, torch.Generator, weakref.ReferenceType)
"""Where or when something is computed, which is no part of what is computed."""

_BOILERPLATE = frozenset(
    {"__init__", "__repr__", "__str__", "__getstate__", "__setstate__", "__dict__", "__weakref__",
     "__doc__", "__module__", "__qualname__", "__annotations__", "__firstlineno__",
     "__static_attributes__", "__parameters__", "__orig_bases__", "__abstractmethods__",
     "_abc_impl", "__dataclass_fields__", "__dataclass_params__", "__match_args__", "__slots__",
     "__hash__", "__eq__", "__replace__", "__annotate_func__", "__annotations_cache__"}
)  # fmt: skip
"""Members of a class that say how objects are made, shown and compared: what they are is shown."""

_SAID_OF_FILES = frozenset(
    {"_name_or_path", "name_or_path", "transformers_version", "_commit_hash"}
)
"""Where a configuration was read from, and by what."""


def digest(value: Any, *, settled: bool = True) -> str:
    """SHA-256 of what an object is, the same in other processes and on other devices.

    Numbers, strings, collections and tensors are their values; objects their class and attributes;
    functions and classes of the user's their source, with what they enclose and the functions and
    constants that they mention; those of torch, numpy and the standard library their names. An
    object that has a method `fingerprint` is what that says.

    Parameters
    ----------
    value
        Anything. What has no content of its own (locks, files, generators) is its class.
    settled : bool
        Whether what functions enclose stays as it is. Where not, as in a function that measures
        along training, constants and functions count; of modules their structure, and of other
        objects their class.

    Examples
    --------
    >>> from functools import partial
    >>> digest({"a": 1, "b": [2.5]}) == digest({"b": [2.5], "a": 1})
    True
    >>> digest(lambda x: x + 1) == digest(lambda x: x + 1), digest(abs) == digest(len)
    (True, False)
    >>> digest(partial(max, key=len)) == digest(partial(max, key=abs))
    False
    """
    return _Digests(settled).of(value).hex()


def structure(module: nn.Module, entries: frozenset[str] = frozenset()) -> str:
    """SHA-256 of a module without the numbers of its parameters and buffers.

    Its layers by name with their classes, the code that runs in a pass, the attributes that this
    code mentions, the shapes of tensors, and which of them are tied.

    Parameters
    ----------
    module : nn.Module
        The whole.
    entries : frozenset of str
        Names of methods where a pass begins, beside `forward`.
    """
    return _Digests(settled=True).structure(module, entries).hex()


class _Digests:
    """Digests of objects, each once; what is met again inside itself is how deep it lies."""

    def __init__(self, settled: bool) -> None:
        self._settled = settled
        self._open: list[int] = []
        self._known: dict[int, tuple[Any, bytes]] = {}

    def of(self, value: Any) -> bytes:
        if (number := _number(value)) is not None:
            return _mixed("number", number.encode())
        if isinstance(value, str):
            return _mixed("str", value.encode("utf-8", "surrogatepass"))
        if value is None or isinstance(value, bool | bytes):
            return _mixed(type(value).__name__, repr(value).encode())
        key = id(value)
        if key in self._known:
            return self._known[key][1]
        if key in self._open:
            return _mixed("again", str(self._open.index(key)).encode())
        self._open.append(key)
        try:
            found = self._of_content(value)
        finally:
            self._open.pop()
        self._known[key] = value, found  # held, so that its address is not another's
        return found

    def _of_content(self, value: Any) -> bytes:
        if isinstance(getattr(type(value), "fingerprint", None), FunctionType):
            said = value.fingerprint()
            if isinstance(said, str):
                return _mixed("fingerprint", said.encode())
        match value:
            case Enum():
                return _mixed("enum", self.of(type(value)), value.name.encode())
            case Tensor():
                return self._of_tensor(value)
            case np.ndarray() if value.dtype != object:
                return _mixed("array", tensor_digest(torch.from_numpy(value.copy())).encode())
            case np.generic():
                return self.of(value.item())
            case nn.Module():
                return self._of_module(value)
            case list() | tuple() if type(value).__module__ != "torch.return_types":
                return _mixed("sequence", *map(self.of, value))
            case set() | frozenset():
                return _mixed("set", *sorted(map(self.of, value)))
            case Mapping():
                pairs = sorted(_mixed("", self.of(k), self.of(v)) for k, v in value.items())
                return _mixed("mapping", *pairs)
            case type():
                return self._of_class(value)
            case partial():
                return _mixed("partial", *map(self.of, (value.func, value.args, value.keywords)))
            case MethodType():
                return self._of_method(value)
            case FunctionType():
                return self._of_function(value)
            case staticmethod() | classmethod():
                return _mixed(type(value).__name__, self.of(value.__func__))
            case property():
                return _mixed("property", self.of(value.fget), self.of(value.fset))
            case code.Cached():
                return _mixed("cached", self.of(value.__wrapped__))
            case CodeType():
                return self.of(code.bytecode(value))
            case torch.jit.ScriptFunction():
                return self.of(value.code)
            case BuiltinFunctionType():
                owner = value.__self__
                own = None if owner is None or isinstance(owner, ModuleType) else owner
                name = f"{value.__module__}.{value.__qualname__}".encode()
                return _mixed("builtin", name, self.of(own))
            case ModuleType():
                return _mixed("module", value.__name__.encode())
            case torch.dtype():
                return _mixed("dtype", str(value).encode())
            case _ if isinstance(value, _PLACES):
                return self.of(type(value))
        return self._of_object(value)

    def _of_tensor(self, tensor: Tensor) -> bytes:
        try:
            plain = tensor if tensor.layout is torch.strided else tensor.to_dense()
            return _mixed("tensor", tensor_digest(plain).encode())
        except (RuntimeError, NotImplementedError, TypeError):  # it has no numbers of its own
            return _mixed("tensor", str(tensor.dtype).encode(), self.of(tuple(tensor.shape)))

    def _of_module(self, module: nn.Module) -> bytes:
        """Structure, code and numbers."""
        numbers = {**dict(module.named_parameters()), **dict(module.named_buffers())}
        return _mixed("nn", self.structure(module), self.of(numbers if self._settled else None))

    def structure(self, module: nn.Module, entries: frozenset[str] = frozenset()) -> bytes:
        """A module without the numbers of its parameters and buffers."""
        inside = Inside(module, entries)
        before = len(self._open)
        self._open += [id(layer) for _, layer in inside.layers]  # one that refers to another
        parts = [self._of_layer(name, layer, inside) for name, layer in inside.layers]
        del self._open[before:]
        return _mixed("structure", *parts)

    def _of_layer(self, name: str, layer: nn.Module, inside: Inside) -> bytes:
        attributes = inside.attributes(layer)
        return _mixed(
            "layer",
            name.encode(),
            self._of_class(inside.class_of(layer), inside.names),
            self.of([inside.forms(layer), list(dict(layer.named_children()))]),
            *(_mixed(key, self.of(attributes[key])) for key in sorted(attributes)),
            *map(self._of_hook, hooks_of(layer)),
        )

    def _of_hook(self, hook: Any) -> bytes:
        """What it computes; what it keeps of each pass is none of it."""
        match hook:
            case FunctionType():
                return self._of_function(hook, keeps=True)
            case partial():
                bound = {**{str(i): value for i, value in enumerate(hook.args)}, **hook.keywords}
                return _mixed("partial", self._of_hook(hook.func), self._of_constants(bound, True))
            case MethodType():
                entry, owner = hook.__name__, hook.__self__
            case _:
                entry, owner = "__call__", hook
        mentioned = code.mentioned_from({entry}, type(owner).__mro__)
        methods = [
            function
            for base in type(owner).__mro__
            for name in mentioned & vars(base).keys() - {"__init__"}
            for function in code.functions_in(vars(base)[name])
        ]
        attributes = _attributes(owner)
        named = mentioned & attributes.keys() - code.kept_by(methods, attributes)
        constants = self._of_constants({name: attributes[name] for name in named}, True)
        return _mixed("hook", entry.encode(), self._of_class(type(owner), mentioned), constants)

    def _of_method(self, method: MethodType) -> bytes:
        """Its function and its object: all of it, or the constants that the function mentions."""
        function, owner = method.__func__, method.__self__
        if self._settled or not isinstance(function, FunctionType):
            return _mixed("method", self.of(function), self.of(owner))
        named = code.names_in(function.__code__)
        mentioned = {key: value for key, value in _attributes(owner).items() if key in named}
        parts = self.of(function), self.of(type(owner)), self._of_constants(mentioned)
        return _mixed("method", *parts)

    def _of_class(self, one: type, names: frozenset[str] | None = None) -> bytes:
        """Its name; the methods of the user's own, of these names alone where some are given."""
        parts = []
        for base in one.__mro__[:-1]:
            name, module = base.__qualname__.encode(), base.__module__
            if code.is_known(module):
                parts.append(_mixed("class", module.partition(".")[0].encode(), name))
            elif (file := code.installed_file(module)) is not None:
                parts.append(_mixed("class", module.encode(), name, file.encode()))
            else:
                members = {
                    key: member
                    for key, member in vars(base).items()
                    if key not in _BOILERPLATE and (names is None or key in names)
                }
                parts.append(_mixed("class", name, self._of_constants(members)))
        return _mixed("classes", *parts)

    def _of_constants(self, named: Mapping[str, Any], keeps: bool = False) -> bytes:
        """Functions, classes, numbers, strings and tensors by name; of all else its class.

        What code mentions but does not own may be anything, and may change: a model in training,
        a loader, and where code keeps something, a list.
        """
        return _mixed(
            "names",
            *(
                _mixed(name, self.of(value if _is_constant(value, keeps) else type(value)))
                for name, value in sorted(named.items())
            ),
        )

    def _of_function(self, function: FunctionType, keeps: bool = False) -> bytes:
        """Its name, or what it computes."""
        function = code.unchecked(function)
        module = function.__globals__.get("__name__", "")
        name = function.__code__.co_qualname.encode()
        bound = _mixed("bound", self.of(function.__defaults__), self.of(function.__kwdefaults__))
        enclosed = code.enclosed_by(function)
        if self._settled and not keeps:
            inside = self.of(enclosed)
        else:
            inside = self._of_constants(enclosed, keeps)
        if code.is_known(module):
            return _mixed("function", module.partition(".")[0].encode(), name, bound, inside)
        if (file := code.installed_file(module)) is not None:
            return _mixed("function", module.encode(), name, file.encode(), bound, inside)
        text = code.source(function.__code__)
        what = self.of(code.bytecode(function.__code__) if text is None else text)
        mentioned = self._of_constants(code.globals_of(function), keeps)
        return _mixed("function", what, bound, inside, mentioned)

    def _of_object(self, value: Any) -> bytes:
        """Class and attributes, or what pickle would keep."""
        kind = type(value)
        own = kind in copyreg.dispatch_table or kind.__reduce__ is not object.__reduce__
        if not own and kind.__reduce_ex__ is object.__reduce_ex__:
            attributes = _attributes(value)
            stored = code.stored_in_calls(kind)
            kept = {k: v for k, v in attributes.items() if k not in stored | _SAID_OF_FILES}
            return _mixed("object", self.of(kind), self.of(kept))
        try:
            reduced = copyreg.dispatch_table.get(kind, _reduced)(value)
        except Exception:  # whatever it is, it cannot be taken apart
            return _mixed("object", self.of(kind), self.of(_attributes(value)))
        if isinstance(reduced, str):
            return _mixed("object", self.of(kind), reduced.encode())
        made, arguments, state, *items = (*reduced, None, None, None)[:5]
        filled = [None if part is None else list(part) for part in items]
        return _mixed("object", self.of(kind), *map(self.of, (made, arguments, state, filled)))


def _number(value: Any) -> str | None:
    """A whole number alike as int and as float; None for what is no number."""
    match value:
        case bool():
            return None
        case int():
            return str(int(value))
        case float():
            whole = value.is_integer() and (value or math.copysign(1, value) > 0)
            return str(int(value)) if whole else value.hex()
        case complex():
            return repr(value)
    return None


def _reduced(value: Any) -> Any:
    return value.__reduce_ex__(4)


_PLAIN = (bool, int, float, complex, str, bytes, Enum, Tensor, np.ndarray, np.generic, torch.dtype)
_CODE = (type, FunctionType, BuiltinFunctionType, staticmethod, classmethod, property, partial,
         code.Cached)  # fmt: skip


def _is_constant(value: Any, keeps: bool = False) -> bool:
    """Whether it stays as it is: numbers, code, collections of them, and what has a fingerprint."""
    if value is None or isinstance(value, (*_PLAIN, *_CODE, nn.Module)):
        return True
    if hasattr(type(value), "fingerprint") or is_dataclass(value) or hasattr(value, "model_dump"):
        return True
    if isinstance(value, tuple | frozenset):
        return all(map(_is_constant, value))
    if isinstance(value, list | set) and not keeps:
        return all(map(_is_constant, value))
    return isinstance(value, dict) and not keeps and all(map(_is_constant, value.values()))


def _attributes(value: Any) -> dict[str, Any]:
    slots = [name for base in type(value).__mro__ for name in _slots(base)]
    held = {name: getattr(value, name) for name in slots if hasattr(value, name)}
    return held | getattr(value, "__dict__", {})


def _slots(base: type) -> tuple[str, ...]:
    names = vars(base).get("__slots__", ())
    return (names,) if isinstance(names, str) else tuple(names)


def _mixed(tag: str, *parts: bytes) -> bytes:
    found = hashlib.sha256(f"{tag}\0{len(parts)}".encode())
    for part in parts:
        found.update(len(part).to_bytes(8, "little"))
        found.update(part)
    return found.digest()
