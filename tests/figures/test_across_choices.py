"""The picture of a sweep: what is drawn is what the table says."""

from itertools import product

import numpy as np
import pytest
import xarray as xr

from landscope.figures import write_sweep_report
from landscope.figures.networks import across_choices
from landscope.figures.stages import NotMeasuredError, training_axis
from landscope.figures.style import BLUE, FULL_WIDTH, GREEN, ORANGE, stage_colours

from .whole import assert_shown, assert_whole

STEPS = [0, 6, 34, 200]


def made(**choices):
    """Losses that tell every cell and stage from all others."""
    choices = {**choices, "seed": [0, 1, 2]}
    dims, shape = (*choices, "stage"), (*map(len, choices.values()), len(STEPS))
    rng = np.random.default_rng(0)
    names = ("loss", "test_accuracy", "lambda_max", "q_sl")
    table = xr.Dataset(
        {name: (dims, rng.uniform(0.1, 1, shape)) for name in names},
        coords={**choices, "stage": range(len(STEPS))},
        attrs={"swept": ",".join(choices), "network": "small_cnn", "data": "digits"},
    )
    steps = xr.DataArray(np.array(STEPS, dtype=float), dims="stage")
    outcome = xr.full_like(table["loss"].isel(stage=0, drop=True), "complete", dtype=object)
    return table.assign(
        training_step=steps.broadcast_like(table["loss"]).transpose(*dims).copy(), outcome=outcome
    )


@pytest.fixture
def table():
    return made(nonlinearity=["relu", "tanh"], learning_rate=[0.01, 0.02, 0.05])


def test_a_row_for_each_combination_and_a_colour_for_each_value_of_the_longest_axis(table):
    figure = assert_whole(across_choices, table)
    assert figure.get_size_inches()[0] == FULL_WIDTH
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["relu"] * 3 + ["tanh"] * 3
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["η = 0.01", "η = 0.02", "η = 0.05"]


def test_curves_are_means_over_seeds_with_two_standard_errors(table):
    rows = across_choices._rows(table)
    axis = training_axis(STEPS)
    for (row, nonlinearity), (place, rate) in product(
        zip(rows, ["relu", "tanh"], strict=True), enumerate([0.01, 0.02, 0.05])
    ):
        curve = row[0].curves[place]
        losses = table["loss"].sel(nonlinearity=nonlinearity, learning_rate=rate).values
        np.testing.assert_allclose(curve.y, losses.mean(axis=0))
        np.testing.assert_allclose(curve.error, 2 * losses.std(axis=0, ddof=1) / np.sqrt(3))
        np.testing.assert_array_equal(curve.x, axis.positions)
        assert curve.colour == stage_colours(3)[place]
        assert row[0].ylim == rows[0][0].ylim


def test_names_have_colours_without_order():
    rows = across_choices._rows(made(network=["fully_connected", "small_cnn"]))
    assert [curve.colour for curve in rows[0][0].curves] == [BLUE, ORANGE]
    assert [curve.name for curve in rows[0][0].curves] == ["fully_connected", "small_cnn"]
    assert rows[0][0].title == "Loss"


def test_a_sweep_over_seeds_alone_is_drawn():
    figure = assert_whole(across_choices, made())
    assert len(figure.axes) == 3
    assert not figure.legends


def test_networks_that_ended_early_are_told_of_and_left_out(table):
    wild = {"learning_rate": 0.05}
    late = table["stage"] > 1
    kept = ~(late & (table["learning_rate"] == 0.05))
    for name in ("loss", "test_accuracy", "lambda_max", "q_sl"):
        table[name] = table[name].where(kept)
    table["outcome"].loc[wild] = "diverged"
    figure = assert_whole(across_choices, table)
    said = figure.get_supxlabel().replace("\n", " ")
    assert "Networks: 6 of 18 diverged; they are left out from there on." in said
    assert "small_cnn, digits" in said


@pytest.mark.usefixtures("not_laid_out")
def test_choices_of_which_every_network_failed_are_left_out():
    table = made(data=["digits", "mnist"], nonlinearity=["relu", "tanh", "gelu"])
    failed = (table["data"] == "digits") & (table["nonlinearity"] == "tanh")
    failed = failed | (table["data"] == "mnist")
    for name in ("loss", "test_accuracy", "lambda_max", "q_sl", "training_step"):
        table[name] = table[name].where(~failed)
    table["outcome"] = table["outcome"].where(~failed, "failed")
    assert_shown(across_choices, table)
    (row,) = across_choices._rows(table)
    assert [(curve.name, curve.colour) for curve in row[0].curves] == [
        ("relu", BLUE),
        ("gelu", GREEN),
    ]


def test_steps_of_different_lengths_share_an_axis():
    table = made(steps=[100, 200])
    table["training_step"].loc[{"steps": 100}] = [0, 5, 22, 100]
    (row,) = across_choices._rows(table)
    short, long = row[0].curves
    axis = training_axis([0, 5, 6, 22, 34, 100, 200])
    np.testing.assert_array_equal(short.x, axis.positions[[0, 1, 3, 5]])
    np.testing.assert_array_equal(long.x, axis.positions[[0, 2, 4, 6]])


def test_of_very_many_combinations_the_first_are_drawn(monkeypatch):
    monkeypatch.setattr(across_choices, "MOST_ROWS", 2)
    table = made(batch_size=[1, 2, 3], learning_rate=[0.01, 0.02, 0.05, 0.1])
    assert len(across_choices._rows(table)) == 2
    said = across_choices._caption(table)
    assert said.endswith("The first 2 of 3 combinations.")


def test_nothing_known_is_said_to_be_missing(tmp_path):
    table = made().drop_vars(["loss", "test_accuracy", "lambda_max", "q_sl"])
    with pytest.raises(NotMeasuredError):
        across_choices.figure(table)


def test_the_report_escapes_what_it_shows(table, tmp_path, monkeypatch):
    attack = "<script>alert(1)</script>"
    summary = {
        "ends": [
            {
                "choices": {"network": attack},
                "numbers": {"loss": [0.5, 0.01]},
                "outcomes": {"complete": 2, "failed": 1},
            }
        ],
        "outcomes": {"complete": 2, "failed": 1},
        "failed": {attack: f"ValueError: {attack}"},
        "left_out": {attack: {"0": attack}},
    }
    monkeypatch.setattr("landscope.figures.sweep_report.write_pictures", lambda *_: [])
    path = write_sweep_report(table, tmp_path / "report.html", summary, {attack: attack})
    page = path.read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "<td>2 complete, 1 failed</td><td>0.500 ± 0.010</td>" in page
