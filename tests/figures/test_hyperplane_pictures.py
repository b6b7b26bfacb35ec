"""Pictures of training in random hyperplanes: what is drawn is what was measured."""

from functools import cache
from itertools import chain

import numpy as np
import pytest
import xarray as xr

from landscope.figures.gallery import file_stem
from landscope.figures.networks import goldilocks, hyperplane_accuracy
from landscope.figures.style import FULL_WIDTH

from .whole import assert_whole

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")

DIMS = np.geomspace(8, 2048, 9).round().astype(int)
RADII = np.geomspace(0.03, 30, 13)
TRAINED_RADII = np.geomspace(0.1, 10, 5)
COMBINATIONS = ("data", "network")


def scattered(course: np.ndarray, num_seeds: int, by: float, seed: int) -> np.ndarray:
    """Append the dimension of seeds."""
    noise = np.random.default_rng(seed).standard_normal((*course.shape, num_seeds))
    return course[..., None] * np.exp(by * noise)


def made_hyperplane(num_seeds: int = 3) -> xr.Dataset:
    """A fully connected network on three data sets, a convolutional one on two of them."""
    full = np.array([[0.97, 0.985], [0.87, 0.89], [0.96, np.nan]])
    weights = np.array([[199_210.0, 44_426.0], [199_210.0, 44_426.0], [55_210.0, np.nan]])
    dimension = np.array([[655.0, 240.0], [410.0, 190.0], [96.0, np.nan]])
    at = DIMS / dimension[..., None]
    course = full[..., None] * (1 - 0.1 / np.maximum(at, 0.015) ** 0.75).clip(0.11)
    course[0, 1, DIMS > 1100] = np.nan
    of_kinds = scattered(np.array([0.872, 0.871, 0.869, 0.874]), num_seeds, 0.006, 2)
    return xr.Dataset(
        {
            "accuracy": ((*COMBINATIONS, "dim", "seed"), scattered(course, num_seeds, 0.012, 0)),
            "full_accuracy": ((*COMBINATIONS, "seed"), scattered(full, num_seeds, 0.002, 1)),
            "num_params": (COMBINATIONS, weights),
            "dimension": (COMBINATIONS, dimension),
            "dimension_low": (COMBINATIONS, dimension * 0.91),
            "dimension_high": (COMBINATIONS, dimension * 1.1),
            "kind_accuracy": (("kind", "seed"), of_kinds),
        },
        {
            "data": ["MNIST", "Fashion-MNIST", "Digits (8 x 8)"],
            "network": ["FullyConnected", "SmallCNN"],
            "dim": DIMS,
            "seed": np.arange(num_seeds),
            "kind": ["dense", "gaussian", "sparse", "fastfood"],
        },
        {
            "threshold": 0.9,
            "kind_dim": 512,
            "kind_title": "MNIST, FullyConnected",
            "published_title": "MNIST, FullyConnected",
            "published_dimension": 750.0,
        },
    )


def made_goldilocks(num_seeds: int = 3) -> xr.Dataset:
    """Curvature is high about radius 1, logits spread with the radius to the third power."""
    places, dims = np.log(np.stack([RADII, RADII / 1.3])), ("nonlinearity", "radius", "seed")
    trained = np.log(np.stack([TRAINED_RADII, TRAINED_RADII / 1.3]))
    zone, spread = np.exp(-((places / 1.5) ** 2)), np.exp(3 * places - 2)
    reached = 0.1 + 0.75 * np.exp(-((trained / 1.4) ** 4))
    courses = {
        "trace_over_norm": 0.1 + 2.4 * zone,
        "gauss_newton_trace_over_norm": 1.1 + 1.6 * zone,
        "model_trace_over_norm": 1 + 2 / (1 + spread**0.3),
        "positive_share": 0.5 + 0.35 * zone,
        "sigma_z": spread,
        "entropy": np.log(10) / (1 + spread**2 / 30),
    }
    variables = {
        name: (dims, scattered(course, num_seeds, 0.03, seed))
        for seed, (name, course) in enumerate(courses.items())
    }
    variables["trained_accuracy"] = (
        ("nonlinearity", "trained_radius", "seed"),
        scattered(reached, num_seeds, 0.02, 7),
    )
    variables["full_accuracy"] = (
        ("nonlinearity", "seed"),
        scattered(np.array([0.94, 0.93]), num_seeds, 0.002, 8),
    )
    return xr.Dataset(
        variables,
        {
            "nonlinearity": ["relu", "tanh"],
            "radius": RADII,
            "trained_radius": TRAINED_RADII,
            "seed": np.arange(num_seeds),
        },
        {
            "dim": 32,
            "num_hyperplanes": 10,
            "train_dim": 256,
            "num_examples": 1000,
            "num_classes": 10,
            "data_title": "MNIST (10,000-image subset)",
            "network_title": "FullyConnected",
            "he_radius": 2.45,
        },
    )


PICTURES = {hyperplane_accuracy: made_hyperplane, goldilocks: made_goldilocks}


