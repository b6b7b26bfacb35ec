"""What each picture shows is what was measured."""

import numpy as np
import pytest
import xarray as xr

from landscope.figures import (
    clustering,
    clustering_table,
    curvature,
    gradient_power,
    growth,
    hessian_split,
    simplex,
    stability,
    tangent_kernel,
)
from landscope.figures.stages import NotMeasuredError, as_trajectory, stages


def shown(figure, name):
    return [trace for trace in figure.data if trace.name == name and trace.visible is not False]


def test_gradient_power_starts_at_nothing_and_marks_the_top_C(trajectory):
    figure = gradient_power.interactive(trajectory)
    power, cosines = shown(figure, "H")
    measured = trajectory["hessian_gradient_power"].values[-1]
    np.testing.assert_array_equal(power.y, [0, *measured])
    np.testing.assert_allclose(np.cumsum(cosines.y**2), measured)
    assert figure.layout.shapes[0].x0 == 10
    assert figure.layout.shapes[0].label.text == "C = 10"


def test_bars_of_clustering_are_the_measured_cosines(trajectory):
    figure = clustering.interactive(trajectory)
    for name, variable in (("q<sub>SLSC</sub>", "q_slsc"), ("q<sub>DL</sub>", "q_dl")):
        np.testing.assert_array_equal(shown(figure, name)[0].y, trajectory[variable].values)


def test_the_clustering_table_has_logit_and_class_in_its_rows(trajectory):
    figure = clustering_table.interactive(trajectory)
    table = trajectory["clustering_table"].values[-1]
    k, a, other, b = 3, 1, 4, 5
    row, column = 10 * k + a, 10 * other + b
    heatmap = figure.data[0]
    assert heatmap.z[row][column] == pytest.approx(table[k, a, other, b], rel=1e-6)
    assert heatmap.y[row] == "logit 3 on class 1"
    assert heatmap.x[column] == "logit 4 on class 5"


def test_a_large_clustering_table_is_cut_and_says_so():
    figure = clustering_table.interactive(table_of(12))
    assert figure.data[0].z.shape == (100, 100)
    assert "first 10 of 12" in figure.layout.annotations[-1].text


def table_of(size):
    dims = ("logit", "true_class", "logit_2", "true_class_2")
    return xr.Dataset({"clustering_table": (dims, np.ones((size,) * 4))})


def test_chosen_logits_of_a_vocabulary_are_named_by_their_index():
    chosen = table_of(3).assign(logits=("logit", [7, 501, 40000]), num_classes=50257)
    figure = clustering_table.interactive(chosen)
    assert figure.data[0].x[1] == "logit 7 on class 501"
    assert "3 of 50,257 logits" in figure.layout.annotations[-1].text
    p = np.tile([0.2, 0.1, 0.4], (8, 1))
    chosen["probabilities"] = ("example", "logit"), p
    chosen["targets"] = "example", [7, 7, 501, 501, 501, 40000, 3, 3]
    (stage,) = stages(as_trajectory(chosen))
    clouds = simplex.clouds(stage, [7, 501, 40000])
    assert [len(cloud.points) for cloud in clouds] == [2, 3, 1]
    np.testing.assert_allclose(clouds[0].mean, [2 / 7, 1 / 7, 4 / 7])
    assert "50,257 classes" in simplex.interactive(chosen).layout.annotations[-1].text


def test_the_limit_of_stability_is_the_measured_one(trajectory):
    limit = 3.8 / trajectory["learning_rate"]
    measured = trajectory.assign(
        sharpness_limit=limit.assign_attrs(limit_of="λ_max(H)")
    ).assign_attrs(momentum=0.5)
    (drawn,) = shown(curvature.interactive(measured), "limit of stability")
    np.testing.assert_array_equal(drawn.y, limit.values)


def test_the_limit_of_stability_knows_momentum_where_it_was_not_measured(trajectory):
    recorded = trajectory.drop_vars("sharpness_limit")
    (plain,) = shown(curvature.interactive(recorded), "limit of stability")
    np.testing.assert_allclose(plain.y, 2 / trajectory["learning_rate"].values)
    heavy = curvature.interactive(recorded.assign_attrs(momentum=0.9))
    np.testing.assert_allclose(shown(heavy, "limit of stability")[0].y, 1.9 * plain.y)


def test_no_limit_of_stability_where_it_is_none_of_the_hessian(trajectory):
    recorded = trajectory.drop_vars("sharpness_limit")
    preconditioned = trajectory["sharpness_limit"].assign_attrs(limit_of="λ_max(P⁻¹H)")
    for without in (
        recorded.assign_attrs(optimizer="adam"),
        recorded.drop_vars("learning_rate"),
        trajectory.assign(sharpness_limit=preconditioned),
    ):
        assert {trace.name for trace in curvature.interactive(without).data} == {"H", "G"}


def test_a_warm_up_from_nothing_has_no_limit_of_stability_at_its_start(trajectory):
    for measured in (trajectory, trajectory.drop_vars("sharpness_limit")):
        warming = measured.copy(deep=True)
        warming["learning_rate"][0] = 0.0
        if "sharpness_limit" in warming:
            warming["sharpness_limit"][0] = np.inf
        (limit,) = shown(curvature.interactive(warming), "limit of stability")
        np.testing.assert_array_equal(np.isnan(limit.y), [True] + [False] * 6)


