"""Layer-wise gradients against rows written out by double backward, for every kind of layer."""

import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

import landscope as ls
from landscope.products import LayerwiseJacobian
from landscope.products.jacobian_rows import rows_of
from tests.reference.dense import relative_error
from tests.reference.networks import CASES, dense, dense_reference


def assembled(
    J: LayerwiseJacobian, factor: Tensor | None = None, max_columns: int | None = None, **options
) -> tuple[Tensor, Tensor, Tensor]:
    """Rows, Gram of each term and sums over two groups with random weights, from the blocks."""
    problem = J.problem
    K = problem.num_classes if factor is None else factor.shape[2]
    N, D = problem.num_examples, problem.num_params
    rows = torch.full((N, K, D), torch.nan, dtype=problem.dtype)
    gram = torch.zeros(N, K, K, dtype=torch.float64)
    sums = torch.zeros(2, 2, K, D, dtype=torch.float64)
    parts = J.parts(max_columns)
    for chunk in J.chunks(parts, factor, **options):
        weights = chunk_weights(N, K)[:, chunk.terms].to(problem.dtype)
        groups = [(chunk.terms % 2 == g).nonzero()[:, 0] for g in range(2)]
        for part, block in zip(parts, chunk.blocks, strict=True):
            rows[chunk.terms[:, None, None], torch.arange(K)[:, None], part.columns] = block.rows()
            gram[chunk.terms] += block.gram().double()
            for g, found in enumerate(block.sums(weights, groups)):
                sums[g][:, :, part.columns] += found.double()
    return rows, gram, sums


def chunk_weights(N: int, K: int) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.randn(2, N, K, dtype=torch.float64, generator=generator)


def check(J: LayerwiseJacobian, reference: Tensor, tolerance: float = 1e-12, **options) -> None:
    rows, gram, sums = assembled(J, **options)
    reference = reference.double()
    N, K, _ = reference.shape
    assert relative_error(rows, reference) < tolerance
    assert relative_error(gram, reference @ reference.mT) < tolerance
    for g in range(2):
        expected = torch.einsum("snk,nkd->skd", chunk_weights(N, K)[:, g::2], reference[g::2])
        assert relative_error(sums[g], expected) < tolerance


