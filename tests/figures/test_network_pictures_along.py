"""Pictures of networks along training and along the radius: what is drawn is what was measured."""

from functools import cache

import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import to_hex

from landscope.figures import static
from landscope.figures.gallery import file_stem
from landscope.figures.networks import (
    curvature_transient,
    gradient_confinement,
    growth_with_training,
    logit_curvature,
    outlier_count,
    outlier_origin,
    weight_scale,
)
from landscope.figures.networks.over_seeds import (
    each_seed,
    limits_around,
    mean_and_error,
    over_seeds,
)
from landscope.figures.style import FULL_WIDTH
from tests.figures import network_datasets_along as made

from .whole import assert_whole

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")

PICTURES = {
    growth_with_training: made.growth_with_training,
    outlier_count: made.properties,
    outlier_origin: made.properties,
    gradient_confinement: made.properties,
    curvature_transient: made.properties,
    logit_curvature: made.logit_curvature,
    weight_scale: made.weight_scale,
}


CHANGED = (growth_with_training, outlier_count, outlier_origin)
"""Pictures that change what was drawn."""


@pytest.fixture(scope="module")
def drawn():
    """Each picture of so many networks, drawn when it is first asked for."""
    return cache(lambda picture, num_seeds=3: picture.figure(PICTURES[picture](num_seeds)))


@pytest.fixture
def origin(drawn):
    """The picture of where outliers come from."""
    return drawn(outlier_origin)


def two_standard_errors(values: xr.DataArray) -> np.ndarray:
    axis = values.dims.index("seed")
    scatter = np.nanstd(values.values, axis=axis, ddof=1)
    return 2 * scatter / np.sqrt(np.isfinite(values.values).sum(axis))


def curve(panel, name):
    (found,) = (one for one in panel.curves if one.name == name)
    return found


# What one network lacks, error bars and words about them, is the same in all pictures.
@pytest.mark.parametrize(
    ("picture", "num_seeds"),
    [(growth_with_training, 1), *((picture, 3) for picture in PICTURES)],
    ids=lambda value: value if isinstance(value, int) else file_stem(value),
)
def test_a_picture_is_whole_and_says_how_to_read_it(picture, num_seeds, drawn):
    figure = assert_whole(picture, PICTURES[picture](num_seeds), drawn(picture, num_seeds))
    assert figure.get_size_inches()[0] <= FULL_WIDTH
    assert ": " in picture.TITLE


@pytest.mark.parametrize("picture", PICTURES, ids=file_stem)
def test_the_caption_says_how_many_networks_and_what_bars_are(picture):
    several, single = (picture._caption(PICTURES[picture](count)) for count in (3, 1))
    assert "One network" in single
    assert "standard errors" not in single
    if picture is outlier_origin:
        # Eigenvectors have no mean over seeds.
        assert several == single
    else:
        assert "3 networks" in several
        bars = "without error bars" if picture is outlier_count else "± 2 standard errors"
        assert bars in several


@pytest.mark.parametrize("picture", PICTURES, ids=file_stem)
@pytest.mark.usefixtures("not_laid_out")
def test_what_was_not_measured_is_left_out(picture, monkeypatch):
    """All seeds but one at one place, and all of them at the last."""
    # Rows differ in nothing but their scale, and in a level: one of each will do.
    monkeypatch.setattr(weight_scale, "_ROWS", weight_scale._ROWS[3:5])
    dataset = PICTURES[picture](3)
    floats = {name: values for name, values in dataset.items() if values.dtype.kind == "f"}
    missing = dataset.copy(deep=True)
    for name, values in floats.items():
        first = values.dims[0]
        if "seed" in values.dims:
            missing[name] = values.where((values[first] != values[first][1]) | (dataset.seed == 1))
            missing[name] = missing[name].where(values[first] != values[first][-1])
    picture.figure(missing).draw_without_rendering()
    picture.interactive(missing)


def nothing_measured(picture):
    return PICTURES[picture](3).map(
        lambda values: np.nan * values if values.dtype.kind == "f" else values, keep_attrs=True
    )


