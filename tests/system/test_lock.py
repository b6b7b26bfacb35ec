import json
import os
import socket
import subprocess
import sys
import threading

import psutil
import pytest

from landscope.system import lock as module
from landscope.system.lock import WriterLock


@pytest.fixture
def path(tmp_path):
    return tmp_path / "lock.json"


def write(path, **changes):
    parent = psutil.Process(os.getppid())
    holder = {"host": socket.gethostname(), "pid": parent.pid, "began": parent.create_time()}
    path.write_text(json.dumps(holder | changes), encoding="utf-8")


def test_a_process_holds_a_lock_as_often_as_it_likes_and_releases_it_with_the_last(path):
    first, second = WriterLock(path), WriterLock(path)
    first.release()
    first.release()
    assert path.exists()
    del second
    assert not path.exists()


def test_the_lock_of_a_living_process_is_respected(path):
    write(path)
    with pytest.raises(BlockingIOError, match=f"written by process {os.getppid()} on .*wait until"):
        WriterLock(path)
    assert json.loads(path.read_text(encoding="utf-8"))["pid"] == os.getppid()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": "a", "host": 1, "began": 0}'])
def test_a_lock_that_says_nothing_is_taken_over(path, content):
    path.write_text(content, encoding="utf-8")
    lock = WriterLock(path)
    assert json.loads(path.read_text(encoding="utf-8"))["pid"] == os.getpid()
    lock.release()


def test_the_lock_of_an_ended_process_is_taken_over_though_its_number_is_in_use(path):
    write(path, began=psutil.Process(os.getppid()).create_time() - 60)
    WriterLock(path).release()
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    write(path, pid=ended.pid)
    WriterLock(path).release()
    assert list(path.parent.iterdir()) == []


def test_a_lock_of_another_machine_holds_as_long_as_it_is_renewed(path, monkeypatch):
    monkeypatch.setattr(module, "BEAT", 0.02)
    monkeypatch.setattr(module, "PATIENCE", 0.5)
    write(path, host="elsewhere")
    ended = threading.Event()

    def renew():
        while not ended.wait(0.02):
            os.utime(path)

    renewing = threading.Thread(target=renew)
    renewing.start()
    try:
        with pytest.raises(BlockingIOError, match="on elsewhere"):
            WriterLock(path)
    finally:
        ended.set()
        renewing.join()
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    WriterLock(path).release()


def test_a_held_lock_is_renewed(path, monkeypatch):
    monkeypatch.setattr(module, "BEAT", 0.02)
    monkeypatch.setattr(module, "_RENEWING", [])
    lock = WriterLock(path)
    os.utime(path, (0, 0))
    assert module._is_renewed(path)
    lock.release()
