"""Commands, called with all kinds of options."""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import strategies as st
from typer.testing import CliRunner

from landscope.cli import app
from torture.case import Case
from torture.plain_reports import plain_reports
from torture.values import Kind

MOST_AT_ONCE = 3
"""Options that one command is given."""

TARGET = """import torch, landscope as ls

def make():
    inputs = torch.arange(48.0).view(12, 4).cos()
    return ls.Problem(torch.nn.Linear(4, 3), (inputs, torch.arange(12) % 3))
"""
"""A module of the user's, in the folder that commands run in."""

_NO_NUMBERS = ("a", "", " ", "nan", "inf", "-inf", "1e400", "1,5", "1;2", "0x10", "--", "\u0000")
_NO_NAMES = ("nonsense", "", " ", "3", "a" * 5000, "a\nb", "*")


@dataclass(frozen=True)
class Command:
    """A command that does little where its options are sensible.

    Attributes
    ----------
    arguments : tuple of str
        What it is always given.
    options : mapping
        Option: texts to give it.
    quick : bool
        Whether it ends within seconds where all is sensible.
    """

    arguments: tuple[str, ...]
    options: Mapping[str, Kind] = field(default_factory=dict)
    quick: bool = True


def whole(least: int, most: int, *, huge: bool = True) -> Kind:
    """Whole numbers as text; none below `least`, and none that no computer can count to."""
    beyond = [str(least - 1), "-3", "0.5", "1.5", "-9999999999999999999999"]
    beyond += ["9999999999999", "99999999999999999999999", "1" + "0" * 300] if huge else []
    return Kind(st.integers(least, most).map(str), st.sampled_from([*_NO_NUMBERS, *beyond]))


def real(low: float, high: float, *beyond: str) -> Kind:
    """Numbers as text, none of those beyond."""
    numbers = st.floats(low, high).map(repr)
    return Kind(numbers, st.sampled_from([*_NO_NUMBERS, *beyond]))


def name(*accepted: str) -> Kind:
    """One of some names."""
    return Kind(st.sampled_from(accepted), st.sampled_from(_NO_NAMES))


def texts(sensible: list[str], senseless: list[str]) -> Kind:
    """One of the texts named."""
    return Kind(st.sampled_from(sensible), st.sampled_from(senseless))


_SEED = Kind(
    st.integers(0, 99).map(str),
    whole(0, 99).senseless.filter(lambda text: text != "9999999999999"),  # no count: it may be so
)
_DEVICE = texts(["cpu"], ["", "nonsense", "cpu:x", "-1", "a\nb"])
_POSITIVE = ("0", "-1", "-1e308")
_MEASURE = {
    "--num-eigenvalues": whole(1, 3),
    "--num-probes": whole(2, 4),
    "--lanczos-steps": whole(1, 9),
    "--tol": real(1e-3, 0.1, *_POSITIVE, "1", "1e308"),
    "--products": name("auto", "double_backward"),
    "--memory-limit": texts(["64MiB", "100000000"], ["lots", "-1", "0", "", "nan", "1 parsec"]),
    "--logits": Kind(st.just("2"), whole(1, 2).senseless),
    "--seed": _SEED,
    "--device": _DEVICE,
}
_TRAIN = {
    "--data": name("digits", "gaussian_mixture"),
    "--classes": texts(["0,1", "3,5,8"], ["a", "", "0", "0,0", "-1,2", "0,99", "0.5,1", "1e9,2"]),
    "--network": name("small_cnn", "fully_connected"),
    "--nonlinearity": name("relu", "tanh"),
    "--normalization": name("none", "group"),
    "--width": real(0.05, 0.2, *_POSITIVE, "1e308", "1e12", "1e5"),
    "--radius": real(0.5, 2, *_POSITIVE),
    "--train-examples": Kind(st.integers(64, 99).map(str), whole(1, 99).senseless),
    "--test-examples": Kind(st.integers(10, 20).map(str), whole(1, 20).senseless),
    "--steps": whole(1, 2),
    "--batch-size": whole(1, 9),
    "--optimizer": name("sgd", "adam"),
    "--learning-rate": real(1e-3, 0.1, *_POSITIVE),
    "--momentum": real(0, 0.9, "-0.1", "1", "1e308"),
    "--weight-decay": real(0, 0.1, "-0.1"),
    "--schedule": name("constant", "cosine"),
    "--warmup-steps": whole(0, 1),
    "--num-measurements": whole(2, 2),
    "--measure-examples": Kind(st.integers(12, 20).map(str), whole(1, 20).senseless),
    "--checkpoint-every": whole(1, 9),
    "--hyperplane-dim": whole(1, 9),
    "--hyperplane-kind": name("dense", "sparse"),
    **_MEASURE,
}
_QUICK = ("--num-eigenvalues", "1", "--num-probes", "2", "--lanczos-steps", "2", "--tol", "0.3")
_TINY = (*_QUICK, "--steps", "2", "--num-measurements", "2", "--measure-examples", "12",
         "--classes", "0,1", "--width", "0.05", "--network", "fully_connected")  # fmt: skip
