"""The commands of docs/distributed.md, as written there."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from landscope.runs import Run

PAGE = Path(__file__).parents[2] / "docs" / "distributed.md"
OF_SINGLE_VECTORS = ("share", "cosines", "power", "residuals")
"""What rounding decides where eigenvalues are equal, such as 0."""
POINT = """
network: {name: small_cnn, width: 0.25}
data: {name: digits, max_examples: 60}
measure: {num_eigenvalues: 3, num_probes: 2, num_steps: 10}
"""
MODULE = """
import torch, landscope as ls

def make_problem():
    torch.manual_seed(0)
    data = torch.randn(30, 4), torch.randint(3, (30,))
    return ls.Problem(torch.nn.Linear(4, 3), data)
"""


def commands() -> list[str]:
    """What the page says to run, but for lines that need a GPU."""
    lines = re.findall(r"^torchrun .*$", PAGE.read_text(), flags=re.MULTILINE)
    return [line for line in lines if "cuda" not in line]


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess:
    beside = Path(sys.executable).parent
    environment = os.environ | {
        "PATH": f"{beside}{os.pathsep}{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "point.yaml").write_text(POINT)
    (tmp_path / "my_package").mkdir()
    (tmp_path / "my_package" / "my_module.py").write_text(MODULE)
    return tmp_path


@pytest.mark.slow
def test_commands_run_as_written_and_measure_what_one_process_does(folder):
    assert len(commands()) == 2
    for number, command in enumerate(commands()):
        done = run(shlex.split(command), folder)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("Report:") == 1  # rank 0 alone speaks
        measured = Run.open(folder / "runs" / "point").snapshot(0)
        (folder / "runs" / "point").rename(folder / "runs" / f"together{number}")

        target = shlex.split(command)[6]
        alone = [sys.executable, "-m", "landscope", "measure", target, "--out", "runs/alone"]
        assert run(alone, folder).returncode == 0
        expected = Run.open(folder / "runs" / "alone").snapshot(0)
        (folder / "runs" / "alone").rename(folder / "runs" / f"alone{number}")
        assert set(measured) == set(expected)
        for name in expected:
            if expected[name].dtype.kind == "f" and not name.endswith(OF_SINGLE_VECTORS):
                size = float(np.nan_to_num(np.abs(expected[name])).max(initial=1e-3))
                np.testing.assert_allclose(
                    np.abs(measured[name]), np.abs(expected[name]), atol=2e-3 * size, err_msg=name
                )


@pytest.mark.slow
def test_other_commands_run_in_one_process(folder):
    done = run(["torchrun", "--nproc-per-node", "1", "-m", "landscope", "demo"], folder)
    assert done.returncode != 0
    assert "landscope demo runs in one process" in done.stderr
