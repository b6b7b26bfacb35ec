"""A derivative that is silently wrong is found, said, and replaced by the slower right one."""

import warnings

import pytest
import torch
from torch import nn

import landscope as ls
from tests.reference.dense import product_error, relative_error
from tests.reference.networks import CASES, dense_reference


class WrongForward(torch.autograd.Function):
    """x + x³ whose forward-mode derivative is off by one per cent; its reverse mode is right."""

    @staticmethod
    def forward(x):
        return x + x**3

    @staticmethod
    def setup_context(ctx, inputs, output):
        (x,) = inputs
        ctx.save_for_backward(x)
        ctx.save_for_forward(x)

    @staticmethod
    def backward(ctx, grad_output):
        (x,) = ctx.saved_tensors
        return (1 + 3 * x**2) * grad_output

    @staticmethod
    def jvp(ctx, tangent):
        (x,) = ctx.saved_tensors
        return 1.01 * (1 + 3 * x**2) * tangent


class NoForward(torch.autograd.Function):
    """x + x³ that has no forward-mode derivative at all."""

    @staticmethod
    def forward(x):
        return x + x**3

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(inputs[0])

    @staticmethod
    def backward(ctx, grad_output):
        (x,) = ctx.saved_tensors
        return (1 + 3 * x**2) * grad_output


class Cubic(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function
        self.first = nn.Linear(5, 4)
        self.last = nn.Linear(4, 4)

    def forward(self, x):
        return self.last(self.function.apply(self.first(x)))


def cubic(function):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Cubic(function).double()


MATRICES = {
    "Hessian": "hessian",
    "GaussNewton": "gauss_newton",
    "LogitCurvature": "logit_curvature",
    "LogitJacobian": "jacobian",
    "TangentKernel": "tangent_kernel",
}


@pytest.mark.parametrize("function", [WrongForward, NoForward])
@pytest.mark.parametrize("operator", MATRICES)
def test_a_wrong_or_missing_forward_mode_falls_back_with_a_warning(function, operator):
    model, data = cubic(function), CASES["mlp"].data()
    reference = dense_reference(model, *data)
    problem = ls.Problem(model, data, batch_size=5)
    expected = getattr(reference, MATRICES[operator])
    A = getattr(ls, operator)(problem)
    v = torch.ones(expected.shape[1], dtype=torch.float64)
    with pytest.warns(UserWarning, match=r"(?i)slower"):
        product = A @ v
    assert relative_error(product, expected.sum(dim=1)) < 1e-10
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # said once
        assert product_error(A, expected, count=6) < 1e-10


@pytest.mark.parametrize("operator", MATRICES)
def test_a_right_product_gives_no_warning(operator):
    case = CASES["layer_norm"]
    problem = ls.Problem(case.model(), case.data())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        A = getattr(ls, operator)(problem)
        for _ in range(6):
            A @ torch.ones(A.shape[1], dtype=torch.float64)


@pytest.mark.parametrize("operator", ["Hessian", "GaussNewton", "LogitCurvature"])
def test_the_check_holds_at_the_origin_of_weight_space(operator):
    # ‖W‖ = 0 must not switch the comparison off.
    model, data = cubic(WrongForward), CASES["mlp"].data()
    problem = ls.Problem(model, data)
    shift = torch.ones(problem.num_params, dtype=torch.float64)
    zero = problem.at(0 * shift)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        product = getattr(ls, operator)(zero) @ shift
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    expected = getattr(dense_reference(model, *data), MATRICES[operator]) @ shift
    assert float((product - expected).norm()) < 1e-10


@pytest.mark.parametrize(("scale", "tolerance"), [(1.0, 1e-3), (1e5, 8 * 2.0**-23 * 2e5)])
def test_logits_that_float32_rounds_coarsely_are_held_to_their_rounding(scale, tolerance):
    model = nn.Linear(2, 3, bias=False)
    with torch.no_grad():
        model.weight.copy_(scale * torch.tensor([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]]))
    H = ls.Hessian(ls.Problem(model, (torch.eye(2), torch.tensor([0, 1]))))
    assert (H @ torch.ones(6)).isfinite().all()
    assert not H._sum._is_wrong(0.9 * tolerance)
    assert H._sum._is_wrong(1.1 * tolerance)
