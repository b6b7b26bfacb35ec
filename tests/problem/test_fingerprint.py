"""One fingerprint for one problem: what it is blind to, and what it sees."""

import os
import subprocess
import sys
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import landscope as ls
from landscope.identity import digest, structure

GENERATOR = torch.Generator().manual_seed(0)
INPUTS = torch.randn(12, 4, generator=GENERATOR)
TARGETS = torch.arange(12) % 3
ORDER = torch.randperm(12, generator=GENERATOR)


def network(between=None) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5), between or nn.Tanh(), nn.Linear(5, 3)).eval()


def problem(model=None, data=(INPUTS, TARGETS), **options) -> ls.Problem:
    return ls.Problem(network() if model is None else model, data, **options)


def test_the_order_of_examples_and_batches_do_not_matter():
    expected = problem().fingerprint()
    assert problem(data=(INPUTS[ORDER], TARGETS[ORDER]), batch_size=5).fingerprint() == expected
    loader = DataLoader(TensorDataset(INPUTS, TARGETS), 7, shuffle=True)
    assert problem(data=loader).fingerprint() == expected
    batches = [[INPUTS[:1], TARGETS[:1]], (INPUTS[1:], TARGETS[1:])]
    assert problem(data=batches).fingerprint() == expected


def test_neither_passes_nor_the_mode_of_layers_without_one_matter():
    one, expected = problem(), problem().fingerprint()
    one.gradient()
    assert one.fingerprint() == expected == problem(network().train()).fingerprint()
    assert one.at(one.weights).fingerprint() == expected
    for reduction in ("mean", "sum"):
        assert problem(loss=nn.CrossEntropyLoss(reduction=reduction)).fingerprint() == expected


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_device_does_not_matter():
    assert problem(device="cuda").fingerprint() == problem().fingerprint()


def one_bit_off() -> torch.Tensor:
    other = INPUTS.clone()
    other.view(torch.int32)[3, 2] ^= 1
    return other


def weights_of_classes(*weights: float) -> nn.CrossEntropyLoss:
    return nn.CrossEntropyLoss(weight=torch.tensor(weights))


OTHERS = {
    "permuted labels": (lambda: problem(data=(INPUTS, TARGETS[ORDER])), "data"),
    "one bit": (lambda: problem(data=(one_bit_off(), TARGETS)), "data"),
    "one dropped": (lambda: problem(data=(INPUTS[1:], TARGETS[1:])), "data"),
    "one twice": (lambda: problem(data=[(INPUTS, TARGETS), (INPUTS[:1], TARGETS[:1])]), "data"),
    "mse": (lambda: problem(loss="mse"), "loss"),
    "smoothing": (lambda: problem(loss=nn.CrossEntropyLoss(label_smoothing=0.1)), "loss"),
    "class weights": (lambda: problem(loss=weights_of_classes(1.0, 2.0, 1.0)), "loss"),
    "ignored": (lambda: problem(loss=nn.CrossEntropyLoss(ignore_index=7)), "loss"),
    "weight decay": (lambda: problem(weight_decay=0.1), "loss"),
    "relu": (lambda: problem(network(nn.ReLU())), "model"),
    "dropout": (lambda: problem(network(nn.Dropout(0.1)).eval()), "model"),
    "forward": (lambda: problem(forward=lambda m, b: (2 * m(b[0]), b[1])), "model"),
    "selection": (lambda: problem(params="0"), "model"),
    "dtype": (lambda: problem(dtype=torch.float64), "model"),
    "weights": (lambda: problem().at(2 * problem().weights), "weights"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_problem_has_another_fingerprint_and_the_part_is_named(name):
    make, part = OTHERS[name]
    one, other = problem(), make()
    assert one.fingerprint() != other.fingerprint()
    assert one.digest_of(part) != other.digest_of(part)
    assert (one.fingerprint(weights=False) == other.fingerprint(weights=False)) == (
        part == "weights"
    )


def test_frozen_parameters_and_buffers_are_seen_and_statistics_are_weights():
    def normalised(freeze=0.0, mean=0.0, constant=0.0):
        model = network(nn.BatchNorm1d(5)).eval()
        model[2].register_buffer("constant", torch.tensor([constant]))
        model[0].requires_grad_(False)
        with torch.no_grad():
            model[0].bias += freeze
        model[1].running_mean += mean
        return problem(model)

    one = normalised()
    for other in (normalised(freeze=1.0), normalised(constant=1.0)):
        assert one.fingerprint(weights=False) != other.fingerprint(weights=False)
    moved = normalised(mean=1.0)
    assert one.fingerprint() != moved.fingerprint()
    assert one.fingerprint(weights=False) == moved.fingerprint(weights=False)


def test_tied_weights_are_another_model():
    def square(tied):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4))
        model[2].load_state_dict(model[0].state_dict())
        if tied:
            model[2] = model[0]
        return problem(model)

    assert square(True).fingerprint() == square(True).fingerprint() != square(False).fingerprint()


