"""Whatever torch can train and differentiate twice, against reverse mode by hand on a copy."""

import copy
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, embedding, embedding_bag
from torch.utils.checkpoint import checkpoint

import landscope as ls
from tests.reference.dense import relative_error

GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(9, 6, generator=GENERATOR, dtype=torch.float64)
LARGE_LAST = torch.cat([X[:6] / 9, 9 * X[6:]])
IDS = torch.randint(1, 7, (9, 4), generator=GENERATOR)
IDS[7, 2:], IDS[8, 1:] = 0, 0  # padding comes in the last piece alone
SEQUENCES = torch.randn(9, 5, 6, generator=GENERATOR, dtype=torch.float64)
LENGTHS = torch.tensor([5, 3, 2, 5, 2, 4, 3, 5, 1])
Y = torch.arange(9) % 3


class Cubic(torch.autograd.Function):
    """x + x³ as functions were written before torch.func."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x + x**3

    @staticmethod
    def backward(ctx, grad_output):
        (x,) = ctx.saved_tensors
        return grad_output * (1 + 3 * x**2)


class Packed(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.recurrent, self.last = kind(6, 4, batch_first=True), nn.Linear(4, 3)

    def forward(self, x, lengths):
        packed = nn.utils.rnn.pack_padded_sequence(
            x, lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        _, h = self.recurrent(packed)
        return self.last((h[0] if isinstance(h, tuple) else h)[-1])


class Around(nn.Module):
    """Two layers around a function of the hidden units."""

    def __init__(self, function):
        super().__init__()
        self.first, self.inner, self.last = nn.Linear(6, 5), nn.Linear(5, 5), nn.Linear(5, 3)
        self.function = function

    def forward(self, x):
        return self.last(self.function(self, self.first(x)))


class PhysicsInformed(nn.Module):
    """A function and its derivatives in the inputs."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(6, 5), nn.Linear(5, 1)

    def forward(self, x):
        x = x.requires_grad_()
        u = self.last(torch.tanh(self.first(x)))
        (slopes,) = torch.autograd.grad(u.sum(), x, create_graph=True)
        return torch.cat([u, slopes[:, :2]], 1)


class Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.last = nn.Linear(6, 3)
        self.register_buffer("calls", torch.zeros((), dtype=torch.long))

    def forward(self, x):
        self.calls += 1
        return torch.tanh(self.last(x))


