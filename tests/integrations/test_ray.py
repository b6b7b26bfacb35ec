"""The executor on a cluster of this machine; a sweep on one is in experiments/test_sweep.py."""

import os
import signal

import pytest

ray = pytest.importorskip("ray", reason="ray is not installed")

from landscope.integrations.ray import RayExecutor  # noqa: E402

pytestmark = pytest.mark.slow


def test_what_a_new_cluster_has_no_room_for_is_refused():
    assert not ray.is_initialized()
    with pytest.raises(ValueError, match="num_cpus is 3; the cluster started here has 2"):
        RayExecutor(num_cpus=3, cluster_cpus=2)
    assert not ray.is_initialized()


@pytest.fixture(scope="module")
def cluster():
    with RayExecutor(cluster_cpus=2, max_retries=2) as executor:
        yield executor


def add_line(path):
    with path.open("a") as file:
        file.write(f"{os.getpid()}\n")


def failing(path):
    add_line(path)
    raise ValueError("no number\nbut a letter")


def dying_once(path):
    add_line(path)
    if len(path.read_text().splitlines()) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()


def environment():
    import landscope

    return landscope.__file__, os.environ.get("RAY_USAGE_STATS_ENABLED")


def test_results_come_back(cluster):
    assert list(cluster.map(pow, [2, 3], [5, 2])) == [32, 9]


def test_workers_import_what_this_process_imports(cluster):
    import landscope

    assert cluster.submit(environment).result() == (landscope.__file__, "0")


def test_what_a_task_raises_arrives_as_it_was_once_retries_are_used_up(cluster, tmp_path):
    with pytest.raises(ValueError) as failure:
        cluster.submit(failing, tmp_path / "attempts").result()
    assert type(failure.value) is ValueError
    assert str(failure.value) == "no number\nbut a letter"
    assert len((tmp_path / "attempts").read_text().splitlines()) == 3


def test_a_task_whose_worker_is_killed_is_tried_again(cluster, tmp_path):
    last = cluster.submit(dying_once, tmp_path / "attempts").result()
    pids = [int(line) for line in (tmp_path / "attempts").read_text().splitlines()]
    assert len(pids) == 2
    assert pids[-1] == last != pids[0]


def test_a_cluster_that_is_there_is_used_and_left_running(cluster):
    with RayExecutor(max_retries=0) as second:
        assert second.submit(pow, 2, 3).result() == 8
    assert ray.is_initialized()
    assert cluster.submit(pow, 2, 3).result() == 8
