"""Read what W&B wrote offline: protocol buffers in the log format of LevelDB."""

import json
import struct
import time

from wandb.proto.wandb_internal_pb2 import Record

_HEADER, _BLOCK, _CHUNK = 7, 32 * 1024, struct.Struct("<IHB")
_FULL, _LAST = 1, 4


def records(path):
    """Every record of a ``.wandb`` file."""
    data, place, parts = path.read_bytes(), _HEADER, b""
    while place + _CHUNK.size <= len(data):
        if (left := _BLOCK - place % _BLOCK) < _CHUNK.size:
            place += left
            continue
        _, length, kind = _CHUNK.unpack_from(data, place)
        place += _CHUNK.size
        parts += data[place : place + length]
        place += length
        if kind in (_FULL, _LAST):
            record = Record()
            record.ParseFromString(parts)
            yield record
            parts = b""


def history(path):
    """Each row of a finished run's history, by names joined by dots where they are nested."""
    return [
        {
            ".".join(item.nested_key) or item.key: json.loads(item.value_json)
            for item in record.history.item
        }
        for record in _whole(path)
        if record.WhichOneof("record_type") == "history"
    ]


def _whole(path):
    """All records: a process of W&B's own writes the last ones, just after the run has finished."""
    for _ in range(6000):  # it starts late on a busy machine
        found = list(records(path))
        if found and found[-1].WhichOneof("record_type") == "exit":
            return found
        time.sleep(0.05)
    raise TimeoutError(f"{path} does not end with the run's exit")