class OfTokens(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer, self.last = layer, nn.Linear(5, 3)

    def forward(self, ids):
        h = torch.tanh(self.layer(ids))
        return self.last(h.sum(1) if h.ndim == 3 else h)


class Caching(nn.Module):
    """Keeps what it makes of its weights at the first pass, by itself and by length."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(6, 5), nn.Linear(5, 3)
        self.squares, self.scales = None, {}

    def forward(self, x):
        if self.squares is None:
            self.squares = self.first.weight**2
        if len(x) not in self.scales:
            self.scales[len(x)] = self.last.bias.square().sum()
        h = torch.nn.functional.linear(x, self.squares, self.first.bias)
        return self.last(torch.tanh(h * self.scales[len(x)]))


class Shortening(nn.Module):
    """Rows that a function renormalises in place in each pass."""

    def __init__(self):
        super().__init__()
        self.rows, self.last = nn.Parameter(torch.randn(7, 5)), nn.Linear(5, 3)

    def forward(self, ids):
        return self.last(torch.tanh(embedding(ids, self.rows, max_norm=50.0)).sum(1))


class Halving(nn.Module):
    """Large inputs are halved in place, each time that they come."""

    def __init__(self):
        super().__init__()
        self.last = nn.Linear(6, 3)

    def forward(self, x):
        if x.max() > 5:
            x /= 2
        return torch.tanh(self.last(x))


def hooked():
    model = Around(lambda model, h: torch.tanh(h))
    model.first.register_full_backward_hook(lambda *_: None)
    return model


def recomputed(reentrant):
    def inner(model, h):
        return checkpoint(lambda h: torch.tanh(model.inner(h)), h, use_reentrant=reentrant)

    return Around(inner)


MODELS = {
    "GRU of packed sequences": (lambda: Packed(nn.GRU), (SEQUENCES, LENGTHS)),
    "LSTM of packed sequences": (lambda: Packed(nn.LSTM), (SEQUENCES, LENGTHS)),
    "function without setup_context": (lambda: Around(lambda _, h: Cubic.apply(h)), (X,)),
    "backward hook": (hooked, (X,)),
    "derivatives in the inputs": (PhysicsInformed, (X,)),
    "checkpoint": (lambda: recomputed(False), (X,)),
    "buffer that counts": (Counting, (X,)),
    "cache of weights": (Caching, (X,)),
    "padding row": (lambda: OfTokens(nn.Embedding(7, 5, padding_idx=0)), (IDS,)),
    "rows shortened in place": (Shortening, (IDS,)),
    "inputs changed in place": (Halving, (LARGE_LAST,)),
}
# Torch has no second derivative of these; another model that computes the same has.
SAME = {
    "reentrant checkpoint": (lambda: recomputed(True), lambda: recomputed(False), (X,)),
    "sparse embedding": (
        lambda: OfTokens(nn.Embedding(7, 5, sparse=True)),
        lambda: OfTokens(nn.Embedding(7, 5)),
        (IDS,),
    ),
    "bags": (
        lambda: OfTokens(nn.EmbeddingBag(7, 5, mode="mean", padding_idx=0)),
        lambda: OfTokens(MeanOfRows()),
        (IDS,),
    ),
}


class MeanOfRows(nn.Embedding):
    """What a bag of embeddings computes."""

    def __init__(self):
        super().__init__(7, 5)

    def forward(self, ids):
        counted = (ids != 0).double()
        return (super().forward(ids) * counted[..., None]).sum(1) / counted.sum(1)[:, None]


def built(build):
    torch.manual_seed(1)
    return build().double()


def pieces(inputs):
    return [tuple(x[i : i + 3].clone() for x in (*inputs, Y)) for i in (0, 3, 6)]


def product_by_hand(model, inputs, v):
    model = copy.deepcopy(model)
    parameters = [p for p in model.parameters() if p.requires_grad]
    total = sum(cross_entropy(model(*x), y, reduction="sum") for *x, y in pieces(inputs)) / len(Y)
    options = {"allow_unused": True, "materialize_grads": True}
    g = torch.autograd.grad(total, parameters, create_graph=True, **options)
    flat = torch.cat([part.flatten() for part in g])
    Hv = torch.autograd.grad(flat @ v, parameters, **options)
    return torch.cat([part.flatten() for part in Hv])


METHODS = ["auto", "linearized", "forward_over_reverse", "double_backward", "finite_difference"]
SLOWER = "ignore:.*(slower reference|is not used for this model|Full backward hook)"


def hold(model, reference, inputs, method):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    problem = ls.Problem(model, pieces(inputs))
    v = torch.randn(problem.num_params, dtype=torch.float64, generator=GENERATOR)
    if method == "finite_difference":
        v = problem.without_padding(v)
    H = ls.Hessian(problem, method=method)
    H.expect(1000)
    expected = product_by_hand(reference, inputs, v)
    assert relative_error(H @ v, expected) < (1e-6 if method == "finite_difference" else 1e-10)
    R, G = (operator(problem, method=method) for operator in (ls.LogitCurvature, ls.GaussNewton))
    assert relative_error(R @ v + G @ v, expected) < (
        1e-6 if method == "finite_difference" else 1e-10
    )
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
    elsewhere = problem.at(problem.weights + 0.1)
    torch.testing.assert_close(
        elsewhere.loss(), ls.Problem(elsewhere_of(reference, 0.1), pieces(inputs)).loss()
    )


def elsewhere_of(model, shift):
    """The same with all parameters moved."""
    moved = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in moved.parameters():
            parameter.add_(shift)
    return moved


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.filterwarnings(SLOWER)
def test_products_are_those_of_reverse_mode_twice(name, method):
    build, inputs = MODELS[name]
    hold(built(build), built(build), inputs, method)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", SAME)
@pytest.mark.filterwarnings(SLOWER, "ignore:None of the inputs have requires_grad")
def test_what_torch_cannot_differentiate_twice_is_written_in_what_it_can(name, method):
    build, other, inputs = SAME[name]
    model, reference = built(build), built(other)
    reference.load_state_dict(model.state_dict())
    hold(model, reference, inputs, method)


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize("include_last", [False, True])
def test_bags_of_all_forms_give_the_same_logits(mode, include_last):
    layer = nn.EmbeddingBag(
        7, 5, mode=mode, padding_idx=2, include_last_offset=include_last, dtype=torch.float64
    )
    bags = [torch.tensor([1, 2, 3, 3]), torch.tensor([2]), torch.tensor([5, 0, 5])]
    ids = torch.cat(bags)
    offsets = torch.tensor([0, 4, 5, 8] if include_last else [0, 4, 5])

    def forward(model, batch):
        return model(ids, offsets), torch.arange(3)

    problem = ls.Problem(
        layer, [(torch.zeros(3, 1), Y[:3])], forward=forward, batch_statistics=True
    )
    torch.testing.assert_close(problem.logits(), layer(ids, offsets).detach(), rtol=1e-12, atol=0)


def test_rows_beyond_a_norm_are_shortened_once_as_the_layer_does():
    model = OfTokens(nn.Embedding(7, 5, max_norm=0.5)).double()
    before = model.layer.weight.detach().clone()
    problem = ls.Problem(model, (IDS, Y))
    assert torch.equal(model.layer.weight, before)
    with torch.no_grad():
        logits = model(IDS)  # shortens its own rows
    torch.testing.assert_close(problem.logits(), logits, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(problem.at(model).logits(), logits, rtol=1e-12, atol=1e-12)


class Casting(nn.Module):
    def __init__(self):
        super().__init__()
        self.last = nn.Linear(6, 3)

    def forward(self, x):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.last(x).float()


def test_autocast_within_forward_is_refused():
    with pytest.raises(ValueError, match=r"model computes in torch.bfloat16 within forward"):
        ls.Problem(Casting(), (X.float(), Y))


def test_complex_parameters_are_refused():
    model = nn.Linear(6, 3)
    model.turn = nn.Parameter(torch.ones(3, dtype=torch.cfloat))
    with pytest.raises(TypeError, match="model has the complex parameter 'turn'"):
        ls.Problem(model, (X.float(), Y))


def bag_of(layer, ids):
    return embedding_bag(ids, layer.weight)


@pytest.mark.parametrize("operator", [ls.Hessian, ls.GaussNewton, ls.LogitJacobian])
def test_what_has_no_second_derivative_is_refused_at_construction(operator):
    model = OfTokens(nn.Embedding(7, 5)).double()
    model.layer.forward = partial(bag_of, model.layer)
    problem = ls.Problem(model, (IDS, Y))
    with pytest.raises(ls.products.WrongDerivativeError, match="_embedding_bag"):
        operator(problem)
    v = torch.ones(problem.num_params, dtype=torch.float64)
    assert (ls.Hessian(problem, method="finite_difference") @ v).isfinite().all()
