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
    assert read_json(tmp_path / "a.json", "remove it") == {
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

    read = json.loads(text, parse_constant=refuse)
    assert {name: read[name] for name in ("loss", "σ_z")} == {"loss": None, "σ_z": 1.5}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "line 1 is no JSON"),
        (b'{"a": 1,', "line 1 is no JSON"),
        (b"[1, 2]", "it holds a list, no mapping"),
        (b"3", "it holds a int, no mapping"),
        (b'{"a": "\xff"}', "it is no UTF-8 text"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "it is nested too deeply"),
        (b'{"a": ' + b"9" * 5000 + b"}", "4300"),
    ],
)
def test_a_damaged_file_is_named_with_what_to_do(tmp_path, content, said):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ValueError, match=rf"a\.json is damaged: .*{said}.*; remove it"):
        read_json(tmp_path / "a.json", "remove it")


def test_a_changed_number_and_a_folder_in_place_of_the_file_are_named(tmp_path):
    write_json(tmp_path / "a.json", {"loss": 0.25, "note": "λ"})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert read_json(tmp_path / "a.json", "") == {"loss": 0.25, "note": "λ"}
    (tmp_path / "a.json").write_text(text.replace("0.25", "0.75"), encoding="utf-8")
    with pytest.raises(ValueError, match=r"a\.json is damaged: it does not hold what was written"):
        read_json(tmp_path / "a.json", "remove it")
    (tmp_path / "b.json").mkdir()
    with pytest.raises(ValueError, match=r"b\.json is damaged: it is a folder"):
        read_json(tmp_path / "b.json", "remove it")


def test_what_json_cannot_hold_is_named():
    with pytest.raises(TypeError, match=r"is a set, which JSON cannot hold"):
        plain({"a": [{1, 2}]})
