"""Every accepted form of data gives the same numbers; how it is cut into batches never matters."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

import landscope as ls
from tests.reference.dense import product_error, relative_error
from tests.reference.networks import CASES, IGNORE, dense, dense_reference

CASE = CASES["conv"]
INPUTS, TARGETS = CASE.data()


class Dictionaries(nn.Module):
    """A model called by keyword whose output has .logits."""

    def __init__(self) -> None:
        super().__init__()
        self.net = CASE.model()

    def forward(self, pixels, mask=None):
        return {"logits": self.net(pixels if mask is None else pixels * mask)}


class Indexed(Dataset):
    """A map-style data set."""

    def __len__(self):
        return len(INPUTS)

    def __getitem__(self, index):
        return INPUTS[index], int(TARGETS[index])


class Folder:
    """A re-iterable that is no loader and no list."""

    def __iter__(self):
        return iter([(INPUTS[:4], TARGETS[:4]), (INPUTS[4:], TARGETS[4:])])


def shuffled():
    return DataLoader(
        TensorDataset(INPUTS, TARGETS),
        batch_size=3,
        shuffle=True,
        generator=torch.Generator().manual_seed(5),
    )


FORMS = {
    "pair": lambda: (INPUTS, TARGETS),
    "list_pair": lambda: [INPUTS, TARGETS],
    "dataset": Indexed,
    "tensor_dataset": lambda: TensorDataset(INPUTS, TARGETS),
    "ragged_loader": lambda: DataLoader(Indexed(), batch_size=4),
    "shuffled_loader": shuffled,
    "batches": lambda: [(INPUTS[:8], TARGETS[:8]), (INPUTS[8:], TARGETS[8:])],
    "batches_as_lists": lambda: [[INPUTS[:8], TARGETS[:8]], [INPUTS[8:], TARGETS[8:]]],
    "one_batch": lambda: [(INPUTS, TARGETS)],
    "re_iterable": Folder,
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("batch_size", [None, 3])
def test_every_form_of_data_is_the_same_problem(form, batch_size):
    reference = dense("conv")
    problem = ls.Problem(CASE.model(), FORMS[form](), batch_size=batch_size)
    assert problem.num_examples == len(INPUTS)
    assert problem.num_classes == 3
    assert problem.num_params == reference.num_params
    assert float(problem.loss()) == pytest.approx(float(reference.loss), rel=1e-12)
    assert relative_error(problem.gradient(), reference.gradient) < 1e-12


def test_dictionary_batches():
    mask = torch.ones_like(INPUTS)
    batches = [
        {"pixels": INPUTS[:7], "mask": mask[:7], "labels": TARGETS[:7]},
        {"pixels": INPUTS[7:], "mask": mask[7:], "labels": TARGETS[7:]},
    ]
    problem = ls.Problem(Dictionaries().double(), batches)
    assert relative_error(problem.gradient(), dense("conv").gradient) < 1e-12


def test_forward_says_how_to_read_a_batch():
    batches = [{"image": INPUTS[i : i + 4], "digit": TARGETS[i : i + 4]} for i in (0, 4, 8)]
    problem = ls.Problem(
        CASE.model(), batches, forward=lambda model, batch: (model(batch["image"]), batch["digit"])
    )
    assert relative_error(problem.gradient(), dense("conv").gradient) < 1e-12


@pytest.mark.parametrize("form", FORMS)
def test_each_row_of_logits_keeps_its_own_target(form):
    problem = ls.Problem(CASE.model(), FORMS[form]())
    distances, match = torch.cdist(problem.logits(), dense("conv").z).min(dim=1)
    assert float(distances.max()) < 1e-12
    assert sorted(match.tolist()) == list(range(len(TARGETS)))
    assert torch.equal(problem.targets(), TARGETS[match])


@given(sizes=st.lists(st.integers(1, 10), min_size=1, max_size=10))
def test_any_partition_gives_the_same_loss_gradient_and_product(sizes):
    cuts = sorted({min(sum(sizes[: i + 1]), 10) for i in range(len(sizes))} | {10})
    starts = [0, *cuts[:-1]]
    batches = [(INPUTS[i:j], TARGETS[i:j]) for i, j in zip(starts, cuts, strict=True)]
    reference = dense("conv")
    problem = ls.Problem(CASE.model(), batches)
    vector = torch.randn(
        problem.num_params, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
    )
    assert float(problem.loss()) == pytest.approx(float(reference.loss), rel=1e-12)
    assert relative_error(problem.gradient(), reference.gradient) < 1e-12
    assert relative_error(ls.Hessian(problem) @ vector, reference.hessian @ vector) < 1e-12


def test_batches_of_8_and_2_are_one_batch_of_10():
    one = ls.Problem(CASE.model(), [(INPUTS, TARGETS)])
    two = ls.Problem(CASE.model(), [(INPUTS[:8], TARGETS[:8]), (INPUTS[8:], TARGETS[8:])])
    v = one.gradient()
    assert float(two.loss()) == pytest.approx(float(one.loss()), rel=1e-13)
    assert relative_error(two.gradient(), one.gradient()) < 1e-12
    for operator in (ls.Hessian, ls.GaussNewton, ls.LogitCurvature, ls.EmpiricalFisher):
        assert relative_error(operator(two) @ v, operator(one) @ v) < 1e-12


def token_batches():
    """Two sequences of 12 tokens: all 12 targets valid in one batch, 3 in the other."""
    generator = torch.Generator().manual_seed(2)
    tokens = torch.randint(7, (2, 8), generator=generator)
    tokens = torch.cat([tokens, tokens.flip(0)], dim=0)[:, :6]
    labels = torch.randint(7, (4, 6), generator=generator)
    labels[2:] = IGNORE
    labels[2, 1], labels[3, 0], labels[3, 5] = 3, 1, 6
    return tokens, labels


def test_token_batches_with_12_and_3_valid_targets():
    tokens, labels = token_batches()
    model = CASES["attention"].model()
    reference = dense_reference(model, tokens, labels)
    assert reference.num_examples == 15
    for cut in (4, 2, 1):
        batches = [(tokens[i : i + cut], labels[i : i + cut]) for i in range(0, 4, cut)]
        problem = ls.Problem(model, batches)
        assert problem.num_examples == 15
        assert problem.logits().shape == (15, 7)
        assert torch.equal(problem.targets(), reference.targets)
        assert relative_error(problem.logits(), reference.z) < 1e-12
        assert float(problem.loss()) == pytest.approx(float(reference.loss), rel=1e-13)
        assert relative_error(problem.gradient(), reference.gradient) < 1e-12
        assert product_error(ls.Hessian(problem), reference.hessian) < 1e-12


@pytest.mark.parametrize("position", [0, 1])
def test_a_batch_with_padding_alone_changes_nothing(position):
    tokens, labels = token_batches()
    model = CASES["attention"].model()
    batches = [(tokens, labels)]
    batches.insert(position, (tokens[:3], torch.full((3, 6), IGNORE)))
    problem = ls.Problem(model, batches)
    assert problem.num_examples == 15
    reference = dense_reference(model, tokens, labels)
    assert relative_error(problem.gradient(), reference.gradient) < 1e-12
    assert product_error(ls.GaussNewton(problem), reference.gauss_newton) < 1e-12


@pytest.mark.parametrize("shuffle", [False, True])
def test_reading_a_loader_leaves_the_global_random_state_alone(shuffle):
    loader = DataLoader(TensorDataset(INPUTS, TARGETS), batch_size=3, shuffle=shuffle)
    state = torch.random.get_rng_state()
    problem = ls.Problem(CASE.model(), loader)
    assert relative_error(problem.gradient(), dense("conv").gradient) < 1e-12
    assert torch.equal(torch.random.get_rng_state(), state)


def test_reading_a_data_set_leaves_the_global_random_state_alone():
    state = torch.random.get_rng_state()
    ls.Problem(CASE.model(), Indexed(), batch_size=3)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("form", ["pair", "list", "batches", "half tensor"])
def test_arrays_are_read_as_the_tensors_that_they_are(form):
    inputs, targets = INPUTS.numpy().astype(INPUTS.numpy().dtype.newbyteorder(">")), TARGETS.numpy()
    inputs.flags.writeable = False
    data = {
        "pair": (inputs, targets),
        "list": [inputs, targets],
        "batches": [(inputs[:3], targets[:3]), (inputs[3:], targets[3:])],
        "half tensor": (INPUTS, targets),
    }[form]
    problem = ls.Problem(CASE.model(), data)
    assert problem.num_examples == len(TARGETS)
    assert relative_error(problem.gradient(), dense("conv").gradient) < 1e-12


def test_what_are_no_examples_are_called_terms():
    tokens, labels = token_batches()
    assert "15 terms, " in repr(ls.Problem(CASES["attention"].model(), [(tokens, labels)]))
    assert f"{len(TARGETS)} examples, " in repr(ls.Problem(CASE.model(), (INPUTS, TARGETS)))