@pytest.fixture(scope="module")
def zone():
    """The picture of the zone, drawn when it is first asked for."""
    return cache(lambda: goldilocks.figure(made_goldilocks()))


def panels_of(picture, dataset):
    return [*chain(*picture._grid(dataset))]


def panel_titled(dataset, start):
    (found,) = (
        panel for panel in panels_of(hyperplane_accuracy, dataset) if panel.title.startswith(start)
    )
    return found


def upright(panel):
    return [level.value for level in panel.levels if level.upright]


def lying(panel):
    return [level.value for level in panel.levels if not level.upright]


@pytest.mark.parametrize("picture", PICTURES, ids=file_stem)
def test_a_picture_is_whole_and_says_how_to_read_it(picture, zone):
    figure = assert_whole(picture, PICTURES[picture](), zone() if picture is goldilocks else None)
    assert figure.get_size_inches()[0] <= FULL_WIDTH
    assert ": " in picture.TITLE


@pytest.mark.parametrize("picture", PICTURES, ids=file_stem)
def test_the_caption_says_how_many_networks_and_what_bars_are(picture):
    several, single = (picture._caption(PICTURES[picture](count)) for count in (3, 1))
    assert "One network" in single
    assert "standard errors" not in single
    assert "3 networks" in several
    assert "± 2 standard errors" in several


# What one network lacks, error bars and words about them, is the same in all pictures.
def test_the_picture_of_one_network_is_whole():
    assert_whole(hyperplane_accuracy, made_hyperplane(1).isel(data=[0]))


@pytest.mark.parametrize("picture", PICTURES, ids=file_stem)
@pytest.mark.usefixtures("not_laid_out")
def test_what_was_not_measured_is_left_out(picture):
    """All seeds but one at one place, and in the end everything."""
    dataset = PICTURES[picture](3)
    missing = dataset.copy(deep=True)
    for name, values in dataset.items():
        if "seed" in values.dims:
            first = values.dims[0]
            missing[name] = values.where((values[first] != values[first][1]) | (dataset.seed == 1))
    nothing = dataset.map(lambda values: np.nan * values, keep_attrs=True)
    picture.figure(missing).draw_without_rendering()
    for some in (missing, nothing):
        picture.interactive(some)
    if picture is hyperplane_accuracy:
        # Panels of nothing are drawn alike in all pictures.
        picture.figure(nothing).draw_without_rendering()


@pytest.mark.parametrize("num_seeds", [1, 3])
def test_accuracy_in_hyperplanes_is_the_mean_over_seeds(num_seeds):
    dataset = made_hyperplane(num_seeds)
    for data in dataset["data"].values:
        panel = panel_titled(dataset, f"{data}, FullyConnected")
        values = dataset["accuracy"].sel(data=data, network="FullyConnected")
        np.testing.assert_allclose(panel.curves[0].x, DIMS)
        np.testing.assert_allclose(panel.curves[0].y, values.mean("seed"))
        if num_seeds > 1:
            error = 2 * values.std("seed", ddof=1) / np.sqrt(num_seeds)
            np.testing.assert_allclose(panel.curves[0].error, error)
        assert panel.log_x


def test_levels_stand_at_all_weights_at_the_threshold_and_at_the_intrinsic_dimension():
    dataset = made_hyperplane()
    panel = panel_titled(dataset, "Fashion-MNIST, SmallCNN")
    of_panel = {"data": "Fashion-MNIST", "network": "SmallCNN"}
    full = float(dataset["full_accuracy"].sel(of_panel).mean("seed"))
    _, all_weights = panel.curves
    assert all_weights.name == "all weights"
    np.testing.assert_allclose(all_weights.y, [full, full])
    np.testing.assert_allclose(lying(panel), [0.9 * full])
    assert upright(panel) == [190.0]
    assert panel.title.endswith("d<sub>90</sub> = 190 (173–209) of 44,426")


def test_the_published_dimension_stands_in_its_panel_only():
    dataset = made_hyperplane()
    with_published = [
        panel.title.partition("<br>")[0]
        for panel in panels_of(hyperplane_accuracy, dataset)
        if any(curve.name.startswith("published") for curve in panel.curves)
    ]
    assert with_published == ["MNIST, FullyConnected"]
    published = panel_titled(dataset, "MNIST, FullyConnected").curves[2]
    assert published.x.tolist() == [750, 750]
    assert published.hover[0].startswith("d<sub>90</sub> = 750")


@pytest.mark.usefixtures("not_laid_out")
def test_a_network_that_was_not_trained_leaves_its_panel_out():
    dataset = made_hyperplane()
    titles = [panel.title for panel in panels_of(hyperplane_accuracy, dataset)]
    assert len(titles) == 6
    assert not any(title.startswith("Digits (8 x 8), SmallCNN") for title in titles)
    assert titles[-1].startswith("Kinds of basis at d = 512")
    # In the middle its place stays empty, so that a column is one network.
    dataset["num_params"][{"data": 1, "network": 0}] = np.nan
    assert len(hyperplane_accuracy.figure(dataset).axes) == 5
    drawn = hyperplane_accuracy.interactive(dataset)
    assert [axis.visible for axis in drawn.select_xaxes()] == [None, None, False, None, None, None]


