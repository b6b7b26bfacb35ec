"""Points, coordinates and gradients of a hyperplane, and what is refused as one."""

import re

import pytest
import torch

import landscope as ls
from tests.reference.dense import relative_error
from tests.reference.networks import (
    CASES,
    dense,
    dense_reference,
    function_logits,
    function_parameters,
)

CASE = CASES["mlp"]
D = dense("mlp").num_params
KINDS = ["dense", "gaussian", "sparse", "fastfood"]


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def problem():
    return ls.Problem(CASE.model(), CASE.data())


def loss_at(weights):
    reference = dense("mlp")
    return reference.loss_of_logits(reference.logits(weights))


@pytest.mark.parametrize("kind", KINDS)
def test_points_and_coordinates(problem, kind):
    hyperplane = ls.AffineHyperplane(problem, dim=6, kind=kind, seed=2)
    assert (hyperplane.dim, hyperplane.kind, hyperplane.seed) == (6, kind, 2)
    W0, P, theta = dense("mlp").point, hyperplane.basis.to_dense(), normal(6)
    assert torch.equal(hyperplane.origin, W0)
    assert torch.equal(hyperplane.point(), W0)
    assert relative_error(hyperplane.point(theta), W0 + P @ theta) < 1e-14
    weights = normal(D, seed=1)
    assert relative_error(hyperplane.coordinates(weights), P.T @ (weights - W0)) < 1e-13
    assert float(hyperplane.at(theta).loss()) == pytest.approx(float(loss_at(W0 + P @ theta)))
    assert torch.equal(hyperplane.at().parameters_vector(), W0)


@pytest.mark.parametrize("kind", ["dense", "sparse", "fastfood"])
def test_coordinates_are_those_of_the_nearest_point(problem, kind):
    hyperplane = ls.AffineHyperplane(problem, dim=6, kind=kind)
    theta, weights = normal(6), normal(D, seed=1)
    assert relative_error(hyperplane.coordinates(hyperplane.point(theta)), theta) < 1e-13
    P, W0 = hyperplane.basis.to_dense(), hyperplane.origin
    nearest = torch.linalg.lstsq(P, (weights - W0)[:, None]).solution[:, 0]
    assert relative_error(hyperplane.coordinates(weights), nearest) < 1e-12


def test_what_points_give_may_be_written_to(problem):
    hyperplane = ls.AffineHyperplane(problem, dim=3)
    hyperplane.point().zero_()
    hyperplane.at().parameters_vector().zero_()
    assert torch.equal(hyperplane.point(), dense("mlp").point)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("moved", [False, True])
def test_the_gradient_is_that_of_autograd_in_theta(problem, kind, moved):
    hyperplane = ls.AffineHyperplane(problem, dim=6, kind=kind, seed=2)
    theta = 2 * normal(6) if moved else torch.zeros(6, dtype=torch.float64)
    variable = theta.clone().requires_grad_()
    P = hyperplane.basis.to_dense()
    (expected,) = torch.autograd.grad(loss_at(dense("mlp").point + P @ variable), variable)
    assert relative_error(hyperplane.gradient(theta), expected) < 1e-12
    if not moved:
        assert torch.equal(hyperplane.gradient(), hyperplane.gradient(theta))


def test_the_ridge_is_part_of_loss_and_gradient():
    ridge = 0.3
    hyperplane = ls.AffineHyperplane(
        ls.Problem(CASE.model(), CASE.data(), weight_decay=ridge), dim=4
    )
    theta = normal(4).requires_grad_()
    weights = dense("mlp").point + hyperplane.basis.to_dense() @ theta
    loss = loss_at(weights) + ridge / 2 * weights @ weights
    (expected,) = torch.autograd.grad(loss, theta)
    assert relative_error(hyperplane.gradient(theta.detach()), expected) < 1e-12


def test_an_origin_of_ones_own(problem):
    origin = normal(D, seed=4)
    hyperplane = ls.AffineHyperplane(problem, dim=5, origin=origin)
    theta = normal(5)
    expected = origin + hyperplane.basis.to_dense() @ theta
    assert torch.equal(hyperplane.point(), origin)
    assert relative_error(hyperplane.point(theta), expected) < 1e-14
    assert float(hyperplane.at(theta).loss()) == pytest.approx(float(loss_at(expected)))
    origin.zero_()  # a copy was taken
    assert float(hyperplane.point().norm()) > 1


