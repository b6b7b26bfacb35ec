import numpy as np
import pytest

from landscope.figures.stages import as_trajectory
from landscope.figures.summary import plus_minus, summary


def rows(trajectory):
    return {row.label: row for group in summary(as_trajectory(trajectory)) for row in group.rows}


def test_the_peak_is_the_largest_value_and_its_step(trajectory):
    row = rows(trajectory)["λ<sub>max</sub>(H), loss/weight²"]
    values = trajectory["hessian_eigenvalues"].values[:, 0]
    peak = int(np.argmax(values))
    assert 0 < peak < 6
    assert row.peak_step == trajectory["step"].values[peak]
    assert row.peak == plus_minus(values[peak], trajectory["hessian_residuals"].values[peak, 0])


def test_the_gradient_power_is_that_of_the_top_C(trajectory):
    power = trajectory["hessian_gradient_power"].values
    row = rows(trajectory)["share of ‖g‖² in the top C of H"]
    assert (row.first, row.last) == (f"{power[0, 9]:.4g}", f"{power[-1, 9]:.4g}")


def test_stability_is_summed_up_where_it_was_measured(trajectory):
    row = rows(trajectory)["λ<sub>max</sub>(P⁻¹H) over its limit"]
    assert row.last == f"{trajectory['stability_ratio'].values[-1]:.4g}"
    concave = trajectory.copy(deep=True)
    concave["max_learning_rate"][-1] = np.inf
    assert rows(concave)["largest stable η"].last == "–"
    without = trajectory.drop_vars(["stability_ratio", "max_learning_rate"])
    headings = [group.heading for group in summary(without)]
    assert not any(heading.startswith("Stability") for heading in headings)


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


@pytest.mark.parametrize("value", [3.14159, -271.828, 1.2345e-7, 6.022e23, 0.99999])
@pytest.mark.parametrize("relative", [1e-9, 3e-4, 0.02, 0.7])
def test_a_number_is_written_to_within_its_error(value, relative):
    text = plus_minus(value, abs(value) * relative).replace("−", "-").replace("·10", "e")
    text = text.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789"))
    mantissa, _, power = text.partition("e")
    number, _, error = mantissa.strip("()").partition(" ± ")
    scale = 10.0 ** int(power or 0)
    assert float(number) * scale == pytest.approx(value, rel=max(0.1 * relative, 6e-5))
    if error:
        assert float(error) * scale == pytest.approx(abs(value) * relative, rel=0.5)
    else:
        assert relative < 1e-4