def test_one_network_and_one_data_set_stand_beside_the_kinds():
    one = made_hyperplane().isel(data=[0], network=[0])
    first, second = hyperplane_accuracy._grid(one)[0]
    assert first.title.startswith("MNIST, FullyConnected")
    assert second.title.startswith("Kinds of basis")


def test_a_dimension_that_was_not_reached_is_said_so():
    dataset = made_hyperplane().isel(data=[0])
    for dimension in (np.nan, np.inf):
        for name in ("dimension", "dimension_low", "dimension_high"):
            dataset[name][{"data": 0, "network": 0}] = dimension
        panel = panel_titled(dataset, "MNIST, FullyConnected")
        assert panel.title.endswith("d<sub>90</sub> not reached (of 199,210)")
        assert upright(panel) == []
    assert_whole(hyperplane_accuracy, dataset)


def test_an_interval_without_an_end_is_put_in_words():
    dataset = made_hyperplane()
    dataset["dimension_high"][{"data": 0, "network": 0}] = np.inf
    panel = panel_titled(dataset, "MNIST, FullyConnected")
    assert panel.title.endswith("= 655 (at least 596) of 199,210")
    dataset["dimension_low"][{"data": 0, "network": 0}] = np.nan
    panel = panel_titled(dataset, "MNIST, FullyConnected")
    assert panel.title.endswith("= 655 of 199,210")


@pytest.mark.parametrize("num_seeds", [1, 3])
def test_kinds_of_basis_show_every_seed(num_seeds):
    dataset = made_hyperplane(num_seeds)
    panel = panel_titled(dataset, "Kinds of basis")
    (points,) = panel.curves
    np.testing.assert_allclose(points.y.reshape(4, num_seeds), dataset["kind_accuracy"])
    np.testing.assert_allclose(points.x, np.repeat(np.arange(4), num_seeds))
    assert points.hover[0].startswith("dense, seed 0: ")
    assert panel.xticks[1] == ["dense", "gaussian", "sparse", "fastfood"]


@pytest.mark.parametrize("num_seeds", [1, 3])
def test_rows_of_the_zone_share_their_axes_and_are_means_over_seeds(num_seeds):
    dataset = made_goldilocks(num_seeds)
    grid = goldilocks._grid(dataset)
    assert len({panel.xlim for panel in chain(*grid)}) == 1
    for row, (_, quantities, log) in zip(grid, goldilocks._ROWS, strict=True):
        assert len({panel.ylim for panel in row}) == 1
        for panel, nonlinearity in zip(row, ("relu", "tanh"), strict=True):
            assert panel.log_y == log
            for curve, (variable, name, *_) in zip(panel.curves, quantities, strict=True):
                values = dataset[variable].sel(nonlinearity=nonlinearity)
                assert curve.name == name
                np.testing.assert_allclose(curve.x, values[values.dims[0]])
                np.testing.assert_allclose(curve.y, values.mean("seed"))


def test_the_zone_is_held_against_usual_initialisations_and_levels():
    dataset = made_goldilocks()
    grid = goldilocks._grid(dataset)
    for panel in chain(*grid):
        assert upright(panel) == [1.0, 2.45]
    shares, entropies, accuracies = (grid[row] for row in (1, 3, 4))
    full = dataset["full_accuracy"].mean("seed")
    for column in range(2):
        assert lying(shares[column]) == [0.5]
        np.testing.assert_allclose(lying(entropies[column]), [np.log(10)])
        np.testing.assert_allclose(lying(accuracies[column]), [full[column], 0.1])


def test_all_panels_of_the_zone_have_one_radius_axis_on_screen_and_in_print(zone):
    limits = (0.03 / 1.2, 30 * 1.2)
    for axes in zone().axes:
        np.testing.assert_allclose(axes.get_xlim(), limits)
    for axis in goldilocks.interactive(made_goldilocks()).select_xaxes():
        np.testing.assert_allclose(axis.range, np.log10(limits))


def test_a_problem_of_ones_own_has_no_training_and_no_kinds():
    zone = made_goldilocks(3).isel(nonlinearity=[0])
    zone = zone.drop_dims("trained_radius").drop_vars(["full_accuracy", "model_trace_over_norm"])
    own = {"dim": 5, "num_params": 60, "num_examples": 30, "num_classes": 10}
    zone.attrs = {**own, "repeated": "hyperplanes"}
    drawn = assert_whole(goldilocks, zone)
    assert len(drawn.axes) == 4
    assert "Means over 3 hyperplanes" in goldilocks._caption(zone)
    found = made_hyperplane(2).drop_dims("kind").isel(data=[0], network=[0])
    found = found.assign_coords(data=["this problem"], network=[""])
    found.attrs = {"threshold": 0.9, "scored": "training data"}
    drawn = assert_whole(hyperplane_accuracy, found)
    (axes,) = drawn.axes
    assert axes.get_ylabel() == "accuracy on training data"
    assert "Li et al." not in hyperplane_accuracy._caption(found)
