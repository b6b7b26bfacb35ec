"""Random damages to the files of a run: a sentence, and never a wrong number."""

import shutil

import numpy as np
import pytest
import torch
import xarray as xr

from landscope.runs import Run

CONFIG = {"seed": 0, "rate": 0.1}
STEPS = (0, 3, 10)


def write(folder, value):
    with Run.create(folder, CONFIG) as run:
        for step in STEPS:
            run.write_snapshot(step, xr.Dataset({"loss": value + step}))
            run.write_checkpoint(step, {"w": torch.full((6,), value + step)}, {})
        run.write_reference({"w": torch.full((6,), value)})
        run.write_summary({"loss": value})
        run.write_table(xr.Dataset({"t": ("x", np.arange(3.0) + value)}))
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return write(folder / "ours", 1.0), write(folder / "other", 100.0)


def flip(content, generator):
    content[generator.integers(len(content))] ^= 1 << generator.integers(8)


def overwrite(content, generator):
    at = generator.integers(len(content))
    content[at : at + 64] = generator.bytes(len(content[at : at + 64]))


def truncate(content, generator):
    del content[generator.integers(len(content)) :]


def insert(content, generator):
    at = generator.integers(len(content))
    content[at:at] = generator.bytes(5)


def damage(path, other, generator):
    """One of the damages above, or a file of the other run, or another file of this one."""
    kind = generator.integers(6)
    if kind == 4 and path.name != "config.json":  # which says what the run is
        shutil.copy(other, path)
    elif kind == 5:
        siblings = sorted(file for file in path.parent.iterdir() if file != path and file.is_file())
        shutil.copy(siblings[generator.integers(len(siblings))], path)
    else:
        content = bytearray(path.read_bytes())
        (flip, overwrite, truncate, insert)[kind % 4](content, generator)
        path.write_bytes(content)


def read(run):
    """All that is there, beside what it must be; errors are those that commands put in words."""
    for found, expected in (
        (lambda: run.config, CONFIG),
        (lambda: run.trajectory().loss.values.tolist(), [1.0 + step for step in run.steps()]),
        (lambda: run.latest_checkpoint(), None),
        (lambda: run.reference()["w"].tolist(), [1.0] * 6),
        (lambda: run.summary()["loss"], 1.0),
        (lambda: run.table().t.values.tolist(), [1.0, 2.0, 3.0]),
    ):
        said = ""
        try:
            value = found()
        except ValueError as refused:
            said = str(refused)
        if said:
            assert str(run.path) in said
        elif expected is None:
            assert value is None or value.tensors["w"].tolist() == [1.0 + value.step] * 6
        else:
            assert value == expected


@pytest.mark.filterwarnings("ignore:.*(left out|is used)")
@pytest.mark.parametrize(
    "seeds", [range(12), pytest.param(range(12, 500), marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_a_damaged_run_says_so_and_never_gives_a_wrong_number(runs, tmp_path, seeds):
    ours, other = runs
    names = sorted(file.relative_to(ours) for file in ours.rglob("*") if file.is_file())
    for seed in seeds:
        generator = np.random.default_rng(seed)
        folder = shutil.copytree(ours, tmp_path / str(seed))
        name = names[generator.integers(len(names))]
        damage(folder / name, other / name, generator)
        read(Run(folder))
        shutil.rmtree(folder)