def test_stability_shows_the_ratio_and_both_learning_rates(trajectory):
    figure = stability.interactive(trajectory)
    for name, variable in (
        ("ratio", "stability_ratio"),
        ("η", "learning_rate"),
        ("largest stable η", "max_learning_rate"),
    ):
        np.testing.assert_array_equal(shown(figure, name)[0].y, trajectory[variable].values)
    assert figure.layout.yaxis2.type == "log"
    assert set(shown(figure, "edge of stability")[0].y) == {1}
    assert set(figure.data[0].y) == {0.9, 1.1}
    assert list(figure.layout.yaxis2.range) == [-2, 1]
    low, high = figure.layout.yaxis.range
    assert low <= 0.0
    assert high > trajectory["stability_ratio"].max()


def test_stability_leaves_out_what_a_logarithm_cannot_show(trajectory):
    warming = trajectory.copy(deep=True)
    warming["learning_rate"][0] = 0.0
    warming["max_learning_rate"][3] = np.inf
    figure = stability.interactive(warming)
    assert np.isnan(shown(figure, "η")[0].y).tolist() == [True] + [False] * 6
    assert np.isnan(shown(figure, "largest stable η")[0].y).sum() == 1


def test_the_largest_eigenvalue_has_its_residual_as_error(trajectory):
    sharpness = shown(curvature.interactive(trajectory), "H")[0]
    np.testing.assert_array_equal(sharpness.y, trajectory["hessian_eigenvalues"].values[:, 0])
    np.testing.assert_array_equal(
        sharpness.error_y.array, trajectory["hessian_residuals"].values[:, 0]
    )


def test_error_bars_of_estimates_are_two_standard_errors(trajectory):
    (ratio,) = shown(hessian_split.interactive(trajectory), "‖R‖/‖G‖")
    np.testing.assert_allclose(
        ratio.error_y.array, 2 * trajectory["logit_curvature_ratio_stderr"].values
    )


def test_growth_shows_the_spread_of_logit_gradients(trajectory):
    (length,) = shown(growth.interactive(trajectory), "‖J<sub>k</sub>‖")
    np.testing.assert_array_equal(
        length.error_y.array, trajectory["logit_gradient_norm_std"].values
    )


def test_growth_marks_the_entropy_of_ignorance(trajectory):
    levels = {shape.label.text: shape.y0 for shape in growth.interactive(trajectory).layout.shapes}
    assert levels["ln C"] == pytest.approx(np.log(10))
    assert levels["√(2 ln C)"] == pytest.approx(2.146, abs=1e-3)


def test_the_tangent_kernel_without_a_reference_has_no_drift(trajectory):
    unknown = trajectory.assign(tangent_kernel_drift=np.nan * trajectory["loss"])
    names = {trace.name for trace in tangent_kernel.interactive(unknown).data}
    assert "Tr K" in names
    assert "drift" not in names


def test_the_simplex_restricts_and_renormalises(trajectory):
    stage = stages(as_trajectory(trajectory))[3]
    cloud = simplex.clouds(stage, [2, 5, 7])[1]
    p = trajectory["probabilities"].values[3][trajectory["targets"].values[3] == 5]
    expected = p[:, [2, 5, 7]] / (p[:, 2] + p[:, 5] + p[:, 7])[:, None]
    np.testing.assert_allclose(cloud.points, expected, rtol=1e-6)
    np.testing.assert_allclose(cloud.mean, expected.mean(axis=0), rtol=1e-6)


def test_the_simplex_keeps_at_most_a_hundred_examples_of_a_class(three_classes):
    many = xr.concat([three_classes.isel(step=0)] * 5, dim="example", data_vars="minimal")
    (stage,) = stages(as_trajectory(many))
    for cloud in simplex.clouds(stage, [0, 1, 2]):
        assert cloud.points.shape == (100, 3)


def test_the_simplex_says_when_classes_were_left_out(trajectory, three_classes):
    assert "renormalised" in simplex.interactive(trajectory).layout.annotations[0].text
    assert "renormalised" not in simplex.interactive(three_classes).layout.annotations[0].text


def test_the_simplex_wants_three_classes(snapshot):
    two = snapshot.assign(targets=snapshot["targets"] % 2)
    with pytest.raises(NotMeasuredError, match="three classes, found 2"):
        simplex.figure(two)


@pytest.mark.usefixtures("not_laid_out")
def test_what_ranges_over_many_scales_is_drawn_on_a_logarithmic_axis(trajectory):
    steep = trajectory.assign(
        hessian_trace=10.0 ** (trajectory["step"] / 100.0),
        tangent_kernel_drift=trajectory["tangent_kernel_drift"] * 0,
    )
    layout = curvature.interactive(steep).layout
    assert layout.yaxis2.type == "log"
    assert layout.yaxis3.type != "log"
    assert curvature.figure(steep).axes[1].get_yscale() == "log"
    assert tangent_kernel.interactive(steep).layout.yaxis3.type != "log"


@pytest.mark.usefixtures("not_laid_out")
def test_error_bars_that_reach_zero_do_not_stretch_a_logarithmic_axis(trajectory):
    steep = trajectory.assign(hessian_trace=10.0 ** (trajectory["step"] / 100.0))
    unsure = steep.assign(hessian_trace_stderr=steep["hessian_trace"])
    low, high = curvature.figure(unsure).axes[1].get_ylim()
    assert 0.1 < low < 1
    assert high < 1e7
