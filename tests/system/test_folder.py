import errno
import os
import subprocess
import tempfile

import pytest

from landscope.system.folder import make_writable


def test_a_folder_is_made_with_its_parents_and_left_empty(tmp_path):
    folder = make_writable(tmp_path / "a" / "b", "run folder")
    assert folder.is_dir()
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC, errno.EDQUOT])
def test_what_the_disk_refuses_is_said(tmp_path, monkeypatch, number):
    def refuse(**kwargs):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with pytest.raises(OSError, match=f"run folder .* cannot be written: {os.strerror(number)};"):
        make_writable(tmp_path, "run folder")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounts need root")
@pytest.mark.parametrize("option", ["ro", "size=4k"])
def test_a_disk_that_is_read_only_or_full_is_found(tmp_path, option):
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", option, "tmpfs", tmp_path], check=False)
    if mounted.returncode:
        pytest.skip("this machine mounts nothing")
    try:
        if option != "ro":
            (tmp_path / "fill").write_bytes(bytes(4096))
        with pytest.raises(OSError, match=r"cannot be written: (Read-only|No space left)"):
            make_writable(tmp_path, "run folder")
    finally:
        subprocess.run(["umount", tmp_path], check=True)
