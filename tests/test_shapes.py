"""Shapes in signatures are checked while tests run."""

import sys

import pytest
import torch
from jaxtyping import TypeCheckError

from landscope.linalg.ends import span
from tests.shapes import CheckedModules

MODULE = '''
import functools
from dataclasses import dataclass

import torch
from contextlib import contextmanager
from collections.abc import Iterator
from jaxtyping import Float
from torch import Tensor


def product(A: Float[Tensor, "n n"], v: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    return A @ v


def row(A: Float[Tensor, "n m"]) -> Float[Tensor, " n"]:
    return A[0]


def cut(v: Float[Tensor, " n"], length: int) -> Float[Tensor, " n"]:
    return v[:length]


@contextmanager
def at(v: Float[Tensor, " n"]) -> Iterator[None]:
    yield


def either(v: tuple[Float[Tensor, " n"], int] | None) -> None: ...


@dataclass
class Pair:
    """Two vectors."""

    a: Float[Tensor, " n"]
    b: Float[Tensor, " n"]

    @property
    def sum(self) -> Float[Tensor, ""]:
        """Not a number."""
        return self.a + self.b

    @functools.cached_property
    def outer(self) -> Float[Tensor, " n"]:
        return torch.outer(self.a, self.b)

    @classmethod
    def twice(cls, a: Float[Tensor, " n"]) -> "Pair":
        return cls(a, a)

    def written(self, v: "Float[Tensor, 'n']") -> None: ...

    def anything(self, v: int) -> None: ...
'''


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "stated_shapes.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "meta_path", [CheckedModules(["stated_shapes."]), *sys.meta_path])
    monkeypatch.setattr("jaxtyping.config.jaxtyping_disable", False)
    import stated_shapes

    yield stated_shapes
    del sys.modules["stated_shapes"]


one, two = torch.ones(1), torch.ones(2)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda m: m.product(torch.eye(2), one),
        lambda m: m.row(torch.ones(2, 3)),
        lambda m: m.either((torch.eye(2), 1)),
        lambda m: m.at(torch.eye(2)),
        lambda m: m.Pair(one, two),
        lambda m: m.Pair(two, two).sum,
        lambda m: m.Pair(two, two).outer,
        lambda m: m.Pair.twice(torch.eye(2)),
        lambda m: m.Pair(two, two).written(torch.eye(2)),
    ],
    ids=[
        "argument",
        "result",
        "part",
        "context",
        "field",
        "property",
        "cached",
        "class method",
        "text",
    ],
)
def test_a_wrong_shape_is_refused(module, wrong):
    with pytest.raises(TypeCheckError):
        wrong(module)


def test_right_shapes_and_all_else_pass(module):
    assert torch.equal(module.product(torch.eye(2), two), two)
    assert module.Pair.sum.__doc__ == "Not a number."
    with module.at(two):
        pass
    module.Pair.twice(two).anything("no number")


def test_a_result_is_checked_whose_arguments_are_known(module):
    v = torch.ones(3)
    assert module.cut(v, 3).shape == (3,)
    with pytest.raises(TypeCheckError):
        module.cut(v, 2)


def test_signatures_of_the_library_are_checked(monkeypatch):
    monkeypatch.setattr("jaxtyping.config.jaxtyping_disable", False)
    with pytest.raises(TypeCheckError):
        span(torch.eye(2, dtype=torch.float64))