def test_selected_parameters_span_the_space():
    model = CASE.model()
    problem = ls.Problem(model, CASE.data(), params=["2"])
    hyperplane = ls.AffineHyperplane(problem, dim=5, kind="sparse")
    reference = dense_reference(CASE.model(), *CASE.data(), names=["2.weight", "2.bias"])
    assert hyperplane.basis.shape == (48, 5)
    expected = hyperplane.basis.to_dense().T @ reference.gradient
    assert relative_error(hyperplane.gradient(), expected) < 1e-12


def test_a_function_as_model():
    x, y = normal(9, 4), torch.arange(9) % 3
    problem = ls.Problem(function_logits, (x, y), params=function_parameters())
    hyperplane = ls.AffineHyperplane(problem, dim=4)
    theta = normal(4).requires_grad_()
    weights = problem.parameters_vector() + hyperplane.basis.to_dense() @ theta
    first, second, bias = weights.split([20, 15, 3])
    named = {"first": first.view(4, 5), "second": second.view(5, 3), "bias": bias}
    loss = torch.nn.functional.cross_entropy(function_logits(named, x), y)
    (expected,) = torch.autograd.grad(loss, theta)
    assert relative_error(hyperplane.gradient(theta.detach()), expected) < 1e-12


def test_float32_is_the_same_hyperplane():
    wide = ls.AffineHyperplane(ls.Problem(CASE.model(), CASE.data()), dim=5, seed=1)
    narrow = ls.AffineHyperplane(
        ls.Problem(CASE.model(), CASE.data(), dtype=torch.float32), dim=5, seed=1
    )
    theta = normal(5)
    assert narrow.point(theta.float()).dtype == torch.float32
    assert relative_error(narrow.point(theta.float()), wide.point(theta)) < 1e-6
    assert relative_error(narrow.gradient(theta.float()), wide.gradient(theta)) < 1e-5


def test_problem_model_and_random_state_are_left_alone():
    model, (x, y) = CASE.model(), CASE.data()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    flags = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    problem = ls.Problem(model, (x, y))
    random_state = torch.get_rng_state()
    loss = float(problem.loss())
    for kind in ("dense", "sparse"):
        hyperplane = ls.AffineHyperplane(problem, dim=8, kind=kind, origin=normal(D))
        trained = hyperplane.model()
        optimizer = torch.optim.SGD(trained.parameters(), lr=0.5)
        torch.nn.functional.cross_entropy(trained(x), y).backward()
        optimizer.step()
        hyperplane.curvature(theta=trained.theta)
        trained.merged()(x)
    assert torch.equal(torch.get_rng_state(), random_state)
    assert torch.equal(problem.parameters_vector(), dense("mlp").point)
    assert float(problem.loss()) == loss
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert {n: p.requires_grad for n, p in model.named_parameters()} == flags
    assert not model.training


def columns(dim=3):
    return torch.linalg.qr(normal(D, dim)).Q


def with_nan(vector):
    vector = vector.clone()
    vector[1] = float("nan")
    return vector


