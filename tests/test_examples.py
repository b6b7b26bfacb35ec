"""Every script of `examples/` runs as it stands, and is short."""

import runpy
import sys
from pathlib import Path

import pytest

from landscope.figures import clustering
from landscope.runs import Run

EXAMPLES = Path(__file__).parents[1] / "examples"
# Where each leaves its run, below the folder that it is given, and what the run must have.
RUNS = {
    "plain_loop": (".", {"stability_ratio", "q_slsc", "hessian_eigenvalues"}),
    "lightning_callback": (".", {"preconditioned_sharpness", "hessian_density"}),
    "hugging_face_trainer": ("run", {"stability_ratio", "entropy", "q_sl"}),
    "checkpoints_to_report": ("run", {"hessian_trace", "tangent_kernel_drift"}),
    "own_operator": (None, set()),
}


def test_all_examples_are_here():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(RUNS)


# The callbacks of these two are tested by themselves in tests/integrations.
LONG = ("lightning_callback", "hugging_face_trainer")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in LONG else []) for name in RUNS]
)
@pytest.mark.filterwarnings("ignore")  # of trainers and their loaders
def test_an_example_runs(name, tmp_path, monkeypatch, capfd):
    # Pictures, which take longest, are drawn in tests/figures: one for the screen is enough here.
    monkeypatch.setattr("landscope.figures.report.write_figures", lambda *_: [])
    for chapter in ("PROPERTIES", "EXPLANATIONS", "MONITORS", "OBSERVATIONS"):
        pictures = (clustering,) if chapter == "OBSERVATIONS" else ()
        monkeypatch.setattr(f"landscope.figures.report.{chapter}", pictures)
    script, (folder, variables) = EXAMPLES / f"{name}.py", RUNS[name]
    assert len(script.read_text().splitlines()) <= 60
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(script), str(tmp_path / "out")])
    runpy.run_path(str(script), run_name="__main__")
    assert capfd.readouterr().out
    if folder is not None:
        run = Run.open(tmp_path / "out" / folder)
        assert len(run.steps()) >= 3
        trajectory = run.trajectory()
        assert variables <= set(trajectory.data_vars)
        assert trajectory.attrs["failures"] == ""
        assert float(trajectory.loss[-1]) < float(trajectory.loss[0])