class Own(nn.Module):
    """What users write: options that layers do not show, counters, kept activations, a lambda."""

    def __init__(self, scale=1.0, act=torch.tanh, shift=0.0):
        super().__init__()
        self.inner, self.act, self.scale = network(), act, scale
        self.shift = torch.tensor(shift)
        self.calls, self.log = 0, []

    def forward(self, x):
        self.calls += 1
        self.kept = self.inner(x)
        return self.scale * self.act(self.kept) + self.shift


def test_options_of_the_users_own_modules_are_seen_and_what_a_pass_leaves_is_not():
    one = problem(Own())
    one.gradient()
    used = Own()
    used.log.append(object())
    used(INPUTS)
    assert one.fingerprint() == problem(Own()).fingerprint() == problem(used).fingerprint()
    others = [Own(2.0), Own(act=torch.sigmoid), Own(act=lambda z: z.tanh() * 2), Own(shift=1.0)]
    found = {problem(other).fingerprint() for other in others}
    assert len(found | {one.fingerprint()}) == 5


class Keeping(nn.Module):
    """Keeps what its passes leave in containers of its own."""

    def __init__(self):
        super().__init__()
        self.inner, self.log, self.counts = network(), [], {"passes": 0}

    def note(self, z):
        self.log.append(len(z))
        self.counts["passes"] += 1

    def forward(self, x):
        self.note(x)
        return self.inner(x)


def test_what_a_pass_puts_into_lists_and_dictionaries_is_not_seen():
    model = Keeping()
    before = problem(model).fingerprint()
    model(INPUTS)
    assert problem(model).fingerprint() == before


class InTurn(nn.Module):
    """Functions that are applied in the order of a dictionary."""

    def __init__(self, **functions):
        super().__init__()
        self.inner, self.functions = network(), functions

    def forward(self, x):
        z = self.inner(x)
        for function in self.functions.values():
            z = function(z)
        return z


@cache
def one_and_a_half():
    return 1.5


@cache
def two_and_a_half():
    return 2.5


SETTINGS = SimpleNamespace(factor=1.0, inner=SimpleNamespace(factor=1.0))


def scaled_by_settings(z):
    return SETTINGS.factor * SETTINGS.inner.factor * z


class Multiplying:
    """A hook with an option, and a counter."""

    def __init__(self, factor):
        self.factor, self.calls = factor, 0

    def hook(self, layer, inputs, output):
        self.calls += 1
        return self.factor * output

    __call__ = hook


def multiply(factor, layer, inputs, output):
    return factor * output


def hooked(hook):
    model = network()
    model[0].register_forward_hook(hook)
    return model