REFUSED = {
    "more dimensions than weights": (lambda: {"dim": D + 1}, rf"dim is {D + 1}; .* from 1 to D"),
    "no dimension": (lambda: {"dim": 0}, "dim is 0; it must be an integer from 1"),
    "a dimension below 0": (lambda: {"dim": -2}, "dim is -2; it must be an integer from 1"),
    "dim absent": (lambda: {}, "dim is absent; it must be an integer .* or vectors be given"),
    "dim absent, a kind": (lambda: {"kind": "sparse"}, "dim is absent"),
    "an unknown kind": (lambda: {"dim": 2, "kind": "cube"}, "kind is 'cube'; .* dense, gaussian"),
    "a negative seed": (lambda: {"dim": 2, "seed": -1}, "seed is -1; it must be an integer from 0"),
    "a bool for a seed": (lambda: {"dim": 2, "seed": True}, "seed is True; it must be an integer"),
    "an origin of another length": (
        lambda: {"dim": 2, "origin": normal(5)},
        rf"is \(5,\); it must be a tensor of shape \({D},\)",
    ),
    "an origin with NaN": (
        lambda: {"dim": 2, "origin": with_nan(normal(D))},
        "origin has NaN or infinity",
    ),
    "an origin with infinity": (
        lambda: {"dim": 2, "origin": normal(D) / 0.0},
        "origin has NaN or infinity",
    ),
    "vectors that are too long": (
        lambda: {"vectors": 1.01 * columns()},
        r"not orthonormal: columns (\d) and \1 have the inner product 1.02",
    ),
    "vectors that are not orthogonal": (
        lambda: {"vectors": torch.stack([columns()[:, 0], columns()[:, :2].mean(1) * 2**0.5], 1)},
        "not orthonormal: columns 0 and 1 have the inner product 0.707; orthonormalise=True",
    ),
    "dependent vectors": (
        lambda: {
            "vectors": torch.cat([columns(), columns() @ normal(3, 1)], 1),
            "orthonormalise": True,
        },
        "linearly dependent: column 3 lies in the span of those before it",
    ),
    "a vector of zeros": (
        lambda: {"vectors": columns() * torch.tensor([1.0, 0.0, 1.0]), "orthonormalise": True},
        "linearly dependent: column 1 lies",
    ),
    "vectors with NaN": (
        lambda: {"vectors": with_nan(columns()), "orthonormalise": True},
        "vectors hold NaN or infinity",
    ),
    "more columns than rows": (
        lambda: {"vectors": normal(D, D + 1), "orthonormalise": True},
        rf"vectors has shape \({D}, {D + 1}\); there can be no more columns than the {D}",
    ),
    "no column": (lambda: {"vectors": normal(D, 0)}, rf"vectors is \({D}, 0\)"),
    "vectors of another length": (
        lambda: {"vectors": columns()[:-1], "orthonormalise": True},
        rf"vectors has shape \({D - 1}, 3\); it must be \({D}, 3\)",
    ),
    "vectors for another kind": (
        lambda: {"vectors": columns(), "kind": "dense"},
        "kind is 'dense'.* vectors go with the kind 'given', and with no other",
    ),
    "the kind given without vectors": (
        lambda: {"dim": 3, "kind": "given"},
        "kind is 'given'.* vectors are absent",
    ),
    "another dim than there are vectors": (
        lambda: {"dim": 4, "vectors": columns()},
        rf"vectors has shape \({D}, 3\); it must be \({D}, 4\)",
    ),
    "fastfood blocks that do not fit": (
        lambda: {"dim": 65, "kind": "fastfood"},
        "dim is 65; a fastfood basis has blocks of 128 rows.* take the kind dense",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_bad_input(problem, what):
    arguments, message = REFUSED[what]
    with pytest.raises((TypeError, ValueError)) as caught:
        ls.AffineHyperplane(problem, **arguments())
    assert re.search(message, str(caught.value)), str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("origin", [normal(5), normal(D, 1)])
def test_the_refusal_of_an_origin_names_it(problem, origin):
    with pytest.raises((TypeError, ValueError), match="origin"):
        ls.AffineHyperplane(problem, dim=2, origin=origin)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dim": 2.0}, "dim is 2.0; it must be an integer from 1"),
        ({"dim": "3"}, "dim is '3'; it must be an integer from 1"),
        ({"dim": True}, "dim is True; it must be an integer from 1"),
        ({"dim": 2, "seed": 0.5}, "seed is 0.5; it must be an integer from 0"),
        ({"dim": 2, "kind": 3}, "kind is 3; it must be one of dense, gaussian"),
        ({"dim": 2, "origin": [0.0] * D}, f"list; it must be a tensor of shape .{D},"),
        ({"vectors": [[1.0]]}, "vectors is list; it must be a tensor of shape"),
        ({"vectors": normal(D)}, f"vectors is .{D},.; it must be a tensor of shape"),
    ],
)
def test_arguments_of_another_type(problem, arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        ls.AffineHyperplane(problem, **arguments)


@pytest.mark.usefixtures("unchecked")
def test_anything_but_a_problem():
    with pytest.raises(TypeError, match="problem is a Sequential; it must be a Problem"):
        ls.AffineHyperplane(CASE.model(), dim=2)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("dim", [4, 6])
def test_coordinates_of_another_length(problem, dim):
    hyperplane = ls.AffineHyperplane(problem, dim=5)
    for of_theta in (hyperplane.point, hyperplane.at, hyperplane.gradient, hyperplane.curvature):
        name = {"theta": torch.zeros(dim, dtype=torch.float64)}
        with pytest.raises(ValueError, match=rf"has shape \({dim},\); it must be \(5,\)"):
            of_theta(**name)


@pytest.mark.parametrize("by_rows", [True, False])
def test_given_vectors_are_the_basis(problem, by_rows):
    V = columns(4).contiguous() if by_rows else columns(4).T.contiguous().T
    hyperplane = ls.AffineHyperplane(problem, vectors=V)
    assert (hyperplane.dim, hyperplane.kind) == (4, "given")
    assert torch.equal(hyperplane.basis.to_dense(), V)
    V.zero_()  # a copy was taken, however they lie in memory
    assert torch.equal(hyperplane.basis.to_dense(), columns(4))


def test_vectors_of_another_dtype_or_with_a_gradient(problem):
    V = columns(4).float().requires_grad_()
    basis = ls.AffineHyperplane(problem, vectors=V, dim=4).basis
    assert basis.dtype == torch.float64
    assert relative_error(basis.to_dense(), columns(4)) < 1e-6


def test_orthonormalise_keeps_the_span(problem):
    vectors = normal(D, 5, seed=8) * torch.tensor([1e-3, 1.0, 1e3, 1.0, 1.0])
    vectors[:, 4] += 100 * vectors[:, 1]
    hyperplane = ls.AffineHyperplane(problem, vectors=vectors, orthonormalise=True)
    Q = hyperplane.basis.to_dense()
    identity = torch.eye(5, dtype=torch.float64)
    assert torch.linalg.matrix_norm(Q.T @ Q - identity, 2) < 1e-13
    for count in range(1, 6):  # the first of them first
        some = vectors[:, :count]
        outside = some - Q[:, :count] @ (Q[:, :count].T @ some)
        assert float((outside.norm(dim=0) / some.norm(dim=0)).max()) < 1e-13
    assert bool(((Q.T @ vectors).diagonal() > 0).all())  # and no vector turned round


def test_orthonormal_vectors_stay_as_they_are_when_orthonormalised(problem):
    V = columns(4)
    basis = ls.AffineHyperplane(problem, vectors=V, orthonormalise=True).basis
    assert relative_error(basis.to_dense(), V) < 1e-13


@pytest.mark.parametrize(("free", "fits"), [(2 * D * 10 * 8, True), (2 * D * 10 * 8 - 1, False)])
def test_a_dense_basis_must_fit_in_memory(problem, monkeypatch, free, fits):
    monkeypatch.setattr("landscope.hyperplanes.draw.free_bytes", lambda device: free)
    if fits:
        ls.AffineHyperplane(problem, dim=10)
    else:
        with pytest.raises(ValueError, match=rf"dense basis of {D} × 10 .* kind fastfood"):
            ls.AffineHyperplane(problem, dim=10)
    for kind in ("gaussian", "sparse", "fastfood"):
        ls.AffineHyperplane(problem, dim=10, kind=kind)


def test_the_kind_may_be_named_or_an_enum(problem):
    named, enum = (
        ls.AffineHyperplane(problem, dim=3, kind=kind).basis.to_dense()
        for kind in ("sparse", ls.BasisKind.SPARSE)
    )
    assert torch.equal(named, enum)


def test_it_says_what_it_is(problem):
    hyperplane = ls.AffineHyperplane(problem, dim=7, kind="sparse", seed=3)
    assert repr(hyperplane) == f"AffineHyperplane(7 of {D} dimensions, sparse, seed 3)"


def test_the_identity_tells_hyperplanes_apart(problem):
    def identity(**arguments):
        return ls.AffineHyperplane(problem, **arguments).identity()

    first = identity(dim=5, seed=1)
    assert identity(dim=5, seed=1) == first
    others = [
        identity(dim=5, seed=2),
        identity(dim=6, seed=1),
        identity(dim=5, seed=1, kind="sparse"),
        identity(dim=5, seed=1, origin=normal(D)),
        identity(vectors=columns(5)),
        identity(vectors=columns(5).flip(1)),
    ]
    assert len({first, *others}) == 7
    assert identity(vectors=columns(5)) == others[4]