EXPLICIT = {
    "tied": {"embedding.weight"},
    "unused": {"spare.weight", "spare.bias"},
    "transformer": {
        f"encoder.self_attn.{name}"
        for name in ("in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias")
    },
    "lstm": {f"lstm.{kind}_l0" for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")},
}


@pytest.mark.parametrize("name", CASES)
def test_every_network(name):
    case = CASES[name]
    problem = ls.Problem(case.model(), case.data(), loss=case.loss, batch_size=4)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", ".*layer-wise.*")
        J = LayerwiseJacobian(problem)
    assert set(J.explicit.parameters) == EXPLICIT.get(name, set())
    check(J, dense(name).per_example_jacobian)
    check(J, dense(name).per_example_jacobian, max_columns=7)


def conv(**options) -> nn.Module:
    return nn.Sequential(nn.Conv2d(4, 6, **options), nn.Tanh(), nn.Flatten(), nn.LazyLinear(3))


class Positions(nn.Module):
    """A sequence with a padded embedding and a linear layer at every position."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(5, 3, padding_idx=1)
        self.each = nn.Linear(3, 4)
        self.norm = nn.LayerNorm((2, 4))
        self.last = nn.Linear(4, 3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        tokens = (x[:, 0, :2, :2].abs() * 3).long() % 5
        return self.last(self.norm(torch.tanh(self.each(self.table(tokens)))).mean(dim=(1, 2)))


class Scale(nn.Module):
    """A layer of no known kind."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.randn(4, 1, 1))

    def forward(self, x: Tensor, power: int = 1) -> Tensor:
        return torch.tanh(self.factor * x) ** power


LAYERS = {
    "conv": lambda: conv(kernel_size=3),
    "conv_stride_dilation": lambda: conv(kernel_size=3, stride=2, padding=2, dilation=2),
    "conv_groups": lambda: conv(kernel_size=(1, 3), groups=2),
    "conv_same_circular": lambda: conv(kernel_size=3, padding="same", padding_mode="circular"),
    "conv_1d": lambda: nn.Sequential(
        nn.Flatten(2), nn.Conv1d(4, 5, 4, stride=3, padding=1), nn.GELU(),
        nn.Conv1d(5, 5, 2, groups=5, bias=False), nn.Flatten(), nn.LazyLinear(3),
    ),
    "in_place": lambda: nn.Sequential(
        nn.Conv2d(4, 3, 3), nn.ReLU(inplace=True), nn.Conv2d(3, 3, 1), nn.ReLU(inplace=True),
        nn.Flatten(), nn.LazyLinear(3),
    ),
    "wide_late_conv": lambda: nn.Sequential(
        nn.AdaptiveAvgPool2d(2), nn.Conv2d(4, 40, 2, padding=1), nn.Tanh(), nn.Flatten(),
        nn.LazyLinear(3),
    ),
    "positions": Positions,
    "other_kinds": lambda: nn.Sequential(
        Scale(), nn.ConvTranspose2d(4, 3, 2), nn.InstanceNorm2d(3, affine=True), nn.Tanh(),
        nn.Flatten(), nn.LazyLinear(3),
    ),
}  # fmt: skip


def built(make) -> tuple[nn.Module, Tensor, Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = make().double()
        inputs = torch.randn(5, 4, 6, 6, dtype=torch.float64)
        model(inputs)
    return model.eval(), inputs, torch.arange(5) % 3


@pytest.mark.parametrize("name", LAYERS)
def test_every_kind_of_layer(name):
    model, inputs, targets = built(LAYERS[name])
    J = LayerwiseJacobian(ls.Problem(model, (inputs, targets)))
    assert not J.explicit.parameters
    check(J, dense_reference(model, inputs, targets).per_example_jacobian, 1e-11)


@pytest.mark.parametrize("chosen", [["0.bias"], ["0.weight"], ["0.bias", "3.weight"]])
def test_chosen_parameters(chosen):
    model, inputs, targets = built(LAYERS["conv"])
    J = LayerwiseJacobian(ls.Problem(model, (inputs, targets), params=chosen))
    reference = dense_reference(model, inputs, targets, names=chosen)
    check(J, reference.per_example_jacobian)


def test_at_other_weights_and_statistics():
    case = CASES["batch_norm"]
    model, other = case.model(), case.model()
    with torch.no_grad():
        for tensor in (*other.parameters(), other[1].running_mean):
            tensor.add_(0.3)
    problem = ls.Problem(model, case.data()).at(other)
    check(LayerwiseJacobian(problem), dense_reference(other, *case.data()).per_example_jacobian)


class TwoCalls(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.twice = nn.Linear(4, 4)
        self.last = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.tanh(self.twice(torch.tanh(self.twice(x)))))


class BorrowedWeight(nn.Module):
    """One call of the module, and a second use of its weight that no hook sees."""

    def __init__(self) -> None:
        super().__init__()
        self.borrowed = nn.Linear(4, 4)
        self.last = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.tanh(self.borrowed(x) + 0.1 * F.linear(x, self.borrowed.weight)))


class SequenceFirst(nn.Module):
    """Examples along the second dimension inside; there are as many positions as examples."""

    def __init__(self) -> None:
        super().__init__()
        self.each = nn.Linear(2, 3)
        self.last = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.tanh(self.each(x.unflatten(1, (2, 2)).transpose(0, 1))).mean(0))


def vectors(num: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)
    return torch.randn(num, 4, dtype=torch.float64, generator=generator), torch.arange(num) % 3


