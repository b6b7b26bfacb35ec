"""`kill -9` during training, then the same again, against a run that was left alone."""

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import xarray as xr

from landscope.runs import Run
from landscope.training import train

from . import kill_target


def start(folder):
    command = [sys.executable, str(Path(kill_target.__file__)), str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def kill_at(folder, step, delay=0.0):
    """Start the run and kill it some time after it came to a step."""
    process = start(folder)
    for line in process.stdout:
        if int(line.split()[1]) >= step:
            break
    time.sleep(delay)
    process.kill()
    process.stdout.close()
    return process.wait()


def finish(folder):
    steps = []
    run = train(
        kill_target.CONFIG,
        folder,
        lambda step, *_: steps.append(step),
        measure=kill_target.measure,
    )
    return run, steps


def assert_same(run, whole):
    ours, theirs = run.latest_checkpoint(), whole.latest_checkpoint()
    assert (ours.step, theirs.step) == (kill_target.CONFIG.steps,) * 2
    assert ours.tensors.keys() == theirs.tensors.keys()
    assert all(torch.equal(ours.tensors[name], theirs.tensors[name]) for name in ours.tensors)
    xr.testing.assert_allclose(run.trajectory(), whole.trajectory(), rtol=1e-6, atol=1e-9)
    assert not list(run.path.rglob("*.partial"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return train(kill_target.CONFIG, folder, measure=kill_target.measure)


def test_a_killed_run_goes_on_and_ends_as_one_left_alone(tmp_path, whole):
    assert kill_at(tmp_path, step=10) == -9
    before = Run.open(tmp_path).steps()
    assert before[:3] == [0, 2, 3]
    assert before[-1] < 60
    run, steps = finish(tmp_path)
    assert steps[0] > 0
    assert_same(run, whole)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_run_killed_at_several_random_moments_ends_as_one_left_alone(tmp_path, whole, seed):
    moments = random.Random(seed)
    for step in sorted(moments.sample(range(60), 4)):
        kill_at(tmp_path, step, delay=moments.uniform(0, 0.05))
    run, _ = finish(tmp_path)
    assert_same(run, whole)
