import json

import numpy as np
import pytest

from landscope.runs.json_file import plain, read_json, write_json


def test_numpy_values_and_tuples_come_back_as_plain_json(tmp_path):
    content = {
        "array": np.array([1.0, np.inf]),
        "count": np.int64(3),
        "flag": np.bool_(True),
        "nested": {"pair": (1, "a"), "nothing": None},
    }
    write_json(tmp_path / "a.json", content)
    assert read_json(tmp_path / "a.json") == {
        "array": [1.0, None],
        "count": 3,
        "flag": True,
        "nested": {"pair": [1, "a"], "nothing": None},
    }


def test_the_text_is_strict_json(tmp_path):
    write_json(tmp_path / "a.json", {"loss": float("nan"), "σ_z": 1.5})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")

    def refuse(constant):
        raise AssertionError(constant)

    assert json.loads(text, parse_constant=refuse) == {"loss": None, "σ_z": 1.5}


def test_what_json_cannot_hold_is_named():
    with pytest.raises(TypeError, match=r"is a set, which JSON cannot hold"):
        plain({"a": [{1, 2}]})
