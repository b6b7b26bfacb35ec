"""A run folder belongs to one problem and one way to measure it."""

from functools import partial

import pytest
import torch
import xarray as xr
from torch import nn

import landscope as ls
from landscope.runs.json_file import read_json, write_json

INPUTS = torch.randn(12, 4, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(12) % 3
QUICK = ls.AdamDescent(steps=1)


def loss_alone(problem, factor=1.0):
    return xr.Dataset({"loss": factor * float(problem.loss())})


def network(between=None):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5), between or nn.Tanh(), nn.Linear(5, 3))


def problem(model=None, data=(INPUTS, LABELS), **options):
    return ls.Problem(network() if model is None else model, data, **options)


OTHERS = {
    "labels": (lambda: problem(data=(INPUTS, LABELS.roll(1))), "its data differs"),
    "inputs": (lambda: problem(data=(2 * INPUTS, LABELS)), "its data differs"),
    "loss": (lambda: problem(loss="mse"), "its loss differs"),
    "architecture": (lambda: problem(network(nn.ReLU())), "its model differs"),
}


def recorded(problem, folder, measure=loss_alone):
    with ls.Recorder(problem, folder, [0], measure) as recorder:
        recorder.step(problem.weights, 0)


FOLDERS = {
    "recorder": recorded,
    "goldilocks": lambda problem, folder: ls.goldilocks(problem, [1.0], 2, run=folder),
    "intrinsic_dimension": lambda problem, folder: ls.intrinsic_dimension(
        problem, [2], num_seeds=1, descent=QUICK, score=lambda p: -float(p.loss()), run=folder
    ),
}


@pytest.mark.parametrize("kind", FOLDERS)
def test_a_folder_is_refused_to_every_other_problem(kind, tmp_path):
    use = FOLDERS[kind]
    use(problem(), tmp_path)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(1))
    use(problem(data=(INPUTS[order], LABELS[order]), batch_size=5), tmp_path)
    for make, message in OTHERS.values():
        with pytest.raises(ValueError, match=f"belongs to another problem: .*{message}"):
            use(make(), tmp_path)


def test_a_recorder_goes_on_from_other_weights_and_not_with_another_measure(tmp_path):
    recorded(problem(), tmp_path)
    recorded(problem().at(2 * problem().weights), tmp_path)

    def loss_alone(problem, factor=1.0):
        return xr.Dataset({"loss": 2 * float(problem.loss())})

    for other in (loss_alone, partial(globals()["loss_alone"], factor=2.0)):
        with pytest.raises(ValueError, match=r"measure.code differs; name another folder"):
            recorded(problem(), tmp_path, other)


def test_what_a_measure_encloses_may_be_in_training_but_its_options_may_not_change(tmp_path):
    model = network()

    def measured(factor):
        return lambda problem: xr.Dataset(
            {"loss": factor * float(problem.loss()), "own": float(model[0].bias.sum())}
        )

    recorded(problem(), tmp_path, measured(1.0))
    with torch.no_grad():
        model[0].bias += 1
    recorded(problem(), tmp_path, measured(1.0))
    with pytest.raises(ValueError, match=r"measure.code differs"):
        recorded(problem(), tmp_path, measured(2.0))


def test_other_choices_of_the_search_are_refused(tmp_path):
    search = partial(ls.intrinsic_dimension, problem(), num_seeds=1, descent=QUICK, run=tmp_path)
    search([2])
    search([2, 3])  # more dimensions join
    with pytest.raises(ValueError, match=r"test.data differs"):
        search([2], test=problem(data=(-INPUTS, LABELS)))
    with pytest.raises(ValueError, match=r"score.code differs"):
        search([2], score=lambda problem: -float(problem.loss()))
    ls.goldilocks(problem(), [1.0], 2, run=tmp_path / "zone")
    with pytest.raises(ValueError, match="exact is None there and False here"):
        ls.goldilocks(problem(), [1.0], 2, exact=False, run=tmp_path / "zone")


def test_a_folder_from_before_fingerprints_is_refused_in_a_sentence(tmp_path):
    recorded(problem(), tmp_path)
    config = read_json(tmp_path / "config.json", "")
    write_json(tmp_path / "config.json", {"num_params": 1, "measure": config["measure"]})
    with pytest.raises(ValueError, match="was written before runs kept what tells their problem"):
        recorded(problem(), tmp_path)
