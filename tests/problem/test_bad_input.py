"""Bad input is refused at the door, in one sentence that names the culprit."""

import re

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

import landscope as ls
from tests.reference.networks import CASES, function_logits, function_parameters

CASE = CASES["mlp"]
INPUTS, TARGETS = CASE.data()


def refused(build, *culprits, errors=(TypeError, ValueError)):
    """Assert that ``build()`` is refused and that the message holds every pattern."""
    with pytest.raises(errors) as caught:
        build()
    message = str(caught.value)
    for culprit in culprits:
        assert re.search(culprit, message), f"{message!r} does not name {culprit!r}"
    return message


def test_a_one_shot_generator():
    batches = ((INPUTS[i : i + 4], TARGETS[i : i + 4]) for i in (0, 4, 8))
    refused(lambda: ls.Problem(CASE.model(), batches), "data", "generator|one-shot|iterator")


def test_a_one_shot_iterator_over_a_loader():
    loader = DataLoader(TensorDataset(INPUTS, TARGETS), batch_size=4)
    refused(lambda: ls.Problem(CASE.model(), iter(loader)), "data")


class OneShot:
    """Iterable, but its second pass is empty."""

    def __init__(self):
        self.batches = iter([(INPUTS, TARGETS)])

    def __iter__(self):
        return self.batches


def test_an_iterable_whose_second_pass_is_empty():
    refused(lambda: ls.Problem(CASE.model(), OneShot()), "data")


def test_dropout_in_training_mode():
    net = nn.Sequential(nn.Linear(5, 7), nn.Sequential(nn.Tanh(), nn.Dropout(0.5)), nn.Linear(7, 4))
    net = net.double()
    refused(lambda: ls.Problem(net.train(), (INPUTS, TARGETS)), r"1\.1", "(?i)dropout", "eval")
    ls.Problem(net.eval(), (INPUTS, TARGETS)).loss()


def test_dropout_of_nothing_is_no_randomness():
    net = nn.Sequential(nn.Linear(5, 7), nn.Dropout(0.0), nn.Linear(7, 4)).double().train()
    ls.Problem(net, (INPUTS, TARGETS)).loss()


def test_batch_norm_in_training_mode():
    net = nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7), nn.Linear(7, 4)).double()
    before = net[1].running_mean.clone()
    refused(lambda: ls.Problem(net.train(), (INPUTS, TARGETS)), r"\b1\b", "(?i)batch.?norm", "eval")
    assert torch.equal(net[1].running_mean, before)
    assert int(net[1].num_batches_tracked) == 0