@pytest.mark.parametrize("picture", PICTURES, ids=file_stem)
def test_where_nothing_was_measured_nothing_is_shown(picture):
    picture.interactive(nothing_measured(picture))


# In print all are drawn alike but those that change it.
@pytest.mark.parametrize(
    "picture",
    [
        pytest.param(
            picture, marks=[pytest.mark.slow] * (picture not in CHANGED), id=file_stem(picture)
        )
        for picture in PICTURES
    ],
)
@pytest.mark.usefixtures("not_laid_out")
def test_where_nothing_was_measured_nothing_is_drawn(picture):
    picture.figure(nothing_measured(picture)).draw_without_rendering()


# Those that change what was drawn.
@pytest.mark.parametrize("picture", [outlier_count, outlier_origin], ids=file_stem)
def test_the_same_numbers_give_the_same_picture(picture, drawn, tmp_path):
    files = [tmp_path / name for name in ("first.svg", "second.svg")]
    for file, figure in zip(
        files, (drawn(picture), picture.figure(PICTURES[picture]())), strict=True
    ):
        static.write(figure, file)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_missing_seeds_are_not_counted():
    counts = [[1.0, 3.0, np.nan], [np.nan, 5.0, np.nan]]
    values = xr.DataArray(counts, {"seed": [0, 1, 2]}, ("place", "seed"))
    mean, error = mean_and_error(values)
    np.testing.assert_allclose(mean, [2, 5])
    np.testing.assert_allclose(error, [2, np.nan])
    one = over_seeds("a", np.arange(2), values, "#000000", at=["here", "there"])
    assert one.hover[0] == "here: 2 ± 2"
    assert over_seeds("a", np.arange(2), values.isel(seed=[1]), "#000000").error is None
    each = each_seed("a", np.arange(2), values, "#000000", at=["here", "there"])
    assert each.hover[:2] == ["here, seed 0: 1", "here, seed 1: 3"]


def test_an_axis_without_anything_above_zero_has_no_limits():
    assert limits_around() is None
    assert limits_around(np.array([np.nan, 0.0, -1.0])) is None


@pytest.mark.parametrize("num_seeds", [1, 4])
def test_growth_is_the_mean_over_seeds(num_seeds):
    dataset = made.growth_with_training(num_seeds)
    variance, length, norm, outwards = (
        panel.curves[0] for panel in growth_with_training._panels(dataset)
    )
    along = {"logit_gradient_norm": length, "weight_norm": norm}
    pairs = [(dataset[name], drawn) for name, drawn in along.items()]
    pairs += [(dataset["sigma_z"] ** 2, variance), (dataset["radius_sigma_z"] ** 2, outwards)]
    for values, drawn in pairs:
        np.testing.assert_allclose(drawn.y, values.mean("seed"))
        if num_seeds == 1:
            assert drawn.error is None
        else:
            np.testing.assert_allclose(drawn.error, two_standard_errors(values))
    assert variance.hover[-1].startswith("step 400: ")


def test_the_initialisation_is_marked_at_radius_one(drawn):
    axes = drawn(growth_with_training).axes[3]
    assert axes.get_xscale() == axes.get_yscale() == "log"
    assert [line.get_xdata()[0] for line in axes.lines if line.get_linestyle() == ":"] == [1.0]


@pytest.mark.parametrize("num_seeds", [1, 3])
def test_outliers_are_counted_beside_a_line_at_classes_less_one(num_seeds):
    dataset = made.properties(num_seeds)
    of_h, of_g, _ = outlier_count._panels(dataset)
    for panel, name in ((of_h, "hessian"), (of_g, "gauss_newton")):
        counts = dataset[f"{name}_num_outliers"]
        for C in made.CLASSES:
            points, means = (one for one in panel.curves if one.name == f"C = {C}")
            of_C = counts.sel(num_classes=C)
            np.testing.assert_allclose(means.y, of_C.mean("seed"))
            np.testing.assert_allclose(points.y.reshape(-1, num_seeds), of_C.transpose(..., "seed"))
            np.testing.assert_allclose(points.x.reshape(-1, num_seeds).T, [means.x] * num_seeds)
        levels = [one.y for one in panel.curves if one.dashed]
        assert [set(level) for level in levels] == [{C - 1.0} for C in made.CLASSES]


