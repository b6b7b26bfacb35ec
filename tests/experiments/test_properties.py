import numpy as np
import pytest
import xarray as xr

from landscope.experiments.properties import CurvatureTransient, four_properties


def test_power_is_read_at_the_last_rank_where_fewer_than_c_eigenvectors_were_found():
    trajectory = xr.Dataset(
        {
            "num_classes": ("step", [10, 10]),
            "num_params": ("step", [500, 500]),
            "hessian_eigenvalues": (("step", "rank"), np.ones((2, 3))),
            "hessian_gradient_power": (("step", "rank"), [[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]]),
            "hessian_num_outliers": ("step", [9, 11]),
            "hessian_trace_over_norm": ("step", [3.0, 2.0]),
            "hessian_trace_over_norm_stderr": ("step", [0.1, 0.2]),
            "gauss_newton_trace_over_norm": ("step", [5.0, 4.0]),
            "gauss_newton_trace_over_norm_stderr": ("step", [0.3, 0.4]),
        },
        coords={"step": [0, 5]},
    )
    found = four_properties(trajectory)
    assert (found.gradient.initial, found.gradient.final) == (0.3, 0.6)
    assert found.gradient.chance == 10 / 500
    assert (found.outliers.initial, found.outliers.at_peak, found.outliers.final) == (9, 9, 11)
    assert (found.signature.initial, found.signature.final.stderr) == (3.0, 0.2)
    assert (found.signature.final_gauss_newton, found.signature.initial_gauss_newton) == (4.0, 5.0)


def test_transient_needs_a_peak_between_the_ends():
    assert CurvatureTransient(1.0, 9.0, 2.0, peak_step=5, final_step=8).rises_then_falls
    assert not CurvatureTransient(1.0, 9.0, 9.0, peak_step=8, final_step=8).rises_then_falls
    assert not CurvatureTransient(9.0, 9.0, 2.0, peak_step=0, final_step=8).rises_then_falls


def test_what_was_not_measured_is_named():
    with pytest.raises(ValueError, match="lacks num_params, hessian_eigenvalues"):
        four_properties(xr.Dataset({"num_classes": ("step", [10])}, coords={"step": [0]}))
