"""What needs classes is left out where there are none; labels have quantities of their own."""

import math

import pytest
import torch
from torch import nn

import landscope as ls
from landscope.geometry import accuracy, label_probabilities

N, C = 12, 3
PARTS = ["probabilities", "clustering"]


def drawn(loss, targets):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        model = nn.Linear(2, C).double()
        x = torch.randn(N, 2, dtype=torch.float64)
    return model, x, ls.Problem(model, (x, targets(x)), loss=loss, batch_size=5)


def regression(loss="mse"):
    return drawn(loss, lambda x: x @ torch.ones(2, C, dtype=torch.float64))


def test_a_regression_has_no_classes():
    _, _, problem = regression()
    for measurement in (
        ls.class_probabilities, ls.class_decomposition, ls.fit_random_model, accuracy,
        label_probabilities,
    ):  # fmt: skip
        with pytest.raises(ValueError, match="problem has the loss MeanSquaredError"):
            measurement(problem)


def test_what_is_left_out_of_a_regression_is_named_and_the_rest_stays():
    _, x, problem = regression("huber")
    with pytest.warns(UserWarning, match="leaves out"):
        found = ls.measure(problem, parts=PARTS)
    assert not {"accuracy", "entropy", "probabilities", "q_slsc", "clustering_table"} & set(found)
    assert "probabilities: problem has the loss HuberLoss" in found.attrs["failures"]
    assert "clustering by class: problem has the loss HuberLoss" in found.attrs["failures"]
    assert found.loss.units == "loss"
    # Of a linear model, gradients of the same output have the cosine of (x, 1), of others 0.
    ones = torch.cat([x, torch.ones(N, 1, dtype=torch.float64)], 1)
    unit = ones / ones.norm(dim=1, keepdim=True)
    cosines = unit @ unit.T
    expected = (cosines.sum() - N) / (N * (N - 1))
    assert float(found.q_sl) == pytest.approx(float(expected), rel=1e-10)
    assert float(found.q_dl) == pytest.approx(0.0, abs=1e-12)


def test_clustering_by_class_is_unknown_without_classes():
    _, _, problem = regression()
    found = ls.logit_clustering(problem, logits=2)
    assert math.isnan(found.q_slsc)
    assert found.table.shape == (2, 2, 2, 2)
    assert bool(found.table.isnan().all())
    assert found.num_classes_counted == 0


@pytest.mark.parametrize("one_hot", [False, True])
def test_a_squared_error_on_classes_has_an_accuracy_and_no_entropy(one_hot):
    labels = torch.arange(N) % C
    targets = nn.functional.one_hot(labels).double() if one_hot else labels
    model, x, problem = drawn("mse", lambda _: targets)
    with pytest.warns(UserWarning, match="no probabilities"):
        found = ls.measure(problem, parts=PARTS)
    expected = float((model(x).argmax(1) == labels).double().mean())
    assert float(found.accuracy) == float(accuracy(problem)) == expected
    assert "entropy" not in found
    assert float(found.q_slsc) == ls.logit_clustering(problem).q_slsc


def test_labels_have_their_own_entropy_and_accuracy():
    model, x, problem = drawn(
        "bce_with_logits", lambda x: (x @ torch.ones(2, C).double() > 0) * 1.0
    )
    y = problem.targets()
    with pytest.warns(UserWarning, match="clustering by class"):
        found = ls.measure(problem, parts=PARTS)
    p = model(x).sigmoid().detach()
    entropy = -(p * p.log() + (1 - p) * (1 - p).log()).mean()
    assert float(found.label_entropy) == pytest.approx(float(entropy), rel=1e-12)
    right = (p > 0.5) == (y > 0.5)
    assert float(found.label_accuracy) == pytest.approx(float(right.double().mean()), rel=1e-12)
    assert float(found.exact_match) == float(right.all(1).double().mean())
    assert not {"accuracy", "entropy", "q_slsc"} & set(found)
    with pytest.raises(ValueError, match="BCEWithLogitsLoss"):
        ls.class_probabilities(problem)


def test_a_loss_of_ones_own_may_say_that_it_predicts_classes():
    def focal(z, y):
        plain = nn.functional.cross_entropy(z, y, reduction="none")
        return (1 - (-plain).exp()) * plain

    model, x, problem = drawn(focal, lambda _: torch.arange(N) % C)
    with pytest.raises(ValueError, match="predicts = 'class'"):
        ls.class_probabilities(problem)
    focal.predicts = "class"
    problem = ls.Problem(model, (x, torch.arange(N) % C), loss=focal)
    p = model(x).softmax(1)
    expected = float(p.square().sum(1).mean())
    assert float(ls.class_probabilities(problem).participation) == pytest.approx(expected)
