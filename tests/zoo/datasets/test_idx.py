import gzip

import numpy as np
import pytest

from landscope.zoo.datasets.idx import read_idx

BYTES = b"\0\0\x08\x02" + (2).to_bytes(4, "big") + (3).to_bytes(4, "big") + bytes(range(6))


@pytest.mark.parametrize("name", ["plain", "compressed.gz"])
def test_reads_plain_and_compressed(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(gzip.compress(BYTES) if name.endswith(".gz") else BYTES)
    assert np.array_equal(read_idx(path), [[0, 1, 2], [3, 4, 5]])


@pytest.mark.parametrize(
    "content",
    [BYTES[:-1], BYTES + b"\0", BYTES[:6], b"<html></html>", b""],
    ids=["short", "long", "header cut", "another format", "empty"],
)
def test_damaged_file_is_named(tmp_path, content):
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"train-images-idx3-ubyte is no complete idx file"):
        read_idx(path)


@pytest.mark.parametrize(
    "content",
    [gzip.compress(BYTES)[:-9], b"not gzip at all"],
    ids=["cut", "not gzip"],  # compressed bytes hold the time, so they cannot name a test
)
def test_damaged_compressed_file_is_named(tmp_path, content):
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"train-images-idx3-ubyte\.gz is no complete idx file"):
        read_idx(path)