class Noisy(nn.Module):
    """Random by a functional call that no module shows."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(5, 4)

    def forward(self, x):
        return self.layer(nn.functional.dropout(x, 0.5, training=True))


def test_a_model_random_by_a_functional_call():
    model, state = Noisy().double(), torch.random.get_rng_state()
    refused(lambda: ls.Problem(model, (INPUTS, TARGETS)), "model", "random|differ")
    assert torch.equal(torch.random.get_rng_state(), state)


class Augmented(Dataset):
    """Adds noise to every image that it hands out."""

    def __len__(self):
        return len(INPUTS)

    def __getitem__(self, index):
        noise = 0.1 * torch.randn(5, dtype=torch.float64)
        return INPUTS[index] + noise, TARGETS[index]


@pytest.mark.parametrize("wrap", [lambda d: d, lambda d: DataLoader(d, batch_size=5)])
def test_random_augmentation(wrap):
    refused(lambda: ls.Problem(CASE.model(), wrap(Augmented())), "data", "random|differ|augment")


@pytest.mark.parametrize("label", [4, -1, 77])
def test_a_label_out_of_range(label):
    targets = TARGETS.clone()
    targets[9] = label
    refused(
        lambda: ls.Problem(CASE.model(), (INPUTS, targets), batch_size=5),
        "target|label",
        re.escape(str(label)),
        r"\b3\b|\b4\b",  # the accepted range
    )


def test_the_label_out_of_range_is_found_by_its_index():
    targets = TARGETS.clone()
    targets[9] = 4
    refused(lambda: ls.Problem(CASE.model(), (INPUTS, targets)), r"\b9\b")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_number_in_the_data_that_is_not_finite(value):
    inputs = INPUTS.clone()
    inputs[7, 2] = value
    refused(
        lambda: ls.Problem(CASE.model(), (inputs, TARGETS), batch_size=4),
        "data|input",
        "(?i)nan|inf|finite",
        r"\b7\b|\b1\b",  # the example, or its batch
    )


def test_a_weight_that_is_not_finite():
    model = CASE.model()
    with torch.no_grad():
        model[2].bias[1] = float("nan")
    refused(lambda: ls.Problem(model, (INPUTS, TARGETS)), r"2\.bias", "(?i)nan|finite")


class Masked(nn.Module):
    """An additive mask of minus infinities, as causal models keep it."""

    def __init__(self):
        super().__init__()
        self.scores = nn.Linear(5, 4)
        self.register_buffer("mask", torch.zeros(5).masked_fill(torch.arange(5) > 2, -torch.inf))

    def forward(self, x):
        return self.scores((x + self.mask).softmax(dim=1))


def test_a_mask_of_minus_infinity_in_a_buffer_is_no_bad_input():
    ls.Problem(Masked().double(), (INPUTS, TARGETS)).gradient()


def test_a_point_that_is_not_finite():
    problem = ls.Problem(CASE.model(), (INPUTS, TARGETS))
    vector = problem.parameters_vector().clone()
    vector[3] = float("nan")
    refused(lambda: problem.at(vector).loss(), "(?i)nan|finite")


@pytest.mark.parametrize(
    "data",
    [(INPUTS[:0], TARGETS[:0]), [], TensorDataset(INPUTS[:0], TARGETS[:0])],
    ids=["pair", "list", "dataset"],
)
def test_an_empty_data_set(data):
    refused(lambda: ls.Problem(CASE.model(), data), "data", "empty|no example")


def test_padding_alone_is_empty_too():
    refused(
        lambda: ls.Problem(CASE.model(), (INPUTS, torch.full_like(TARGETS, -100))),
        "target|data",
        "(?i)empty|no |ignore",
    )


def test_mismatched_lengths():
    refused(lambda: ls.Problem(CASE.model(), (INPUTS, TARGETS[:9])), "data|target", r"12", r"9")


def test_mismatched_lengths_in_one_batch():
    batches = [(INPUTS[:4], TARGETS[:4]), (INPUTS[4:], TARGETS[4:9])]
    refused(lambda: ls.Problem(CASE.model(), batches), "data|target|batch", "8", "5")


def test_a_parameter_on_another_device():
    model = CASE.model()
    model[2].weight = nn.Parameter(model[2].weight.detach().to("meta"))
    refused(lambda: ls.Problem(model, (INPUTS, TARGETS)), r"2\.weight", "meta", "cpu")


def test_targets_on_another_device():
    refused(lambda: ls.Problem(CASE.model(), (INPUTS, TARGETS.to("meta"))), "data|target", "meta")


def test_inputs_on_another_device():
    refused(lambda: ls.Problem(CASE.model(), (INPUTS.to("meta"), TARGETS)), "data|input", "meta")


def test_a_model_that_returns_a_tuple():
    class Pair(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = CASE.model()

        def forward(self, x):
            return self.inner(x), x

    refused(lambda: ls.Problem(Pair(), (INPUTS, TARGETS)), "returned a tuple", "forward=")

    def first(model, batch):
        return model(batch[0])[0], batch[1]

    expected = ls.Problem(CASE.model(), (INPUTS, TARGETS)).loss()
    torch.testing.assert_close(
        ls.Problem(Pair(), (INPUTS, TARGETS), forward=first).loss(), expected
    )


@pytest.mark.parametrize("length", [0, 1, 117, 119])
def test_a_point_of_the_wrong_length(length):
    problem = ls.Problem(CASE.model(), (INPUTS, TARGETS))
    assert length != problem.num_params
    refused(
        lambda: problem.at(torch.zeros(length, dtype=torch.float64)),
        rf"\b{length}\b",
        rf"\b{problem.num_params}\b",
    )


def test_a_model_of_another_structure():
    problem = ls.Problem(CASE.model(), (INPUTS, TARGETS))
    refused(lambda: problem.at(nn.Linear(5, 4).double()), "model|where|structure|parameter")


def test_a_point_of_another_kind():
    problem = ls.Problem(CASE.model(), (INPUTS, TARGETS))
    refused(lambda: problem.at("best"), "str|best")


@pytest.mark.parametrize(
    "operator", ["Hessian", "GaussNewton", "LogitCurvature", "EmpiricalFisher", "LogitJacobian"]
)
@pytest.mark.parametrize("shape", [(117,), (119,), (117, 2), ()])
def test_a_vector_of_the_wrong_length(operator, shape):
    problem = ls.Problem(CASE.model(), (INPUTS, TARGETS))
    A = getattr(ls, operator)(problem)
    refused(
        lambda: A @ torch.zeros(shape, dtype=torch.float64),
        *(rf"\b{length}\b" for length in shape[:1]),
        rf"\b{problem.num_params}\b",
    )


def test_an_unknown_loss():
    refused(
        lambda: ls.Problem(CASE.model(), (INPUTS, TARGETS), loss="hinge"),
        "loss",
        "hinge",
        "cross_entropy",
        "mse",
    )


def test_a_loss_that_is_no_loss():
    for loss in (nn.L1Loss(), nn.L1Loss, nn.TripletMarginLoss(), 3.5, "l2"):
        refused(lambda loss=loss: ls.Problem(CASE.model(), (INPUTS, TARGETS), loss=loss), "loss")


@pytest.mark.parametrize(
    ("params", "culprit"),
    [([], "params"), (["encoder"], "encoder"), (lambda name: False, "params")],
    ids=["none", "unknown", "predicate"],
)
def test_an_empty_selection(params, culprit):
    refused(lambda: ls.Problem(CASE.model(), (INPUTS, TARGETS), params=params), "params", culprit)


def test_a_model_without_trainable_parameters():
    refused(lambda: ls.Problem(CASE.model().requires_grad_(False), (INPUTS, TARGETS)), "param")


def test_a_function_without_its_parameters():
    x = torch.zeros(3, 4, dtype=torch.float64)
    refused(lambda: ls.Problem(function_logits, (x, torch.tensor([0, 1, 2]))), "param")


def test_a_model_that_is_no_model():
    refused(lambda: ls.Problem(3, (INPUTS, TARGETS)), "model", "int")


def test_data_that_are_no_data():
    refused(lambda: ls.Problem(CASE.model(), 3), "data", "int")
    refused(lambda: ls.Problem(CASE.model(), INPUTS), "data", "Tensor")


@pytest.mark.parametrize("batch_size", [0, -3])
def test_a_batch_size_below_one(batch_size):
    refused(
        lambda: ls.Problem(CASE.model(), (INPUTS, TARGETS), batch_size=batch_size),
        "batch_size",
        str(batch_size),
    )


@pytest.mark.parametrize("weight_decay", [-0.1, float("nan")])
def test_a_weight_decay_that_is_none(weight_decay):
    refused(
        lambda: ls.Problem(CASE.model(), (INPUTS, TARGETS), weight_decay=weight_decay),
        "weight_decay",
    )


def test_a_dtype_without_fractions():
    refused(
        lambda: ls.Problem(CASE.model(), (INPUTS, TARGETS), dtype=torch.int64), "dtype", "int64"
    )


def test_targets_that_do_not_fit_the_logits():
    y = torch.zeros(12, 3, dtype=torch.float64)
    refused(lambda: ls.Problem(CASE.model(), (INPUTS, y), loss="mse"), "target", "3", "4")


def test_messages_are_one_sentence():
    messages = [
        refused(lambda: ls.Problem(CASE.model(), (INPUTS, TARGETS), loss="hinge")),
        refused(lambda: ls.Problem(CASE.model(), (INPUTS, TARGETS[:9]))),
        refused(lambda: ls.Problem(CASE.model(), [])),
        refused(lambda: ls.Problem(CASE.model(), (INPUTS, TARGETS), params=["encoder"])),
    ]
    for message in messages:
        assert "\n" not in message
        assert len(message) < 300


def test_parameters_of_a_function_are_kept_apart_from_the_callers():
    parameters = function_parameters()
    x = torch.zeros(3, 4, dtype=torch.float64) + 1
    problem = ls.Problem(function_logits, (x, torch.tensor([0, 1, 2])), params=parameters)
    loss = float(problem.loss())
    parameters["first"].zero_()
    assert float(problem.loss()) == loss


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("options", "culprit"),
    [
        ({"weight_decay": "a"}, "weight_decay is 'a'"),
        ({"params": 3}, "params is 3"),
        ({"params": [3]}, r"params is \[3\]"),
        ({"batch_size": 2.5}, "batch_size is 2.5"),
        ({"batch_statistics": "no"}, "batch_statistics is 'no'"),
        ({"device": "nonsense"}, "device is 'nonsense'"),
        ({"loss": nn.CrossEntropyLoss(torch.ones(3))}, "3 class weights and the model 2 logits"),
        ({"loss": nn.CrossEntropyLoss(torch.tensor([1.0, -1.0]))}, "the class weight -1"),
        ({"loss": nn.CrossEntropyLoss(torch.zeros(2))}, "weight 0"),
        ({"loss": nn.CrossEntropyLoss(label_smoothing=1.5)}, "label_smoothing of loss is 1.5"),
    ],
)
def test_an_option_that_is_none(options, culprit):
    data = torch.randn(6, 3), torch.arange(6) % 2
    refused(lambda: ls.Problem(nn.Linear(3, 2), data, **options), culprit)


def test_the_cross_entropy_of_a_single_logit():
    data = torch.randn(6, 3), torch.zeros(6, dtype=torch.int64)
    refused(lambda: ls.Problem(nn.Linear(3, 1), data), "1 logit", "one logit for each class")


def test_negative_probabilities():
    data = torch.randn(6, 3), torch.tensor([[1.5, -0.5]] * 6)
    refused(lambda: ls.Problem(nn.Linear(3, 2), data), "-0.5 in batch 0", "probabilities")


def test_whole_numbers_for_a_model_of_fractions():
    data = torch.ones(6, 3, dtype=torch.int64), torch.arange(6) % 2
    refused(lambda: ls.Problem(nn.Linear(3, 2), data), "batch 0", "int64", r"x\.float\(\)")


def test_arrays_that_are_no_numbers():
    data = np.array([["a"] * 3] * 6), np.arange(6) % 2
    refused(lambda: ls.Problem(nn.Linear(3, 2), data), "<U1", "arrays of numbers")


def test_a_lazy_module_before_its_first_pass():
    with pytest.raises(ValueError, match=r"model has '0\.weight' of a lazy module"):
        ls.Problem(nn.Sequential(nn.LazyLinear(3)), (torch.randn(6, 4), torch.arange(6) % 3))
