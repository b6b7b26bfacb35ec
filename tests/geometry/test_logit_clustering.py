"""Clustering without pairs against explicit loops over pairs, and what must not change it."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import landscope as ls
from landscope.products import jacobian_rows
from landscope.zoo import make_network
from tests.reference.clustering import Clustering
from tests.reference.dense import relative_error
from tests.reference.networks import CASES, dense, dense_reference, without_biases

CLASSIFIERS = [name for name in CASES if name != "mse"]
NUMBERS = ("q_slsc", "q_sl", "q_dl", "q_dl_abs", "sigma_c", "sigma_e")


def check(measured, brute):
    """Every field against brute force to 1e-10."""
    for name in NUMBERS:
        assert getattr(measured, name) == pytest.approx(
            getattr(brute, name)(), abs=1e-10, nan_ok=True
        ), name
    table = brute.table()
    assert measured.table.shape == table.shape
    assert torch.equal(measured.table.isnan(), table.isnan())
    assert torch.allclose(measured.table, table, rtol=0, atol=1e-10, equal_nan=True)
    assert relative_error(measured.norms, brute.norms) < 1e-10
    assert relative_error(measured.centroids_gram, brute.centroids_gram()) < 1e-10


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_brute_force(name):
    case, d = CASES[name], dense(name)
    problem = ls.Problem(case.model(), case.data(), batch_size=4)
    check(ls.logit_clustering(problem), Clustering(d.per_example_jacobian, d.targets))


LABELS = {
    "unequal": [0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 3],
    "one_example": [0] * 6 + [1] * 4 + [2] + [3],
    "absent_class": [0, 1, 0, 1, 0, 1, 2, 2, 0, 1, 2, 0],
    "one_class": [2] * 12,
    "a_pair_in_one": [0, 0] + [1] * 1 + [2] * 1 + [3] * 8,
}


@pytest.mark.parametrize("labels", LABELS)
def test_unequal_classes(labels):
    case = CASES["mlp"]
    inputs, targets = case.data()[0], torch.tensor(LABELS[labels])
    measured = ls.logit_clustering(ls.Problem(case.model(), (inputs, targets)))
    brute = Clustering(dense("mlp").per_example_jacobian, targets)
    check(measured, brute)
    counts = targets.bincount(minlength=4)
    assert torch.equal(measured.class_counts, counts)
    assert measured.num_classes_counted == int((counts >= 2).sum())


def test_no_class_has_two_examples():
    case = CASES["mlp"]
    problem = ls.Problem(case.model(), (case.data()[0][:4], torch.arange(4)))
    measured = ls.logit_clustering(problem)
    assert measured.q_slsc != measured.q_slsc  # nan: no class counts
    assert measured.num_classes_counted == 0
    check(measured, Clustering(dense("mlp").per_example_jacobian[:4], torch.arange(4)))


def test_dead_logits_are_left_out_and_counted():
    # Without biases an example that no hidden unit sees has logits without gradient.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = without_biases().double()
    inputs = torch.randn(12, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    inputs[3] = 0.0
    inputs[8] = 0.0
    targets = torch.arange(12) % 3
    d = dense_reference(model, inputs, targets)
    brute = Clustering(d.per_example_jacobian, targets)
    dead = int((brute.norms == 0).sum())
    assert dead >= 6
    measured = ls.logit_clustering(ls.Problem(model, (inputs, targets)))
    assert measured.num_dead == dead
    check(measured, brute)


def test_a_network_that_is_dead_throughout():
    model = nn.Linear(3, 2, bias=False).double()
    data = torch.zeros(4, 3, dtype=torch.float64), torch.tensor([0, 1, 0, 1])
    measured = ls.logit_clustering(ls.Problem(model, data))
    assert measured.num_dead == 8
    assert measured.q_sl != measured.q_sl
    assert measured.sigma_c == 0.0
    assert measured.sigma_e == 0.0


@given(order=st.permutations(range(12)), batch_size=st.integers(1, 12))
@settings(max_examples=5)
def test_order_and_batching_do_not_matter(order, batch_size):
    case = CASES["mlp"]
    inputs, targets = case.data()
    problem = ls.Problem(case.model(), (inputs[order], targets[order]), batch_size=batch_size)
    measured = ls.logit_clustering(problem)
    d = dense("mlp")
    brute = Clustering(d.per_example_jacobian, d.targets)
    for name in NUMBERS:
        assert getattr(measured, name) == pytest.approx(getattr(brute, name)(), abs=1e-12), name
    assert relative_error(measured.norms, brute.norms[order]) < 1e-12


@given(scale=st.floats(0.01, 100))
@settings(max_examples=3)
@pytest.mark.usefixtures("unchecked")
def test_scaling_the_logits_scales_lengths_and_leaves_angles(scale):
    case = CASES["mlp"]

    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = case.model()

        def forward(self, x):
            return scale * self.net(x)

    one = ls.logit_clustering(ls.Problem(case.model(), case.data()))
    scaled = ls.logit_clustering(ls.Problem(Scaled(), case.data()))
    for name in ("q_slsc", "q_sl", "q_dl", "q_dl_abs"):
        assert getattr(scaled, name) == pytest.approx(getattr(one, name), abs=1e-10)
    for name in ("sigma_c", "sigma_e"):
        assert getattr(scaled, name) == pytest.approx(scale * getattr(one, name), rel=1e-9)


def test_relabelling_the_logits_permutes_the_table():
    case = CASES["mlp"]
    permutation = torch.tensor([2, 0, 3, 1])
    model = case.model()
    with torch.no_grad():
        model[4].weight.copy_(model[4].weight[permutation])
        model[4].bias.copy_(model[4].bias[permutation])
    inputs, targets = case.data()
    inverse = permutation.argsort()
    one = ls.logit_clustering(ls.Problem(case.model(), (inputs, targets)))
    other = ls.logit_clustering(ls.Problem(model, (inputs, inverse[targets])))
    assert other.q_slsc == pytest.approx(one.q_slsc, abs=1e-12)
    assert other.q_dl == pytest.approx(one.q_dl, abs=1e-12)
    p = permutation
    expected = one.table[p][:, p][:, :, p][:, :, :, p]
    assert torch.allclose(other.table, expected, rtol=0, atol=1e-12, equal_nan=True)


def test_one_example_or_one_logit_is_refused():
    case = CASES["mlp"]
    inputs, targets = case.data()
    with pytest.raises(ValueError, match="example"):
        ls.logit_clustering(ls.Problem(case.model(), (inputs[:1], targets[:1])))
    single = nn.Linear(5, 1).double()
    with pytest.raises(ValueError, match="logit"):
        ls.logit_clustering(ls.Problem(single, (inputs, inputs[:, :1]), loss="mse"))


@pytest.mark.parametrize(
    ("memory_limit", "name"),
    [(20_000, name) for name in ("conv", "attention", "lstm")]
    + [(1, name) for name in ("mlp", "tied")]
    + [pytest.param(20_000, name, marks=pytest.mark.slow) for name in ("mlp", "tied")]
    + [pytest.param(1, name, marks=pytest.mark.slow) for name in ("conv", "attention", "lstm")],
)
def test_a_memory_limit_changes_nothing(name, memory_limit):
    case, d = CASES[name], dense(name)
    problem = ls.Problem(case.model(), case.data(), batch_size=4)
    measured = ls.logit_clustering(problem, memory_limit=memory_limit)
    check(measured, Clustering(d.per_example_jacobian, d.targets))
    assert relative_error(measured.centroids, d.per_example_jacobian.mean(0)) < 1e-12


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_float32(name):
    case, d = CASES[name], dense(name)
    inputs, targets = case.data()
    inputs = inputs.float() if inputs.is_floating_point() else inputs
    measured = ls.logit_clustering(ls.Problem(case.model().float(), (inputs, targets)))
    brute = Clustering(d.per_example_jacobian, d.targets)
    for number in ("q_slsc", "q_sl", "q_dl"):
        assert getattr(measured, number) == pytest.approx(getattr(brute, number)(), abs=1e-5)
    assert relative_error(measured.norms, brute.norms) < 1e-5
    assert relative_error(measured.centroids_gram, brute.centroids_gram()) < 1e-5


@pytest.mark.parametrize("normalization", ["group", "batch", "none"])
@pytest.mark.usefixtures("unchecked")
def test_resnet_20(normalization):
    with torch.random.fork_rng(devices=[]):
        network = make_network("resnet20", (3, 4, 4), 2, seed=0, normalization=normalization)
        network = network.double().eval()
        inputs = torch.randn(5, 3, 4, 4, dtype=torch.float64)
    labels = torch.arange(5) % 2
    problem = ls.Problem(network, (inputs, labels))
    J = torch.cat(list(jacobian_rows(problem)))
    check(ls.logit_clustering(problem), Clustering(J, labels))
