import shutil
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
import xarray as xr
from safetensors.torch import save_file
from torch import nn

import landscope as ls
from landscope.experiments import measure_checkpoints
from landscope.experiments.checkpoints import find_checkpoints
from landscope.experiments.target import Target
from landscope.training import MeasureConfig, TrainConfig, train
from landscope.training.trainer import measured_problem

OPTIONS = MeasureConfig(tol=1e-2, memory_limit=2**26)


def network(seed):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3))


@pytest.fixture
def target():
    torch.manual_seed(0)
    inputs, labels = torch.randn(12, 3), torch.arange(12) % 3
    return Target(ls.Problem(network(0), (inputs, labels)), {"function": "mine:make"}, OPTIONS)


@pytest.fixture
def folder(tmp_path):
    """Three checkpoints, each written in another way; their networks have seeds 1 to 3."""
    folder = tmp_path / "checkpoints"
    (folder / "checkpoint-500").mkdir(parents=True)
    named = {f"model.{name}": tensor for name, tensor in network(1).state_dict().items()}
    torch.save({"epoch": 0, "state_dict": named}, folder / "epoch=0-step=100.ckpt")
    torch.save(network(2).state_dict(), folder / "step-20.pt")
    save_file(network(3).state_dict(), folder / "checkpoint-500" / "model.safetensors")
    for name in ("optimizer.pt", "scheduler.pt", "training_args.bin", "rng_state_0.pth"):
        torch.save(nn.Linear(1, 1), folder / "checkpoint-500" / name)
    return folder


SEEDS = {20: 2, 100: 1, 500: 3}


@pytest.fixture
def measured(monkeypatch):
    """The losses of the points that are measured, in their order; no other part is."""
    losses = []

    def measure(problem, **options):
        losses.append(float(problem.loss()))
        return ls.measure(problem, parts=["probabilities"], **options)

    monkeypatch.setattr("landscope.geometry.measure", measure)
    return losses


def losses(target, seeds):
    return [float(target.problem.at(network(seed)).loss()) for seed in seeds]


def test_a_trajectory_is_each_point_measured_by_itself(target, folder, tmp_path, monkeypatch):
    quick = partial(ls.measure, parts=["probabilities", "tangent_kernel"])
    monkeypatch.setattr("landscope.geometry.measure", quick)
    run = measure_checkpoints(target, folder, tmp_path / "run", seed=5)
    assert run.steps() == list(SEEDS)
    first = target.problem.at(network(SEEDS[20]))
    for step, seed in SEEDS.items():
        here = target.problem.at(network(seed))
        alone = quick(here, reference=first, seed=5, **OPTIONS.model_dump())
        found = run.snapshot(step)
        assert found.data_vars.keys() == alone.data_vars.keys()
        assert (found.attrs["seed"], found.attrs["memory_limit"]) == (5, 2**26)
        for name in alone.data_vars:
            np.testing.assert_allclose(found[name], alone[name], rtol=1e-4, atol=1e-6)
    drifts = run.trajectory()["tangent_kernel_drift"].values
    assert drifts[0] == pytest.approx(0, abs=1e-6)
    assert (drifts[1:] > 0.01).all()
    assert run.summary()["steps"] == list(SEEDS)


def test_a_resumed_trajectory_measures_only_what_is_missing(target, folder, tmp_path, measured):
    def stop(done, total, doing):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure_checkpoints(target, folder, tmp_path / "run", progress=stop)
    assert measured == pytest.approx(losses(target, [2, 1]))
    measured.clear()
    torch.save(network(4).state_dict(), folder / "step-600.pt")  # training went on,
    (folder / "step-20.pt").unlink()  # and an old checkpoint was deleted
    told = []
    run = measure_checkpoints(
        target, folder, tmp_path / "run", progress=lambda *call: told.append(call)
    )
    assert measured == pytest.approx(losses(target, [3, 4]))
    assert run.steps() == [20, 100, 500, 600]
    assert told == [(0, 3, "step 100"), (1, 3, "step 500"), (2, 3, "step 600"), (3, 3, "measured")]


