import numpy as np

from landscope.figures.stages import as_trajectory
from landscope.figures.summary import summary


def rows(trajectory):
    return {row.label: row for group in summary(as_trajectory(trajectory)) for row in group.rows}


def test_the_peak_is_the_largest_value_and_its_step(trajectory):
    row = rows(trajectory)["λ<sub>max</sub>(H), loss/weight²"]
    values = trajectory["hessian_eigenvalues"].values[:, 0]
    peak = int(np.argmax(values))
    assert 0 < peak < 6
    assert row.peak_step == trajectory["step"].values[peak]
    assert float(row.peak.split(" ± ")[0]) == np.round(values[peak], 4)


def test_the_gradient_power_is_that_of_the_top_C(trajectory):
    power = trajectory["hessian_gradient_power"].values
    row = rows(trajectory)["share of ‖g‖² in the top C of H"]
    assert (row.first, row.last) == (f"{power[0, 9]:.4g}", f"{power[-1, 9]:.4g}")


def test_estimates_have_one_standard_error(trajectory):
    value, error = rows(trajectory)["Tr H, loss/weight²"].last.split(" ± ")
    last = trajectory.isel(step=-1)
    assert abs(float(value) - last["hessian_trace"].item()) < 0.1
    assert abs(float(error) - last["hessian_trace_stderr"].item()) < 0.1


def test_what_was_not_measured_has_no_row(snapshot):
    groups = summary(as_trajectory(snapshot[["q_sl", "num_classes"]]))
    assert [(group.heading, len(group.rows)) for group in groups] == [
        ("Observation 2 · logit gradients cluster", 1)
    ]