_NO_RANGES = ["", "a", "1:2", "1:2:1", "1:2:3:4", "1:2:3:cubic", "0:1:9:log", "nan", "1:inf:3",
              "1:1:3", "1:2:99999999999999", "1:2:0.5", "-1e308:1e308:3", "1e400", ",", "1,,2",
              ":::"]  # fmt: skip
_COUNTS = texts(
    ["2", "2,3", "2:4:2"], [*_NO_RANGES, "0", "-1", "0.5", "0.5:3:2", "1:2.5:2", "1e30"]
)

COMMANDS: Mapping[str, Command] = {
    "train": Command(("train", *_TINY), _TRAIN, quick=False),
    "measure": Command(("measure", "own:make", *_QUICK), _MEASURE),
    "goldilocks": Command(
        ("goldilocks", "own:make", "--radii", "1,2", "--dim", "2", "--num-hyperplanes", "1"),
        {
            "--radii": texts(["1,2", "0.5:2:2:log"], [*_NO_RANGES, "0", "-1", "0:1:3"]),
            "--dim": whole(1, 5),
            "--num-hyperplanes": whole(1, 2),
            "--kind": name("dense", "sparse"),
            "--seed": _SEED,
            "--device": _DEVICE,
        },
    ),
    "intrinsic-dimension": Command(
        ("intrinsic-dimension", "own:make", "--dims", "2", "--steps", "2", "--num-seeds", "1"),
        {
            "--dims": _COUNTS,
            "--threshold": real(0.1, 0.9, *_POSITIVE, "1.5", "1e308"),
            "--num-seeds": whole(1, 2),
            "--kind": name("dense", "sparse"),
            "--steps": whole(1, 3),
            "--batch-size": whole(1, 9),
            "--seed": _SEED,
            "--device": _DEVICE,
        },
    ),
    "sweep": Command(
        ("sweep", "sweep.yaml"),
        {
            "--engine": name("processes"),
            "--processes": whole(1, 2),
            "--cpus": whole(1, 1),
            "--retries": whole(0, 2),
            "--device": _DEVICE,
        },
        quick=False,
    ),
    "config init": Command(
        ("config", "init"), {"--for": name("measure", "sweep")}
    ),
    "reproduce": Command(
        ("reproduce", "fig5", "--scale", "smoke"),
        {"--scale": name("smoke"), "--processes": whole(1, 2), "--seed": _SEED},
        quick=False,
    ),
}  # fmt: skip


def cases(sensible_too: bool) -> st.SearchStrategy[Case]:
    """Commands with up to three options; those that are sensible take seconds each."""
    return st.sampled_from(sorted(COMMANDS)).flatmap(
        lambda one: _case(one, sensible_too and COMMANDS[one].quick)
    )


@st.composite
def _case(draw: st.DrawFn, command: str, sensible_too: bool) -> Case:
    options = COMMANDS[command].options
    chosen = draw(
        st.lists(st.sampled_from(sorted(options)), min_size=1, max_size=MOST_AT_ONCE, unique=True)
    )
    given, senseless = {}, []
    # One in sixty-four, none of which hypothesis prefers, is sensible where that is asked for.
    all_sensible = sensible_too and draw(st.integers(0, 63)) == 41
    for place, option in enumerate(chosen):
        good = all_sensible or (place > 0 and draw(st.booleans()))
        given[option] = draw(options[option].sensible if good else options[option].senseless)
        senseless += [] if good else [option]
    return Case(command, given, tuple(senseless))


def call(case: Case) -> str | None:
    """Run the command in an empty folder; what it says on a refusal, None where it is done."""
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            return _run(case, Path(folder))
        finally:
            os.chdir(here)


def _run(case: Case, folder: Path) -> str | None:
    (folder / "own.py").write_text(TARGET)
    (folder / "sweep.yaml").write_text("steps: 1\nseed: [0]\n")
    options = [part for option, text in case.given.items() for part in (option, text)]
    out = [] if case.target == "config init" else ["--out", "out"]
    with plain_reports():
        result = CliRunner().invoke(
            app, [*COMMANDS[case.target].arguments, *out, *options], env={"COLUMNS": "400"}
        )
    if result.exit_code == 0:
        return None
    if result.exit_code not in (1, 2):
        raise AssertionError(f"ended with {result.exit_code}: {result.output[-200:]}")
    if list(folder.glob("out/**/*.nc")):
        raise AssertionError(f"measured before it was refused: {result.stderr[-200:]}")
    return said(result.stderr) if result.exit_code == 1 else _usage_error(result.stderr)


def said(printed: str) -> str:
    """What an error says; raises where it is none that is foreseen, or something is before it."""
    text = printed.strip()
    if not text.startswith("Error: ") or text.startswith("Error: unexpected "):
        raise AssertionError(f"no sentence: {printed[-400:]!r}")
    return text


def _usage_error(printed: str) -> str:
    """What stands in the box below the usage, in one line."""
    box = [line.strip("│ ") for line in printed.splitlines() if line.startswith("│")]
    return " ".join(box)[:300]
