"""Code, as other processes and other versions of Python find it alike: by name or by source."""

import ast
import dis
import hashlib
import inspect
import sys
import textwrap
from argparse import Namespace
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import _lru_cache_wrapper as Cached
from functools import cache, partial
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType, SimpleNamespace
from typing import Any

KNOWN = frozenset({*sys.stdlib_module_names, "landscope", "torch", "numpy", "scipy", "xarray"})
"""Packages whose functions and classes are what their names say."""

CONTAINERS = (list, dict, set, deque)
"""What code fills."""

NAMESPACES = (ModuleType, SimpleNamespace, Namespace)
"""What code looks names up in."""

CALLED = frozenset(
    {"forward", "__call__", "terms", "gradient", "hessian_vector_product", "hessian_factor",
     "normalizer", "total"}
)  # fmt: skip
"""Methods of a model or a loss that are called when it is measured."""


def is_known(module: str) -> bool:
    """Whether a module's functions and classes are what their names say."""
    return module.partition(".")[0] in KNOWN and module != "__main__"


@cache
def installed_file(module: str) -> str | None:
    """A digest of the file of a module that is installed as a package; None for the user's own.

    Installed code is told apart by whole files, which change when a package does.
    """
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None or not {"site-packages", "dist-packages"} & set(Path(file).parts):
        return None
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()


@cache
def source(code: CodeType) -> str | None:
    """The source of a function without comments, layout and docstrings; None where there is none.

    Of a lambda, where its lines hold no other one: its lines alone do not say which it is.
    """
    try:
        tree: ast.AST = ast.parse(textwrap.dedent(inspect.getsource(code)))
    except (OSError, TypeError, SyntaxError, ValueError):
        return None
    if code.co_name == "<lambda>":
        lambdas = [node for node in ast.walk(tree) if isinstance(node, ast.Lambda)]
        return ast.unparse(lambdas[0]) if len(lambdas) == 1 else None
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            documented = isinstance(node.body[0], ast.Expr) and ast.get_docstring(node) is not None
            node.body = node.body[1:] or [ast.Pass()] if documented else node.body
    return ast.unparse(tree)


def bytecode(code: CodeType) -> tuple[Any, ...]:
    """What a function without source computes: its instructions, constants and names."""
    constants = [bytecode(c) if isinstance(c, CodeType) else c for c in code.co_consts]
    return code.co_code, constants, code.co_names, code.co_varnames, code.co_freevars


@cache
def names_in(code: CodeType) -> frozenset[str]:
    """Names of globals, attributes and methods that code mentions, strings such a name included."""
    strings = {c for c in code.co_consts if isinstance(c, str) and c.isidentifier()}
    inner = (names_in(c) for c in code.co_consts if isinstance(c, CodeType))
    return frozenset({*code.co_names, *code.co_freevars, *strings}.union(*inner))


@cache
def attributes_stored_by(code: CodeType) -> frozenset[str]:
    """Names of attributes that code assigns."""
    own = {i.argval for i in dis.get_instructions(code) if i.opname == "STORE_ATTR"}
    inner = (attributes_stored_by(c) for c in code.co_consts if isinstance(c, CodeType))
    return frozenset(own.union(*inner))


_FILLING = {"append", "extend", "insert", "add", "update", "setdefault", "pop", "clear"}
"""Methods that change the container they are called on."""


@cache
def filled_by(code: CodeType) -> frozenset[str]:
    """Names of containers that code fills: a log or a memory of calls, no part of what it is.

    Names of variables, and of attributes behind a dot: ``log``, ``.log``.
    """
    filled: set[str] = set()
    for node in ast.walk(ast.parse(source(code) or "")):
        match node:
            case ast.Call(func=ast.Attribute(value=container, attr=method)) if method in _FILLING:
                filled |= _name_of(container)
            case ast.Subscript(value=container, ctx=ast.Store() | ast.Del()):
                filled |= _name_of(container)
    return frozenset(filled)


def _name_of(container: ast.expr) -> set[str]:
    match container:
        case ast.Name(id=name):
            return {name}
        case ast.Attribute(attr=name):
            return {f".{name}"}
    return set()


