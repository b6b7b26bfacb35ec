"""Every picture is drawn whole, from every kind of trajectory."""

import numpy as np
import pytest
from PIL import Image

from landscope.figures import write_figures
from landscope.figures.gallery import MONITORS, OBSERVATIONS, PROPERTIES, file_stem

PICTURES = [*PROPERTIES, *OBSERVATIONS, *MONITORS]


@pytest.mark.parametrize("picture", PICTURES, ids=file_stem)
@pytest.mark.usefixtures("not_laid_out")
def test_a_static_picture_of_one_snapshot_has_data_in_every_panel(picture, snapshot):
    assert all(axes.has_data() for axes in picture.figure(snapshot).axes)


@pytest.mark.parametrize("picture", PICTURES, ids=file_stem)
def test_a_static_picture_of_a_run_cuts_no_label(picture, for_print):
    figure = for_print(picture)
    assert all(axes.has_data() for axes in figure.axes)
    drawn, whole = figure.get_tightbbox(), figure.get_size_inches()
    assert (np.array([drawn.x0, drawn.y0]) > -0.02).all()
    assert (np.array([drawn.x1, drawn.y1]) < whole + 0.02).all()


@pytest.mark.parametrize("kind", ["trajectory", "three_classes", "snapshot"])
@pytest.mark.parametrize("picture", PICTURES, ids=file_stem)
def test_an_interactive_picture_has_data_and_a_slider_where_it_has_stages(
    picture, kind, for_the_screen, request
):
    trajectory = request.getfixturevalue(kind)
    is_run = kind == "trajectory"
    figure = for_the_screen(picture) if is_run else picture.interactive(trajectory)
    assert figure.data
    if kind == "snapshot":
        assert not figure.layout.sliders
    for slider in figure.layout.sliders:
        assert [step.label for step in slider.steps] == [
            f"step {step}" for step in trajectory["step"].values
        ]


@pytest.mark.parametrize("picture", PICTURES, ids=file_stem)
def test_each_picture_says_how_to_read_it_in_one_sentence(picture):
    assert picture.HOW_TO_READ.endswith(".")
    assert ". " not in picture.HOW_TO_READ
    assert picture.TITLE
    assert picture.EXPECTED
    assert picture.DEFINITIONS


def test_files_are_fine_enough_for_print_and_the_same_each_time(snapshot, tmp_path):
    few = snapshot[["q_slsc", "q_sl", "q_dl", "num_classes"]]
    first = write_figures(few, tmp_path / "a" / "first")
    second = write_figures(few, tmp_path / "second")
    assert [path.name for path in first] == ["clustering.png", "clustering.svg"]
    with Image.open(first[0]) as picture:
        assert picture.width >= 7.2 * 150
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
