"""Operators of one point: built once, computed as asked for, refused in one sentence."""

from importlib import import_module

import pytest
import torch
from torch import nn

from landscope.geometry import curvature, gradient_overlap, hessian_split, tangent_kernel
from landscope.geometry.point_operators import OPERATORS, PointOperators
from landscope.problem import Problem
from tests.reference.networks import CASES, dense, dense_reference

CASE = CASES["mlp"]
METHODS = ["linearized", "recomputed", "cached_graph", "double_backward", "finite_difference"]


def problem():
    return Problem(CASE.model(), CASE.data())


def test_each_operator_is_built_once_and_only_when_asked_for():
    point = PointOperators(problem())
    assert point.methods() == {}
    assert point["hessian"] is point["hessian"] is point.resolve("hessian")
    assert [type(point[name]) for name in OPERATORS] == list(OPERATORS.values())
    assert list(point.methods()) == list(OPERATORS)


def test_an_operator_is_its_own_answer():
    point = PointOperators(problem())
    assert point.resolve(torch.eye(3)) is not None
    assert point.methods() == {}


def test_a_mapping_names_a_method_for_each():
    point = PointOperators(
        problem(), {"hessian": "double_backward", "logit_curvature": "linearized"}
    )
    for name in OPERATORS:
        point[name] @ problem().parameters_vector()
    assert point.methods() == {
        "hessian": "double_backward",
        "gauss_newton": "cached_graph",  # few products with little arithmetic
        "logit_curvature": "linearized",
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "magic"}, "'magic'"),
        ({"method": {"hessian": "magic"}}, "'magic'"),
        ({"method": {"fisher": "auto"}}, "method names 'fisher'; accepted are"),
        ({"memory_limit": 0}, "memory_limit is 0; it must be an integer of at least 1"),
    ],
)
def test_what_cannot_be_used_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        PointOperators(problem(), **arguments)
    with pytest.raises(ValueError, match=message):
        hessian_split(problem(), k=2, **arguments)


def test_an_unknown_operator_is_refused():
    with pytest.raises(ValueError, match="operator names 'fisher'; accepted are"):
        curvature(problem(), k=2, operator="fisher")


SMALL_DATA = (CASE.data()[0], CASE.data()[1] % 3)


def small_network():
    """21 weights: three measurements by every method take a few hundred products."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        return nn.Sequential(nn.Linear(5, 2), nn.Tanh(), nn.Linear(2, 3)).double()


def small():
    return Problem(small_network(), SMALL_DATA)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.usefixtures("unchecked")
def test_every_method_gives_the_same_measurements(method):
    d, options = dense_reference(small_network(), *SMALL_DATA), {"method": method}
    options["memory_limit"] = 10**8
    close = {"rel": 1e-5, "abs": 1e-5}
    values, vectors = torch.linalg.eigh(d.hessian)
    values, vectors = values.flip(0)[:2], vectors.flip(1)[:, :2]

    top = curvature(small(), k=2, tol=1e-6, **options).eigenvalues
    assert top.tolist() == pytest.approx(values.tolist(), **close)

    power = gradient_overlap(small(), k=2, tol=1e-6, **options).power
    cosines = vectors.T @ d.gradient / d.gradient.norm()
    assert power.tolist() == pytest.approx(cosines.square().cumsum(0).tolist(), rel=1e-3)

    split = hessian_split(small(), k=2, tol=1e-6, **options)
    share = (vectors * (d.gauss_newton @ vectors)).sum(0) / values
    assert split.gauss_newton_share.tolist() == pytest.approx(share.tolist(), rel=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_a_large_kernel_is_multiplied_as_asked_for(monkeypatch, method):
    # The function hides the module of its name: it is reached by import_module alone.
    monkeypatch.setattr(import_module("landscope.geometry.tangent_kernel"), "MAX_DENSE", 1)
    expected = torch.linalg.eigvalsh(dense("mlp").tangent_kernel).flip(0)[:3]
    found = tangent_kernel(problem(), k=3, tol=1e-6, method=method, memory_limit=10**8)
    assert found.eigenvalues.tolist() == pytest.approx(expected.tolist(), rel=1e-5)