@pytest.mark.parametrize(
    ("make", "num", "explicit"),
    [
        (TwoCalls, 6, {"twice.weight", "twice.bias"}),
        (SequenceFirst, 2, None),
        (SequenceFirst, 5, {"each.weight", "each.bias"}),
    ],
)
def test_what_no_call_explains_is_explicit(make, num, explicit):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        model = make().double()
    J = LayerwiseJacobian(ls.Problem(model, vectors(num)))
    if explicit is not None:
        assert set(J.explicit.parameters) == explicit
    check(J, dense_reference(model, *vectors(num)).per_example_jacobian)


def test_the_self_check_finds_a_weight_used_twice():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        model = BorrowedWeight().double()
    problem = ls.Problem(model, vectors(6))
    with pytest.warns(UserWarning, match="borrowed"):
        J = LayerwiseJacobian(problem)
    assert set(J.explicit.parameters) == {"borrowed.weight", "borrowed.bias"}
    reference = dense_reference(model, *vectors(6)).per_example_jacobian
    check(J, reference)
    wrong = LayerwiseJacobian(problem, self_check=False)
    assert relative_error(assembled(wrong)[0], reference) > 1e-3


class Switching(nn.Module):
    """Calls a layer only for large batches, without a change of the logits."""

    def __init__(self) -> None:
        super().__init__()
        self.sometimes = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        if len(x) <= 3:
            return self.sometimes(x)
        return F.linear(x, self.sometimes.weight, self.sometimes.bias)


def test_a_layer_that_is_called_otherwise_later_on():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        model = Switching().double()
    J = LayerwiseJacobian(ls.Problem(model, vectors(8)), self_check=False)
    with pytest.warns(UserWarning, match="calls 'sometimes' otherwise"):
        check(J, dense_reference(model, *vectors(8)).per_example_jacobian)


def test_a_function_is_explicit():
    generator = torch.Generator().manual_seed(3)
    weights = {"A": torch.randn(4, 3, dtype=torch.float64, generator=generator)}
    problem = ls.Problem(lambda w, x: torch.tanh(x @ w["A"]), vectors(5), params=weights)
    J = LayerwiseJacobian(problem)
    assert not J.layers
    check(J, rows_of(problem, problem.batches[0], ["A"]))


@settings(max_examples=6)
@given(order=st.permutations(range(9)), batch_size=st.integers(1, 9))
def test_order_and_batches_do_not_matter(order, batch_size):
    case = CASES["group_norm"]
    problem = ls.Problem(case.model(), case.data(), batch_size=batch_size)
    J = LayerwiseJacobian(problem)
    check(J, dense("group_norm").per_example_jacobian, order=torch.tensor(order))


@pytest.mark.parametrize("name", ["mlp", "attention", "lstm"])
def test_factors_of_each_term(name):
    case, d = CASES[name], dense(name)
    generator = torch.Generator().manual_seed(0)
    shape = d.num_examples, d.num_classes, 2
    S = torch.randn(shape, dtype=torch.float64, generator=generator)
    J = LayerwiseJacobian(ls.Problem(case.model(), case.data()))
    check(J, S.mT @ d.per_example_jacobian, factor=S)


def test_sequences_of_several_lengths_in_a_list_of_batches():
    case = CASES["attention"]
    tokens, labels = case.data()
    batches = [(tokens[:2], labels[:2]), (tokens[2:, :4], labels[2:, :4])]
    problem = ls.Problem(case.model(), batches)
    names = [name for name, _ in case.model().named_parameters()]
    reference = torch.cat([rows_of(problem, batch, names) for batch in problem.batches])
    check(LayerwiseJacobian(problem), reference)


def test_float32():
    case = CASES["conv"]
    inputs, targets = case.data()
    problem = ls.Problem(case.model().float(), (inputs.float(), targets))
    check(LayerwiseJacobian(problem), dense("conv").per_example_jacobian, 1e-5)