def test_the_run_of_another_target_folder_or_seed_is_refused(target, folder, tmp_path, measured):
    out = tmp_path / "run"
    measure_checkpoints(target, folder, out, seed=1)
    shutil.copytree(folder, tmp_path / "copy")
    other = [
        (replace(target, description={"function": "mine:other"}), folder, 1, "target.function"),
        (replace(target, measure=MeasureConfig(num_eigenvalues=3)), folder, 1, "measure.num_eig"),
        (target, tmp_path / "copy", 1, "checkpoints is"),
        (target, folder, 2, "seed is 1 there and 2 here"),
    ]
    for another, where, seed, difference in other:
        with pytest.raises(ValueError, match=difference):
            measure_checkpoints(another, where, out, seed=seed)
    # Where the target itself is in weight space has no part.
    moved = replace(target, problem=target.problem.at(network(9)))
    assert measure_checkpoints(moved, folder, out, seed=1).steps() == list(SEEDS)


def test_a_checkpoint_of_another_architecture_is_named_and_what_came_before_is_kept(
    target, folder, tmp_path, measured
):
    save_file(nn.Linear(3, 3).state_dict(), folder / "other-200.safetensors")
    with pytest.raises(
        ValueError, match=r"weights .*other-200\.safetensors do not fit the network: it has 'bias'"
    ):
        measure_checkpoints(target, folder, tmp_path / "run")
    (folder / "other-200.safetensors").unlink()
    assert len(measured) == 2
    assert measure_checkpoints(target, folder, tmp_path / "run").steps() == list(SEEDS)
    assert len(measured) == 3


def test_a_checkpoint_that_is_no_plain_weights_needs_trust(target, folder, tmp_path, measured):
    torch.save(network(4), folder / "whole-700.pt")
    with pytest.raises(ValueError, match=r"whole-700\.pt hold .*--trust"):
        measure_checkpoints(target, folder, tmp_path / "run")
    assert measure_checkpoints(target, folder, tmp_path / "run", trust=True).steps()[-1] == 700
    assert measured[-1] == pytest.approx(*losses(target, [4]))


def test_the_checkpoints_of_a_training_run_are_measured(tmp_path, measured):
    config = TrainConfig(
        classes=(0, 1),
        width=0.25,
        train_examples=20,
        test_examples=4,
        steps=4,
        checkpoint_every=2,
        num_measurements=2,
        measure_examples=8,
    )

    def loss_alone(problem):
        return xr.Dataset({"loss": float(problem.loss())})

    trained = train(config, tmp_path / "trained", measure=loss_alone)
    target = Target(measured_problem(config), {}, MeasureConfig())
    run = measure_checkpoints(target, trained.path / "checkpoints", tmp_path / "run")
    assert run.steps() == [2, 4]
    there, here = trained.snapshot(4), run.snapshot(4)
    assert float(here["loss"]) == pytest.approx(float(there["loss"]), rel=1e-6)
    # The run folder itself will do: its reference is no step.
    (trained.path / "reference.safetensors").touch()
    assert list(find_checkpoints(trained.path)) == [2, 4]


def test_steps_are_read_from_the_names_of_files_or_folders(tmp_path):
    names = {
        "net_7.pt": 7,
        "00000120.safetensors": 120,
        "epoch=3-step=1200-v1.ckpt": 1200,
        "checkpoint-500/pytorch_model.bin": 500,
        "checkpoint-1000/model-00001-of-00002.safetensors": 1000,
        "checkpoint-1000/model-00002-of-00002.safetensors": 1000,
        "version_2/step=90.ckpt": 90,
        "notes-3.txt": None,
        "deeper/down/net_8.pt": None,
        ".net_9.pt": None,
    }
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = find_checkpoints(tmp_path)
    assert list(found) == [7, 90, 120, 500, 1000, 1200]
    assert found[1000].name == "model-00001-of-00002.safetensors"
    assert all(names[str(path.relative_to(tmp_path))] == step for step, path in found.items())


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], r"holds no file of weights; accepted are \.safetensors, \.pt"),
        (["optimizer_5.pt", "log-5.txt"], "holds no file of weights"),
        (["best.pt", "net-5.pt"], r"best\.pt has no step in its name; accepted is a number"),
        (["a-5.pt", "b-05.pt"], r"holds two of step 5: a-5\.pt and b-05\.pt; keep one"),
    ],
)
def test_a_folder_without_clear_steps_is_refused(tmp_path, names, message):
    folder = tmp_path / "run7"  # its own number is no step
    folder.mkdir()
    for name in names:
        (folder / name).touch()
    with pytest.raises(ValueError, match=message):
        find_checkpoints(folder)
    with pytest.raises(FileNotFoundError, match="nowhere is no folder"):
        find_checkpoints(tmp_path / "nowhere")