def test_outliers_against_classes_are_those_at_three_moments():
    dataset = made.properties()
    # Of each number of classes at another step.
    peaks = [1, 3, 4, 5]
    largest = xr.zeros_like(dataset["largest_eigenvalue"])
    for place, peak in enumerate(peaks):
        largest[{"num_classes": place, "training_step": peak}] = 1.0
    panel = outlier_count._panels(dataset.assign(largest_eigenvalue=largest))[2]
    counts = dataset["hessian_num_outliers"]
    for name, steps in (("start", [0] * 4), ("largest λ", peaks), ("end", [-1] * 4)):
        expected = [
            counts.isel(num_classes=place, training_step=step).values
            for place, step in enumerate(steps)
        ]
        np.testing.assert_allclose(curve(panel, f"H, {name}").y, np.ravel(expected))
    lines = [one.y - panel.curves[0].x for one in panel.curves if one.dashed]
    np.testing.assert_allclose(lines, [[0] * 4, [-1] * 4])


def test_whole_outliers_have_whole_ticks(drawn):
    axes, *_ = drawn(outlier_count).axes
    assert all(float(tick).is_integer() for tick in axes.get_yticks())


def test_shares_stand_on_top_of_each_other_and_end_at_one(origin):
    dataset = made.properties()
    steps = [0, len(made.STEPS) // 2, -1]
    for step, axes in zip(steps, origin.axes[3:], strict=True):
        share = dataset["part_share"].isel(training_step=step, seed=0)
        foot = np.zeros(share.sizes["gram_rank"])
        for part, bars in zip(made.PARTS, axes.containers, strict=True):
            np.testing.assert_allclose([bar.get_y() for bar in bars], foot, atol=1e-12)
            np.testing.assert_allclose([bar.get_height() for bar in bars], share.sel(part=part))
            centres = [bar.get_x() + bar.get_width() / 2 for bar in bars]
            np.testing.assert_allclose(centres, np.arange(1, len(foot) + 1))
            foot = foot + share.sel(part=part).values
        np.testing.assert_allclose(foot, 1)
    assert outlier_origin.interactive(dataset).layout.barmode == "stack"


def test_parts_keep_their_colours_as_points_and_as_bars(origin):
    above, below = (origin.axes[place] for place in (0, 3))
    points = [line.get_color() for line in above.lines if line.get_linestyle() == "None"]
    bars = [to_hex(container[0].get_facecolor()).upper() for container in below.containers]
    assert [colour.upper() for colour in points[1:]] == bars


def test_eigenvalues_are_those_of_the_first_seed(origin):
    dataset = made.properties()
    first = origin.axes[0]
    values = dataset["gauss_newton_eigenvalues"].isel(training_step=0, seed=0)
    np.testing.assert_allclose(first.lines[0].get_ydata(), values)
    levels = [line.get_xdata()[0] for line in first.lines if line.get_linestyle() == ":"]
    assert levels == [9.5]


@pytest.mark.parametrize("num_seeds", [1, 3])
def test_the_gradients_share_is_the_mean_over_seeds(num_seeds):
    dataset = made.properties(num_seeds)
    along, cosines, together = gradient_confinement._panels(dataset)
    for C in made.CLASSES:
        values = dataset["top_power"].sel(num_classes=C)
        np.testing.assert_allclose(curve(along, f"C = {C}").y, values.mean("seed"))
    for panel, name in ((cosines, "cosines"), (together, "gradient_power")):
        assert [one.name for one in panel.curves] == ["step 0", "step 14", "step 400"]
        for step in (0, 14, 400):
            values = dataset[name].sel(training_step=step)
            drawn = curve(panel, f"step {step}")
            np.testing.assert_allclose(drawn.y, values.mean("seed"))
            np.testing.assert_allclose(np.round(drawn.x), dataset["rank"] + 1)
            if num_seeds > 1:
                np.testing.assert_allclose(drawn.error, two_standard_errors(values))


@pytest.mark.parametrize("num_seeds", [1, 3])
def test_the_limit_of_stability_has_the_colour_of_its_rate(num_seeds):
    dataset = made.properties(num_seeds)
    sharpness, loss = curvature_transient._panels(dataset)
    levels = [one for one in sharpness.curves if one.dashed]
    assert [set(level.y) for level in levels] == [{2 / rate} for rate in made.RATES]
    for level, rate in zip(levels, made.RATES, strict=True):
        drawn = curve(sharpness, f"η = {rate:g}")
        assert drawn.colour == level.colour
        values = dataset["lambda_max"].sel(learning_rate=rate)
        np.testing.assert_allclose(drawn.y, values.mean("seed"))
        values = dataset["rate_loss"].sel(learning_rate=rate)
        np.testing.assert_allclose(curve(loss, f"η = {rate:g}").y, values.mean("seed"))
    assert sharpness.log_y
    assert not loss.log_y


def test_a_logarithmic_axis_leaves_out_what_is_not_above_zero():
    dataset = made.properties()
    dataset["lambda_max"][{"rate_step": 0}] = -1.0
    sharpness, _ = curvature_transient._panels(dataset)
    drawn = curve(sharpness, "η = 0.1")
    assert np.isnan(drawn.y[0])
    assert np.isfinite(drawn.y[1:]).all()
    assert sharpness.ylim[0] > 0


@pytest.mark.parametrize("num_seeds", [1, 3])
def test_split_is_drawn_against_the_width_for_each_network_and_stage(num_seeds):
    dataset = made.logit_curvature(num_seeds)
    names = ("ratio", "gauss_newton_share", "kernel_drift")
    for row, variable in zip(logit_curvature._grid(dataset), names, strict=True):
        for panel, network in zip(row, dataset["network"].values, strict=True):
            assert panel.log_x
            # There is no drift where it begins.
            stages = made.STAGES[1:] if variable == "kernel_drift" else made.STAGES
            assert [one.name for one in panel.curves] == list(stages)
            for stage in stages:
                values = dataset[variable].sel(network=network, stage=stage)
                drawn = curve(panel, stage)
                np.testing.assert_allclose(drawn.x, made.WIDTHS)
                np.testing.assert_allclose(drawn.y, values.mean("seed"))
                if num_seeds > 1:
                    np.testing.assert_allclose(drawn.error, two_standard_errors(values))


@pytest.mark.parametrize("num_seeds", [1, 3])
def test_ways_through_weight_space_share_their_axes_and_hold_their_errors(num_seeds):
    dataset = made.weight_scale(num_seeds)
    grid = weight_scale._grid(dataset)
    for row, (_, quantities, log) in zip(grid, weight_scale._ROWS, strict=True):
        assert len({panel.ylim for panel in row}) == 1
        for variable, name, *_ in quantities:
            ways = [
                *(dataset[variable].sel(point=point) for point in dataset["point"].values),
                dataset[f"training_{variable}"],
            ]
            for panel, values in zip(row, ways, strict=True):
                drawn = curve(panel, name)
                np.testing.assert_allclose(drawn.y, values.mean("seed"))
                if num_seeds > 1 and not log:
                    assert (drawn.y - drawn.error > panel.ylim[0]).all()
                    assert (drawn.y + drawn.error < panel.ylim[1]).all()
    levels = [level.value for level in grid[4][0].levels if not level.upright]
    assert levels == [9]


def test_a_network_that_diverged_is_spoken_of():
    dataset = made.properties()
    assert "diverged" not in curvature_transient._caption(dataset)
    diverged = dataset.assign_attrs(diverged="the loss at step 7 is nan; training has diverged")
    assert "diverged are left out" in curvature_transient._caption(diverged)
