import errno
import subprocess
import sys
from pathlib import Path

import pytest

from landscope.system import atomic
from landscope.system.atomic import appearing, remove_partial


def test_a_file_appears_whole_and_leaves_nothing_beside_it(tmp_path):
    with appearing(tmp_path / "a.txt") as beside:
        beside.write_text("whole")
        assert beside.parent == tmp_path
        assert not (tmp_path / "a.txt").exists()
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {"a.txt": "whole"}


def test_a_failing_writer_leaves_the_old_file(tmp_path):
    (tmp_path / "a.txt").write_text("old")

    def write_half():
        with appearing(tmp_path / "a.txt") as beside:
            beside.write_text("ne")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_half()
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {"a.txt": "old"}


def test_a_killed_writer_leaves_only_what_cleaning_removes(tmp_path):
    script = (
        "import os, signal, sys; from pathlib import Path\n"
        "sys.path.append(sys.argv[2])  # the module alone starts in a hundredth of the time\n"
        "from atomic import appearing\n"
        "with appearing(Path(sys.argv[1])) as beside:\n"
        "    beside.write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    folder = str(Path(atomic.__file__).parent)
    command = [sys.executable, "-c", script, str(tmp_path / "a.txt"), folder]
    killed = subprocess.run(command, check=False)
    assert killed.returncode == -9
    assert len(list(tmp_path.iterdir())) == 1
    assert not (tmp_path / "a.txt").exists()
    remove_partial(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_said_with_the_name_of_the_file(tmp_path):
    (tmp_path / "a.txt").write_text("old")

    def write():
        with appearing(tmp_path / "a.txt") as beside:
            beside.write_text("ne")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match=r"a\.txt could not be written: No space .* is kept$"):
        write()
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {"a.txt": "old"}