PAIRS = {
    "order": lambda: (InTurn(a=torch.sin, b=torch.exp), InTurn(b=torch.exp, a=torch.sin)),
    "cached": lambda: (Own(act=one_and_a_half), Own(act=two_and_a_half)),
    "hooks": lambda: [hooked(Multiplying(factor)) for factor in (1.0, 2.0)],
    "methods as hooks": lambda: [hooked(Multiplying(factor).hook) for factor in (1.0, 2.0)],
    "bound hooks": lambda: [hooked(partial(multiply, factor)) for factor in (1.0, 2.0)],
}


@pytest.mark.parametrize("name", PAIRS)
def test_options_are_seen_behind_dictionaries_caches_and_hooks(name):
    one, other = (structure(model) for model in PAIRS[name]())
    assert one != other
    assert one == structure(PAIRS[name]()[0])


@pytest.mark.parametrize("hook", [Multiplying(2.0), Multiplying(2.0).hook])
def test_what_a_hook_counts_is_not_seen(hook):
    model = hooked(hook)
    before = structure(model)
    model(INPUTS)
    assert structure(model) == before


def test_settings_in_namespaces_are_seen_where_code_reads_them(monkeypatch):
    found = {digest(scaled_by_settings)}
    monkeypatch.setattr(SETTINGS, "unused", 1.0, raising=False)
    assert digest(scaled_by_settings) in found
    for namespace in (SETTINGS, SETTINGS.inner):
        monkeypatch.setattr(namespace, "factor", 2.0)
        found.add(digest(scaled_by_settings))
    assert len(found) == 3


class Scaled:
    """A loss of the user's."""

    def __init__(self, factor):
        self.factor, self.calls = factor, 0

    def terms(self, logits, targets):
        self.calls += 1
        return self.factor * logits.square().sum(1) / 2

    def gradient(self, logits, targets):
        return self.factor * logits

    def hessian_vector_product(self, logits, targets, vectors):
        return self.factor * vectors


def test_own_losses_are_told_apart_by_their_attributes():
    one = problem(loss=Scaled(1.0))
    one.loss()
    assert one.fingerprint() == problem(loss=Scaled(1.0)).fingerprint()
    assert one.fingerprint() != problem(loss=Scaled(2.0)).fingerprint()


def test_a_function_as_model_is_told_apart_by_its_code():
    weights = {"w": torch.ones(4, 3)}

    def made(function):
        return ls.Problem(function, (INPUTS, TARGETS), params=weights).fingerprint()

    def linear(p, x):
        return x @ p["w"]

    def squared(p, x):
        return x @ p["w"].square()

    assert made(linear) == made(linear) != made(squared)
    assert len({made(lambda p, x, c=c: c * (x @ p["w"])) for c in (1.0, 2.0)}) == 2


class Tokens(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.head = nn.Embedding(7, 4), nn.Linear(4, 7)

    def forward(self, input_ids, attention_mask=None):
        return {"logits": self.head(self.embedding(input_ids))}


def padded(sequences, length):
    def pad(value):
        return torch.stack(
            [torch.cat([s, torch.full((length - len(s),), value)]) for s in sequences]
        )

    return {"input_ids": pad(5), "labels": pad(-100), "attention_mask": (pad(0) > 0).long()}


def test_padding_that_a_mask_tells_does_not_matter():
    torch.manual_seed(0)
    model, sequences = Tokens(), [torch.tensor(s) for s in ([1, 2, 3], [4, 5], [6, 1, 2, 3])]
    expected = problem(model, [padded(sequences, 4)]).fingerprint()
    batches = [padded(sequences[1:2], 3), padded(sequences[::2], 6)]
    assert problem(model, batches).fingerprint() == expected
    other = padded(sequences, 4)
    other["labels"][0, 1] = 6
    assert problem(model, [other]).fingerprint() != expected


def test_other_processes_find_the_same():
    said = subprocess.run(
        [sys.executable, "-c", "from tests.problem.test_fingerprint import *\n"
         "print(problem(Own(), loss=Scaled(3.0)).fingerprint())"],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONHASHSEED": "12345"},
    )  # fmt: skip
    assert said.stdout.strip() == problem(Own(), loss=Scaled(3.0)).fingerprint()
