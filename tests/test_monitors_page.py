"""The page on monitors runs as written, and speaks of variables that there are."""

import re
from pathlib import Path

from landscope.geometry.definitions import DEFINITIONS

PAGE = (Path(__file__).parents[1] / "docs" / "monitors.md").read_text(encoding="utf-8")


def test_its_program_runs_and_reaches_the_edge(capsys):
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    exec(compile(program, "docs/monitors.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["0", "100", "200", "300", "400"]
    assert lines[0].endswith("False")
    assert any(line.endswith("True") for line in lines)


def test_its_variables_are_those_of_a_snapshot():
    named = set(re.findall(r"`([a-z]+(?:_[a-z]+)+|entropy)`", PAGE))
    assert {"stability_ratio", "at_edge", "max_learning_rate", "frozen_fraction"} < named
    assert named < set(DEFINITIONS)
