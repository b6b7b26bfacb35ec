import io

import numpy as np
import pytest
import xarray as xr
from rich.console import Console

from landscope.cli.tables import properties_table, snapshot_table, trajectory_tables
from landscope.experiments import four_properties


def printed(*tables, width=200):
    console = Console(file=io.StringIO(), width=width)
    console.print(*tables, sep="\n")
    return console.file.getvalue()


@pytest.fixture
def trajectory():
    power = np.array([[0.1, 0.2, 0.3, 0.35], [0.2, 0.5, 0.75, 0.8], [0.3, 0.8, 0.9, 0.95]])
    return xr.Dataset(
        {
            "loss": ("step", [1.1, 0.5, 0.01]),
            "num_classes": ("step", [3, 3, 3]),
            "num_params": ("step", [6000, 6000, 6000]),
            "hessian_eigenvalues": (
                ("step", "rank"),
                np.outer([1.5, 40.0, 8.0], [1, 0.5, 0.2, 0.1]),
            ),
            "hessian_gradient_power": (("step", "rank"), power),
            "hessian_top_gradient_power": ("step", power[:, 2]),
            "hessian_num_outliers": ("step", [2, 2, 3]),
            "hessian_trace_over_norm": ("step", [2.0, 1.9, 1.5]),
            "hessian_trace_over_norm_stderr": ("step", [0.02, 0.03, 0.04]),
            "gauss_newton_trace_over_norm": ("step", [2.5, 2.4, 2.2]),
            "gauss_newton_trace_over_norm_stderr": ("step", [0.1, 0.2, 0.3]),
        },
        coords={"step": [0, 10, 100]},
    )


def test_trajectory_shows_each_step_with_its_main_numbers(trajectory):
    text = printed(*trajectory_tables(trajectory))
    row = next(line for line in text.splitlines() if line.strip("│ ").startswith("10 "))
    assert [cell.strip() for cell in row.strip("│").split("│")] == [
        "10",
        "0.5",
        "40",
        "2",
        "0.75",
        "1.90(3)",
    ]


def test_trajectory_shows_stability_where_it_was_measured(trajectory):
    assert "Stability" not in printed(*trajectory_tables(trajectory))
    rates = {"max_learning_rate": ("step", [1.3, 0.05, 0.1]), "at_edge": ("step", [0, 1, 0])}
    text = printed(*trajectory_tables(trajectory.assign(rates)))
    assert "largest stable η" in text
    row = [line for line in text.splitlines() if line.strip("│ ").startswith("10 ")][-1]
    assert [cell.strip() for cell in row.strip("│").split("│")] == ["10", "0.05", "1"]


def test_trajectory_fits_into_80_characters(trajectory):
    wide, narrow = (printed(*trajectory_tables(trajectory), width=w) for w in (200, 80))
    assert wide.split() == narrow.split()


def test_trajectory_leaves_out_what_was_not_measured(trajectory):
    text = printed(*trajectory_tables(trajectory.drop_vars("hessian_trace_over_norm")))
    assert "Tr H" not in text
    assert "λmax" in text


def test_snapshot_shows_scalars_with_error_and_unit(trajectory):
    snapshot = trajectory.isel(step=0)
    snapshot["loss"].attrs = {"long_name": "mean loss", "units": "nats"}
    lines = printed(snapshot_table(snapshot, "a point")).splitlines()
    assert any("mean loss" in line and "1.1" in line and "nats" in line for line in lines)
    assert any("hessian_trace_over_norm" in line and "2.000 ± 0.020" in line for line in lines)
    assert any("num_params" in line and "6,000" in line for line in lines)
    assert not any("stderr" in line or "hessian_eigenvalues" in line for line in lines)


def test_properties_are_set_beside_what_the_paper_says(trajectory):
    text = printed(properties_table(four_properties(trajectory)))
    assert "2 or 3" in text
    assert "2 → 2 (at the peak, step 10) → 3" in text
    assert "0.30 → 0.90" in text
    assert "C/D = 0.0005" in text
    assert "1.5 → 40 (step 10) → 8 (step 100): rises, then falls" in text
    assert "H: 2.000 ± 0.020 → 1.500 ± 0.040" in text
    assert "G-term: 2.50 ± 0.10 → 2.20 ± 0.30" in text
    assert "no hyperplane is trained" in text


def test_a_rise_without_a_fall_is_said_to_be_none(trajectory):
    text = printed(properties_table(four_properties(trajectory.isel(step=[0, 1]))))
    assert "not seen at these steps" in text
