"""A problem is a point of weight space: selection, flattening, moving, and never touching."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import landscope as ls
from tests.reference.dense import product_error, relative_error
from tests.reference.networks import (
    CASES,
    dense,
    dense_reference,
    function_logits,
    function_parameters,
)


def problem_of(name, **options):
    case = CASES[name]
    return ls.Problem(case.model(), case.data(), loss=case.loss, **options)


@pytest.mark.parametrize("name", CASES)
def test_size_loss_gradient_logits_and_targets(name):
    problem, d = problem_of(name), dense(name)
    assert problem.num_params == d.num_params
    assert problem.num_examples == d.num_examples
    assert problem.num_classes == d.num_classes
    assert problem.dtype == torch.float64
    assert problem.device == torch.device("cpu")
    assert torch.equal(problem.parameters_vector(), d.point)
    assert float(problem.loss()) == pytest.approx(float(d.loss), rel=1e-12)
    assert relative_error(problem.gradient(), d.gradient) < 1e-12
    assert relative_error(problem.logits(), d.z) < 1e-12
    assert torch.equal(problem.targets(), d.targets)


@pytest.mark.parametrize("name", CASES)
def test_flatten_and_unflatten_are_inverse(name):
    problem = problem_of(name)
    vector = torch.arange(problem.num_params, dtype=torch.float64)
    named = problem.unflatten(vector)
    assert torch.equal(problem.flatten(named), vector)
    parameters = dict(CASES[name].model().named_parameters())
    assert {k: v.shape for k, v in named.items()} == {k: v.shape for k, v in parameters.items()}
    point = problem.unflatten(problem.parameters_vector())
    assert all(torch.equal(point[key], value) for key, value in parameters.items())


def test_flatten_takes_names_in_any_order():
    problem = problem_of("mlp")
    named = problem.unflatten(torch.arange(problem.num_params, dtype=torch.float64))
    backwards = dict(reversed(named.items()))
    assert torch.equal(problem.flatten(backwards), problem.flatten(named))


SELECTIONS = {
    "one_name": (["2.weight"], ["2.weight"]),
    "a_module": (["2"], ["2.weight", "2.bias"]),
    "two": (["4.bias", "0"], ["0.weight", "0.bias", "4.bias"]),
    "predicate": (lambda name: name.endswith("bias"), ["0.bias", "2.bias", "4.bias"]),
}


@pytest.mark.parametrize("selection", SELECTIONS)
def test_a_selection_is_the_block_of_the_whole(selection):
    params, names = SELECTIONS[selection]
    case = CASES["mlp"]
    problem = problem_of("mlp", params=params, weight_decay=0.1)
    reference = dense_reference(case.model(), *case.data(), names=names, weight_decay=0.1)
    assert problem.num_params == reference.num_params
    assert torch.equal(problem.parameters_vector(), reference.point)
    assert sorted(problem.unflatten(problem.parameters_vector())) == sorted(names)
    assert relative_error(problem.gradient(), reference.gradient) < 1e-12
    assert product_error(ls.Hessian(problem), reference.hessian) < 1e-11
    assert product_error(ls.LogitJacobian(problem), reference.jacobian) < 1e-11


def test_a_module_prefix_is_a_whole_name():
    # "1" must not select the layers 10 and 11.
    net = nn.Sequential(*[nn.Linear(3, 3) for _ in range(12)]).double()
    x, y = torch.randn(4, 3, dtype=torch.float64), torch.tensor([0, 1, 2, 0])
    assert ls.Problem(net, (x, y), params=["1"]).num_params == 12


def test_frozen_parameters_are_left_out():
    case = CASES["mlp"]
    model = case.model()
    model[0].requires_grad_(False)
    problem = ls.Problem(model, case.data())
    names = ["2.weight", "2.bias", "4.weight", "4.bias"]
    reference = dense_reference(case.model(), *case.data(), names=names)
    assert sorted(problem.unflatten(problem.parameters_vector())) == sorted(names)
    assert product_error(ls.Hessian(problem), reference.hessian) < 1e-11


@pytest.mark.parametrize("name", ["conv", "tied", "attention", "batch_norm"])
def test_at_a_vector(name):
    case = CASES[name]
    problem = problem_of(name)
    before = float(problem.loss())
    step = torch.randn(
        problem.num_params, dtype=torch.float64, generator=torch.Generator().manual_seed(4)
    )
    elsewhere = problem.at(problem.parameters_vector() + 0.1 * step)

    model = case.model()
    torch.nn.utils.vector_to_parameters(dense(name).point + 0.1 * step, list(model.parameters()))
    reference = dense_reference(model, *case.data())
    assert float(elsewhere.loss()) == pytest.approx(float(reference.loss), rel=1e-12)
    assert relative_error(elsewhere.gradient(), reference.gradient) < 1e-12
    assert product_error(ls.Hessian(elsewhere), reference.hessian) < 1e-10
    # The problem that it came from stays where it was.
    assert float(problem.loss()) == before
    assert relative_error(problem.parameters_vector(), dense(name).point) == 0


def test_a_vector_changed_later_does_not_move_the_problem():
    problem = problem_of("mlp")
    vector = problem.parameters_vector() + 0.1
    elsewhere = problem.at(vector)
    loss = float(elsewhere.loss())
    vector.zero_()
    assert float(elsewhere.loss()) == loss
    problem.parameters_vector().zero_()
    assert float(problem.loss()) == pytest.approx(float(dense("mlp").loss), rel=1e-12)


def test_at_a_model_takes_its_parameters_and_its_buffers():
    case = CASES["batch_norm"]
    problem = problem_of("batch_norm")
    other = case.model()
    with torch.no_grad():
        other[0].weight.mul_(1.5)
        other[1].running_var.mul_(3.0)
    reference = dense_reference(other, *case.data())
    moved = problem.at(other)
    with torch.no_grad():  # what happens to the model later is no concern of the problem's
        other[0].weight.zero_()
        other[1].running_var.zero_()
    assert float(moved.loss()) == pytest.approx(float(reference.loss), rel=1e-12)
    assert relative_error(moved.gradient(), reference.gradient) < 1e-12
    assert float(problem.loss()) == pytest.approx(float(dense("batch_norm").loss), rel=1e-12)


def test_at_a_model_in_training_mode_keeps_the_mode_of_the_problem():
    # A trainer hands over its model between two steps, in training mode.
    case = CASES["batch_norm"]
    moved = problem_of("batch_norm").at(case.model().train())
    assert float(moved.loss()) == pytest.approx(float(dense("batch_norm").loss), rel=1e-12)


def test_the_models_later_training_does_not_move_the_problem():
    case = CASES["mlp"]
    model = case.model()
    problem = ls.Problem(model, case.data())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    assert float(problem.loss()) == pytest.approx(float(dense("mlp").loss), rel=1e-12)


@pytest.mark.parametrize("name", ["conv", "batch_norm", "tied", "attention"])
def test_the_callers_model_and_random_state_are_never_changed(name):
    case = CASES[name]
    model = case.model()
    model.train(name not in ("batch_norm",))
    frozen = next(iter(model.parameters()))
    frozen.requires_grad_(False)
    state = copy.deepcopy(model.state_dict())
    modes = [module.training for module in model.modules()]
    required = [p.requires_grad for p in model.parameters()]
    random_state = torch.random.get_rng_state()

    problem = ls.Problem(model, case.data(), loss=case.loss, batch_size=3)
    problem.gradient()
    ls.Hessian(problem) @ problem.parameters_vector()
    ls.GaussNewton(problem) @ problem.parameters_vector()
    moved = problem.at(0 * problem.parameters_vector())
    moved.loss()
    ls.logit_clustering(problem)

    assert torch.equal(torch.random.get_rng_state(), random_state)
    assert [module.training for module in model.modules()] == modes
    assert [p.requires_grad for p in model.parameters()] == required
    assert all(p.grad is None for p in model.parameters())
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())


def test_a_function_of_parameters_and_inputs_is_a_model():
    parameters = function_parameters()
    x = torch.randn(8, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    y = torch.tensor([0, 1, 2, 0, 1, 2, 2, 1])
    problem = ls.Problem(function_logits, (x, y), params=parameters, batch_size=3)
    assert problem.num_params == 4 * 5 + 5 * 3 + 3

    class Same(nn.Module):
        def __init__(self):
            super().__init__()
            for name, value in parameters.items():
                self.register_parameter(name, nn.Parameter(value.clone()))

        def forward(self, x):
            return function_logits(dict(self.named_parameters()), x)

    reference = dense_reference(Same(), x, y)
    assert relative_error(problem.gradient(), reference.gradient) < 1e-12
    assert product_error(ls.Hessian(problem), reference.hessian) < 1e-11
    assert product_error(ls.GaussNewton(problem), reference.gauss_newton) < 1e-11
    moved = problem.at(2 * problem.parameters_vector())
    assert relative_error(moved.parameters_vector(), 2 * reference.point) == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_is_what_is_measured_in(dtype):
    case = CASES["conv"]
    model = case.model().float()
    x, y = case.data()
    problem = ls.Problem(model, (x.float(), y), dtype=dtype)
    assert problem.dtype == dtype
    assert problem.parameters_vector().dtype == dtype
    assert problem.gradient().dtype == dtype
    assert problem.logits().dtype == dtype
    product = ls.Hessian(problem) @ problem.gradient()
    assert product.dtype == dtype
    assert next(model.parameters()).dtype == torch.float32
    tolerance = 1e-5 if dtype == torch.float32 else 1e-6  # the weights were rounded once
    assert relative_error(problem.gradient(), dense("conv").gradient) < tolerance


def test_integer_inputs_survive_a_dtype():
    case = CASES["attention"]
    problem = ls.Problem(case.model(), case.data(), dtype=torch.float32)
    assert problem.dtype == torch.float32
    assert relative_error(problem.gradient(), dense("attention").gradient) < 1e-5


@given(st.floats(-2, 2), st.floats(-2, 2))
def test_unflatten_is_linear(a, b):
    problem = problem_of("unused")
    generator = torch.Generator().manual_seed(0)
    u, v = torch.randn(2, problem.num_params, dtype=torch.float64, generator=generator)
    left = problem.unflatten(a * u + b * v)
    right = {k: a * x + b * problem.unflatten(v)[k] for k, x in problem.unflatten(u).items()}
    assert all(torch.allclose(left[k], right[k]) for k in left)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.norm = nn.Embedding(5, 3), nn.BatchNorm1d(3)
        self.head = nn.Linear(3, 5, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, tokens):
        return self.head(self.norm(self.embedding(tokens)))


def test_a_state_dict_is_a_point_with_tied_names_and_buffers():
    model, other = Tied().eval(), Tied().eval()
    other.norm.running_mean.fill_(0.3)
    data = torch.arange(5), torch.arange(5)
    problem, expected = ls.Problem(model, data), ls.Problem(other, data).loss()
    torch.testing.assert_close(problem.at(other.state_dict()).loss(), expected)
    one_name = {n: v for n, v in other.state_dict().items() if n != "head.weight"}
    torch.testing.assert_close(problem.at(one_name).loss(), expected)
    without_buffers = {"embedding.weight": other.embedding.weight} | {
        f"norm.{name}": value for name, value in other.norm.named_parameters()
    }
    kept = problem.at(without_buffers).loss()
    other.norm.running_mean.zero_()
    torch.testing.assert_close(kept, problem.at(other).loss())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda state: state.pop("norm.weight"), "lacks 'norm.weight'"),
        (lambda state: state.update(extra=torch.ones(1)), "it has 'extra'"),
        (lambda state: state.update({"norm.bias": torch.ones(7)}), r"\(7,\) there and \(3,\)"),
    ],
)
def test_weights_of_another_architecture_are_refused(change, said):
    problem = ls.Problem(Tied().eval(), (torch.arange(5), torch.arange(5)))
    state = Tied().state_dict()
    change(state)
    with pytest.raises(ValueError, match=said):
        problem.at(state)