def kept_by(functions: Iterable[FunctionType], attributes: Mapping[str, Any]) -> set[str]:
    """Names of the attributes that functions leave behind: assigned, or containers they fill."""
    kept: set[str] = set()
    for function in functions:
        kept |= attributes_stored_by(function.__code__)
        if is_known(function.__globals__.get("__name__", "")):
            continue
        filled = {name for name in attributes if f".{name}" in filled_by(function.__code__)}
        kept |= {name for name in filled if isinstance(attributes[name], CONTAINERS)}
    return kept


def functions_in(member: Any) -> list[FunctionType]:
    """The functions behind a member of a class or an attribute, wrapped ones included."""
    found: list[FunctionType] = []
    pending = [member]
    while pending:
        match pending.pop():
            case FunctionType() as function if function not in found:
                found.append(function)
                pending += [v for v in enclosed_by(function).values() if type(v) is FunctionType]
            case MethodType() | staticmethod() | classmethod() as method:
                pending.append(method.__func__)
            case property() as accessors:
                pending += [accessors.fget, accessors.fset]
            case partial() as bound:
                pending.append(bound.func)
            case Cached() as cached:
                pending.append(cached.__wrapped__)
    return found


def enclosed_by(function: FunctionType) -> dict[str, Any]:
    """What a function encloses, by name, but for what its calls fill."""
    found = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        if name not in filled_by(function.__code__):
            with suppress(ValueError):  # a name that is not bound yet
                found[name] = cell.cell_contents
    return found


def unchecked(function: FunctionType) -> FunctionType:
    """The function itself where it is wrapped in a check of the shapes that it is given."""
    while str(function.__globals__.get("__name__")).startswith(("jaxtyping", "beartype")):
        inner = getattr(function, "__wrapped__", None)
        if not isinstance(inner, FunctionType):
            break
        function = inner
    return function


def globals_of(function: FunctionType) -> dict[str, Any]:
    """The globals that a function of the user's mentions; of its namespaces what it mentions."""
    mentioned = names_in(function.__code__) - filled_by(function.__code__)
    found: dict[str, Any] = {}
    here = function.__globals__
    pending = [(name, here[name]) for name in sorted(mentioned & here.keys())]
    opened: set[int] = set()
    while pending:
        name, value = pending.pop(0)
        if not isinstance(value, NAMESPACES):
            found[name] = value
        elif id(value) not in opened and _is_own(value):
            opened.add(id(value))
            here = vars(value)
            pending += [(f"{name}.{part}", here[part]) for part in sorted(mentioned & here.keys())]
    return found


def _is_own(namespace: Any) -> bool:
    """Whether it is none of an installed package."""
    if not isinstance(namespace, ModuleType):
        return True
    return not is_known(namespace.__name__) and installed_file(namespace.__name__) is None


def mentioned_from(
    entries: Iterable[str], classes: Iterable[type], functions: Iterable[FunctionType] = ()
) -> frozenset[str]:
    """All names that methods mention which are called, one after the other, from some entries.

    By name alone, whichever of the classes a method is of.
    """
    names: set[str] = set()
    seen: set[CodeType] = set()
    pending = list(functions)
    classes = list(classes)
    new = set(entries)
    while new or pending:
        names |= new
        for name in new:
            for one in classes:
                pending += functions_in(vars(one).get(name))
        new = set()
        for function in pending:
            if function.__code__ not in seen:
                seen.add(function.__code__)
                new |= names_in(function.__code__)
        further = [
            value
            for function in pending
            if not is_known(function.__globals__.get("__name__", ""))
            for value in globals_of(function).values()
            if isinstance(value, FunctionType) and value.__code__ not in seen
        ]
        pending, new = further, new - names
    return frozenset(names)


def stored_in_calls(one: type) -> frozenset[str]:
    """Attributes that an object's calls assign: what a call leaves behind."""
    return frozenset().union(
        *(
            attributes_stored_by(function.__code__)
            for base in one.__mro__[:-1]
            for name in CALLED & vars(base).keys()
            for function in functions_in(vars(base)[name])
        )
    )
