"""Configuration files of `landscope measure` and `landscope sweep`, right and wrong."""

import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st
from typer.testing import CliRunner

from landscope.cli import app
from torture.case import Case
from torture.commands import said
from torture.values import HUGE, Kind

MOST_AT_ONCE = 4
"""Entries of one file."""

_NO_NUMBERS = (None, True, "a", "", [[]], {"a": 1}, {}, math.nan, math.inf, -math.inf, "1 2")
_NO_NAMES = (True, 3, 0.5, "nonsense", "", {"a": "b"}, "\n", "a" * 3000)


def whole(least: int, most: int) -> Kind:
    """Whole numbers."""
    beyond = [least - 1, -HUGE, 0.5, -1.5, HUGE, 2**70, 10**300]
    return Kind(st.integers(least, most), st.sampled_from([*_NO_NUMBERS, *beyond]))


def real(low: float, high: float, *beyond: float) -> Kind:
    """Numbers."""
    return Kind(st.floats(low, high), st.sampled_from([*_NO_NUMBERS, *beyond]))


def name(*accepted: str) -> Kind:
    """One of some names."""
    return Kind(st.sampled_from(accepted), st.sampled_from(_NO_NAMES))


_MEASURE = {
    "measure.num_eigenvalues": whole(1, 50).optional(),
    "measure.num_probes": whole(2, 20),
    "measure.num_steps": whole(1, 99),
    "measure.tol": real(1e-9, 0.1, 0, -1, 1, 1e308),
    "measure.method": name("auto", "double_backward"),
    "measure.nonsense": Kind(st.nothing(), st.integers(0, 1)),
    "nonsense": Kind(st.nothing(), st.integers(0, 1)),
}
_NETWORK = {
    "nonlinearity": name("relu", "tanh"),
    "normalization": name("none", "batch", "group"),
    "width": real(0.1, 4, 0, -1, -1e308),
}
FIELDS: Mapping[str, Mapping[str, Kind]] = {
    "measure": {
        "network.name": name("small_cnn", "resnet20"),
        **{f"network.{key}": kind for key, kind in _NETWORK.items()},
        "data.name": name("digits", "mnist"),
        "data.split": name("train", "test"),
        "data.max_examples": whole(1, 10_000),
        "data.classes": Kind(
            st.lists(st.integers(0, 9), min_size=1, max_size=3),
            st.sampled_from(["a", 3, [-1], [0.5], ["a"], [[0]], {"a": 1}, True]),
        ),
        "loss": name("cross_entropy", "mse"),
        **_MEASURE,
    },
    "sweep": {
        "network": name("small_cnn", "fully_connected"),
        **_NETWORK,
        "radius": real(0.1, 4, 0, -1),
        "steps": whole(1, 10_000),
        "batch_size": whole(1, 999),
        "optimizer": name("sgd", "adam"),
        "learning_rate": real(1e-4, 1, 0, -1),
        "momentum": real(0, 0.99, -0.1, 1, 1e308),
        "weight_decay": real(0, 1, -0.1),
        "schedule": name("constant", "cosine"),
        "seed": whole(0, 10**6),
        "num_measurements": whole(2, 99),
        "measure_examples": whole(1, 999),
        "checkpoint_every": whole(1, 999),
        "hyperplane.dim": whole(1, 99).optional(),
        "hyperplane.kind": name("dense", "fastfood"),
        **_MEASURE,
    },
}


def cases() -> st.SearchStrategy[Case]:
    """Files of some entries, sensible or not, and files of any text."""
    return st.one_of(*(_case(command) for command in FIELDS), _text(), st.deferred(_nested))


@st.composite
def _case(draw: st.DrawFn, command: str) -> Case:
    fields = FIELDS[command]
    chosen = draw(
        st.lists(st.sampled_from(sorted(fields)), min_size=1, max_size=MOST_AT_ONCE, unique=True)
    )
    given: dict[str, Any] = {}
    senseless = []
    for key in chosen:
        kind = fields[key]
        good = not kind.sensible.is_empty and draw(st.booleans())
        given[key] = draw(kind.sensible if good else kind.senseless)
        senseless += [] if good else [key.rpartition(".")[2]]
    return Case(f"config check --for {command}", given, tuple(senseless))


def _text() -> st.SearchStrategy[Case]:
    """Text that is no configuration: it says nothing, or starts with what no schema has."""
    text = st.text(st.characters(exclude_categories=["Cs"]), max_size=60).map(lambda t: "? [" + t)
    return text.map(lambda t: Case("config check --for measure", {"text": t}, ("line", "yaml")))


def _nested() -> st.SearchStrategy[Case]:
    """Brackets within brackets."""
    return st.integers(1, 50).map(
        lambda depth: Case(
            "config check --for sweep", {"text": "steps: " + "[" * depth + "1" + "]" * depth},
            ("steps", "line") if depth > 1 else (),
        )
    )  # fmt: skip


def call(case: Case) -> str | None:
    """Check the file; what the command says of what is wrong with it, None where it is right."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "point.yaml"
        text = case.given["text"] if "text" in case.given else yaml.safe_dump(_tree(case.given))
        file.write_text(text, encoding="utf-8")
        command = [*case.target.split(), str(file)]
        result = CliRunner().invoke(app, command, env={"COLUMNS": "400"})
        if result.exit_code not in (0, 1):
            raise AssertionError(f"ended with {result.exit_code}: {result.output[-200:]}")
        return said(result.stderr).replace(folder, "") if result.exit_code else None


def _tree(given: Mapping[str, Any]) -> dict[str, Any]:
    """Keys joined by dots as nested mappings."""
    tree: dict[str, Any] = {}
    for key, value in given.items():
        section, _, last = key.rpartition(".")
        (tree.setdefault(section, {}) if section else tree)[last] = value
    return tree
