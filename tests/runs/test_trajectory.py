import numpy as np
import xarray as xr

from landscope.runs import concatenate


def snapshot(step, **variables):
    return xr.Dataset(variables).assign_coords(step=step)


def test_a_variable_missing_somewhere_is_nan_there_and_keeps_its_attributes():
    trajectory = concatenate(
        [
            snapshot(0, loss=2.0),
            snapshot(5, loss=1.0, accuracy=((), 0.5, {"units": "1"})),
            snapshot(9, accuracy=0.75),
        ]
    )
    np.testing.assert_array_equal(trajectory.step, [0, 5, 9])
    np.testing.assert_array_equal(trajectory.loss, [2.0, 1.0, np.nan])
    np.testing.assert_array_equal(trajectory.accuracy, [np.nan, 0.5, 0.75])
    assert trajectory.accuracy.attrs == {"units": "1"}


def test_shorter_ranks_are_padded_at_the_end():
    trajectory = concatenate(
        [
            snapshot(
                0, values=("rank", [3.0, 2.0, 1.0]), table=(("logit", "rank"), np.ones((2, 3)))
            ),
            snapshot(1, values=("rank", [5.0]), table=(("logit", "rank"), np.zeros((2, 1)))),
        ]
    )
    assert trajectory["values"].dims == ("step", "rank")
    np.testing.assert_array_equal(trajectory["values"], [[3, 2, 1], [5, np.nan, np.nan]])
    np.testing.assert_array_equal(
        trajectory["table"].sel(step=1), [[0, np.nan, np.nan], [0, np.nan, np.nan]]
    )


def test_labels_are_kept_and_joined():
    digits = {"logit": ["zero", "one"]}
    trajectory = concatenate(
        [
            snapshot(0, p=("logit", [0.5, 0.5])).assign_coords(digits),
            snapshot(1, p=("logit", [0.1, 0.9])).assign_coords(digits),
        ]
    )
    assert list(trajectory.logit.values) == ["zero", "one"]
    np.testing.assert_array_equal(trajectory.p.sel(logit="one"), [0.5, 0.9])


def test_integers_stay_integers_where_nothing_is_missing():
    trajectory = concatenate([snapshot(0, outliers=9), snapshot(1, outliers=8)])
    assert trajectory.outliers.dtype.kind == "i"


def test_a_single_snapshot_makes_a_trajectory_of_one_step():
    assert concatenate([snapshot(4, loss=1.0)]).sizes == {"step": 1}
