import numpy as np
import pytest
import xarray as xr

from landscope.figures.stages import (
    NotMeasuredError,
    absent,
    as_trajectory,
    number_of_classes,
    series,
    stages,
    training_axis,
)


def test_a_snapshot_is_a_trajectory_of_its_one_step(snapshot):
    trajectory = as_trajectory(snapshot)
    assert [stage.label for stage in stages(trajectory)] == ["step 316"]
    assert stages(trajectory)[0].number("q_sl") == snapshot["q_sl"].item()


def test_what_is_missing_or_nowhere_finite_is_absent(trajectory):
    drift = xr.full_like(trajectory["tangent_kernel_drift"], np.nan)
    assert absent(trajectory.assign(tangent_kernel_drift=drift), ["loss", "tangent_kernel_drift"])
    assert absent(trajectory, ["loss", "no_such_thing"]) == ["no_such_thing"]
    with pytest.raises(NotMeasuredError, match="'no_such_thing' was not measured"):
        as_trajectory(trajectory, ["no_such_thing"])


def test_stages_are_thinned_but_keep_first_and_last(trajectory):
    assert [stage.step for stage in stages(trajectory, at_most=3)] == [0, 32, 600]
    assert len(stages(trajectory)) == trajectory.sizes["step"]
    assert len({stage.colour for stage in stages(trajectory)}) == trajectory.sizes["step"]


def test_padding_is_no_measurement(trajectory):
    shorter = trajectory["hessian_eigenvalues"].where(trajectory["rank"] < 5)
    stage = stages(trajectory.assign(hessian_eigenvalues=shorter))[0]
    np.testing.assert_array_equal(
        stage.vector("hessian_eigenvalues"), trajectory["hessian_eigenvalues"].values[0, :5]
    )
    assert stage.vector("no_such_thing").size == 0


def test_series_without_steps_is_constant(trajectory):
    constant = trajectory.assign(num_params=7)
    np.testing.assert_array_equal(series(constant, "num_params"), np.full(7, 7.0))
    assert np.isnan(series(trajectory, "no_such_thing")).all()


def test_number_of_classes_is_read_where_only_the_logits_say_it(trajectory):
    assert number_of_classes(trajectory.drop_vars("num_classes")) == 10


@pytest.mark.parametrize("steps", [[0, 1, 10, 100, 1000], [0, 100, 200, 300], [5], [0], [3, 1000]])
def test_the_training_axis_keeps_the_order_of_steps_and_labels_its_ends(steps):
    axis = training_axis(steps)
    assert (np.diff(axis.positions) > 0).all()
    assert np.isfinite(axis.positions).all()
    assert axis.ticks == sorted(axis.ticks)
    assert axis.tick_labels[-1] == f"{steps[-1]:,}"
    assert axis.ticks[-1] == pytest.approx(axis.positions[-1])
