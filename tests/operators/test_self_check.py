"""A derivative that is silently wrong is found, said, and replaced by the slower right one."""

import warnings

import pytest
import torch
from torch import nn

import landscope as ls
from landscope.products import WrongDerivativeError
from landscope.products.self_check import SelfCheck
from landscope.products.tangent_rules import RULES
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
    A = getattr(ls, operator)(problem, method="forward_over_reverse")
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
        product = getattr(ls, operator)(zero, method="forward_over_reverse") @ shift
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    expected = getattr(dense_reference(model, *data), MATRICES[operator]) @ shift
    assert float((product - expected).norm()) < 1e-10


def off_by(factor, monkeypatch):
    """Let the tangent of every tanh be off."""
    tanh = torch.ops.aten.tanh.default
    right = RULES[tanh]
    monkeypatch.setitem(RULES, tanh, lambda *given: right(*given) * factor)


@pytest.mark.parametrize("scale", [1.0, 1e4])
@pytest.mark.parametrize("factor", [1.0, 1.03])
def test_rounding_is_measured_where_float32_is_coarse(monkeypatch, scale, factor):
    """Logits of 10⁴ round products by a thousandth; that hides no error of three per cent."""
    off_by(factor, monkeypatch)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 3))
    with torch.no_grad():
        model[2].weight.mul_(scale)
    problem = ls.Problem(model, (torch.randn(9, 2), torch.arange(9) % 3))
    H = ls.LogitCurvature(problem, method="linearized")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        H @ torch.ones(problem.num_params)
    assert bool(said) == (factor > 1)


class Special(nn.Module):
    """What looks at numbers: lengths as Python reads them, a padding row, a branch."""

    def __init__(self, kind):
        super().__init__()
        self.kind = kind
        self.embedding = nn.Embedding(7, 4, padding_idx=0 if kind == "padding" else None)
        self.last = nn.Linear(4, 3)

    def forward(self, ids):
        h = torch.tanh(self.embedding(ids))
        if self.kind == "lengths":
            lengths = (ids > 0).sum(1).numpy()
            return self.last(torch.stack([x[:n].mean(0) for x, n in zip(h, lengths, strict=True)]))
        if self.kind == "branch" and 0 in ids.detach().numpy():
            h = h**2
        return self.last(h.sum(1))


@pytest.mark.parametrize("method", ["auto", "linearized", "recomputed", "forward_over_reverse"])
@pytest.mark.parametrize("kind", ["lengths", "padding", "branch"])
@pytest.mark.filterwarnings("ignore:.*(the slower reference|is not used for this model)")
def test_what_only_the_last_piece_shows_is_found(kind, method):
    torch.manual_seed(0)
    model = Special(kind).double()
    ids = torch.randint(1, 7, (8, 5))
    ids[6, 3:], ids[7, 2:] = 0, 0
    problem = ls.Problem(model, (ids, torch.arange(8) % 3), batch_size=2)
    for name in ("Hessian", "GaussNewton", "LogitCurvature"):
        A = getattr(ls, name)(problem, method=method)
        A.expect(1000)
        exact = getattr(ls, name)(problem, method="double_backward")
        v = torch.randn(problem.num_params, dtype=torch.float64)
        assert relative_error(A @ v, exact @ v) < 1e-10


def test_a_check_is_made_once_and_said(monkeypatch):
    problem = ls.Problem(CASES["layer_norm"].model(), CASES["layer_norm"].data(), batch_size=2)
    compared = []

    def counted(self, derivatives, pieces):
        compared.append(len(pieces))
        return find_error(self, derivatives, pieces)

    find_error = SelfCheck.find_error
    monkeypatch.setattr(SelfCheck, "find_error", counted)
    v = torch.ones(problem.num_params, dtype=torch.float64)
    H = ls.Hessian(problem, method="linearized")
    H @ v
    assert H.explain().check > 0
    ls.Hessian(problem, method="linearized") @ v
    ls.Hessian(problem.at(2 * problem.weights), method="linearized") @ v
    assert len(compared) == 2
    assert compared[0] > compared[1] == 1
    ls.Hessian(problem, method="linearized", self_check=False) @ v
    ls.Hessian(problem, method="cached_graph") @ v
    assert len(compared) == 2


def test_a_product_that_fails_later_on_is_computed_by_the_reference():
    problem = ls.Problem(CASES["layer_norm"].model(), CASES["layer_norm"].data(), batch_size=2)
    H = ls.Hessian(problem, method="linearized")
    v = torch.randn(problem.num_params, dtype=torch.float64)
    expected = H @ v
    H._sum._traced[1].kept.pop()  # a constant of the second piece is lost
    with pytest.warns(UserWarning, match="linearized fails on some of the data"):
        product = H @ v
    assert relative_error(product, expected) < 1e-12
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # said once
        assert relative_error(H @ torch.stack([v, v], 1), torch.stack([expected] * 2, 1)) < 1e-12


class Detached(torch.autograd.Function):
    """x + x³ whose backward forgets its own derivative."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x + x**3

    @staticmethod
    def backward(ctx, grad_output):
        (x,) = ctx.saved_tensors
        return grad_output * (1 + 3 * x.detach() ** 2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_backward_that_cannot_be_differentiated_is_refused_at_construction(dtype):
    problem = ls.Problem(cubic(Detached).to(dtype), CASES["mlp"].data())
    with pytest.raises(WrongDerivativeError, match="off from differences of first derivatives"):
        ls.Hessian(problem)
    right = ls.Problem(cubic(NoForward).to(dtype), CASES["mlp"].data())
    v = torch.ones(problem.num_params, dtype=dtype)
    found = ls.Hessian(problem, method="finite_difference") @ v
    assert relative_error(found, ls.Hessian(right) @ v) < (1e-2 if dtype == torch.float32 else 1e-6)


@pytest.mark.parametrize("operator", ["Hessian", "GaussNewton", "LogitCurvature"])
def test_exact_kinks_are_not_taken_for_a_wrong_backward(operator):
    """Zero images and biases put every activation at zero, where differences do not converge."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 3))
    for layer in (model[0], model[2]):
        nn.init.zeros_(layer.bias)
    problem = ls.Problem(model.double(), (torch.zeros(5, 4).double(), torch.arange(5) % 3))
    assert (getattr(ls, operator)(problem) @ problem.weights).isfinite().all()
