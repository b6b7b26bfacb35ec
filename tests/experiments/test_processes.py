import os
import signal
from concurrent.futures.process import BrokenProcessPool
from functools import partial

import pytest

from landscope.experiments import choose_engine
from landscope.experiments.processes import Processes


@pytest.mark.slow
def test_a_process_that_dies_fails_its_own_task_and_no_other():
    with Processes(1) as processes:
        before, dying, after = (
            processes.submit(*task) for task in ((pow, 2, 5), (os._exit, 1), (pow, 3, 2))
        )
        assert before.result() == 32
        with pytest.raises(BrokenProcessPool):
            dying.result()
        assert after.result() == 9


def failing(path):
    with path.open("a") as file:
        file.write("once\n")
    raise ValueError("no number")


def test_a_task_is_tried_again_as_often_as_asked(tmp_path, process):
    with pytest.raises(ValueError, match="no number"):
        process.submit(failing, tmp_path / "attempts").result()
    assert process.submit(os.getpid).result() != os.getpid()
    assert (tmp_path / "attempts").read_text().splitlines() == ["once"] * 3


def interrupt(pid):
    os.kill(os.getpid(), signal.SIGINT)
    return pid != os.getpid()


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="signals are not blocked here")
def test_an_interruption_does_not_reach_a_process_that_still_imports(process):
    """What a process inherits from the thread that begins it holds before its first line."""
    assert process.submit(interrupt, os.getpid()).result()
    assert process.submit(signal.pthread_sigmask, signal.SIG_BLOCK, []).result() == {signal.SIGINT}


@pytest.mark.parametrize(
    ("choices", "sentence"),
    [
        ({"name": "slurm"}, "engine is 'slurm'; accepted are processes, ray"),
        ({"processes": 0}, "processes is 0; it must be an integer from 1 to 10,000"),
        ({"cpus": 0}, "cpus is 0; it must be an integer from 1 to 10,000"),
        ({"retries": -1}, "retries is -1; it must be an integer from 0 to 10,000"),
        ({"address": "auto"}, "address is 'auto'; only the engine ray takes it"),
        ({"gpus": 1.0}, "gpus is 1.0; only the engine ray takes it"),
        (
            {"name": "ray", "address": "auto", "processes": 2},
            "processes is 2; the cluster at auto decides how many cells it computes at a time",
        ),
        ({"name": "ray", "gpus": 0.5}, "gpus is 0.5; the device is cpu, which uses none"),
    ],
)
def test_choices_that_do_not_fit_are_refused(choices, sentence):
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        choose_engine(**choices)


@pytest.mark.parametrize(("count", "retries"), [(0, 0), (1, -1)])
def test_numbers_that_make_no_sense_are_refused(count, retries):
    with pytest.raises(ValueError, match="must be"):
        partial(Processes, count, retries)()
