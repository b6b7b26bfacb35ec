"""`kill -9` during training, then the same again, against a run that was left alone."""

import random
import shutil
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


def kill_at(folder, how, step, delay=0.0):
    """Start the run as its own process and kill it some time after it came to a step."""
    command = [sys.executable, str(Path(kill_target.__file__)), str(folder), how]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if int(line.split()[1]) >= step:
            break
    time.sleep(delay)
    process.kill()
    process.stdout.close()
    return process.wait()


def run_to_the_end(folder, how):
    steps = []
    run = train(
        kill_target.CONFIG,
        folder,
        lambda step, *_: steps.append(step),
        measure=kill_target.MEASURES[how],
    )
    return run, steps


def assert_same(run, whole):
    ours, theirs = run.latest_checkpoint(), whole.latest_checkpoint()
    assert (ours.step, theirs.step) == (kill_target.CONFIG.steps,) * 2
    assert ours.tensors.keys() == theirs.tensors.keys()
    for name, ours_here in ours.tensors.items():
        # Two processes may round differently; a step too many or too few moves weights by 1e-3.
        bound = 1e-5 if ours_here.is_floating_point() else 0
        torch.testing.assert_close(ours_here, theirs.tensors[name], rtol=bound, atol=bound)
    xr.testing.assert_allclose(run.trajectory(), whole.trajectory(), rtol=1e-5, atol=1e-6)
    assert not list(run.path.rglob("*.partial"))


def test_what_a_kill_leaves_on_disk_goes_on_and_ends_as_one_left_alone(tmp_path):
    moments = [(10, "measuring"), (24, "training")]

    def copy(step, num_steps, doing):
        if (step, doing) in moments:
            shutil.copytree(tmp_path / "whole", tmp_path / f"killed{step}")

    whole = train(
        kill_target.CONFIG, tmp_path / "whole", copy, measure=kill_target.MEASURES["quick"]
    )
    for step, _ in moments:
        killed = tmp_path / f"killed{step}"
        before = Run.open(killed).steps()
        assert before[:3] == [0, 2, 3]
        assert before[-1] < step
        run, steps = run_to_the_end(killed, "quick")
        assert 0 < steps[0] <= step
        assert_same(run, whole)


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_as_one_left_alone(tmp_path):
    whole, _ = run_to_the_end(tmp_path / "whole", "quick")
    killed = tmp_path / "killed"
    assert kill_at(killed, "quick", step=10) == -9
    before = Run.open(killed).steps()
    assert before[:3] == [0, 2, 3]
    assert before[-1] < 60
    run, steps = run_to_the_end(killed, "quick")
    assert steps[0] > 0
    assert_same(run, whole)


@pytest.mark.slow
@pytest.mark.parametrize(("how", "longest_delay"), [("quick", 0.05), ("full", 2.0)])
@pytest.mark.parametrize("seed", range(2))
def test_a_run_killed_at_several_random_moments_ends_as_one_left_alone(
    tmp_path, how, longest_delay, seed
):
    whole, _ = run_to_the_end(tmp_path / "whole", how)
    moments = random.Random(seed)
    for step in sorted(moments.sample(range(60), 4)):
        kill_at(tmp_path / "killed", how, step, delay=moments.uniform(0, longest_delay))
    run, _ = run_to_the_end(tmp_path / "killed", how)
    assert_same(run, whole)
