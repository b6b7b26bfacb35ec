"""Both ways of drawing show what the panels say, and the same."""

import numpy as np
import pytest

from landscope.figures import interactive, static
from landscope.figures.panel import Curve, Level, Panel

X = np.array([1.0, 2.0, 3.0])
Y = np.array([4.0, 9.0, 2.0])
RED, BLUE = "#d55e00", "#0072b2"


def panel(*curves: Curve, **options) -> Panel:
    return Panel("title", "x", "y", curves, **options)


def test_a_line_and_its_band_are_where_the_curve_says():
    axes = static.draw([[panel(Curve("a", X, Y, RED, error=0.5 * np.ones(3)))]]).axes[0]
    np.testing.assert_array_equal(axes.lines[0].get_xydata(), np.stack([X, Y], axis=1))
    band = axes.collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == (1.5, 9.5)
    polygon, line = interactive.draw(
        [("", [panel(Curve("a", X, Y, RED, error=0.5 * np.ones(3)))])], columns=1
    ).data
    assert (min(polygon.y), max(polygon.y)) == (1.5, 9.5)
    np.testing.assert_array_equal(line.y, Y)


def test_a_band_below_a_logarithmic_panel_ends_at_its_floor():
    shown = panel(Curve("a", X, Y, RED, error=5 * np.ones(3)), log_y=True, ylim=(1, 100))
    band = static.draw([[shown]]).axes[0].collections[0].get_paths()[0].vertices
    polygon = interactive.draw([("", [shown])], columns=1).data[0]
    assert band[:, 1].min() == min(polygon.y) == 1


def test_error_bars_are_as_long_as_the_error():
    curve = Curve("a", X, Y, RED, kind="series", error=np.array([0.1, 0.2, 0.3]))
    segments = static.draw([[panel(curve)]]).axes[0].collections[0].get_segments()
    np.testing.assert_allclose([np.ptp(s[:, 1]) for s in segments], [0.2, 0.4, 0.6])
    (trace,) = interactive.draw([("", [panel(curve)])], columns=1).data
    np.testing.assert_array_equal(trace.error_y.array, [0.1, 0.2, 0.3])


def test_sticks_stand_on_the_floor_of_the_panel():
    shown = panel(Curve("a", X, Y, RED, kind="sticks"), ylim=(-1, 10))
    (segments,) = [c.get_segments() for c in static.draw([[shown]]).axes[0].collections]
    np.testing.assert_array_equal(np.stack(segments)[:, :, 1], np.stack([[-1] * 3, Y], axis=1))
    sticks, tops = interactive.draw([("", [shown])], columns=1).data
    np.testing.assert_array_equal(sticks.y.reshape(3, 3)[:, :2], np.stack([[-1] * 3, Y], axis=1))
    np.testing.assert_array_equal(tops.y, Y)


def test_bars_stand_side_by_side_around_their_place():
    bars = [Curve(name, X, Y, RED, kind="bars") for name in "abc"]
    patches = static.draw([[panel(*bars)]]).axes[0].patches
    left = np.sort([patch.get_x() for patch in patches]).reshape(3, 3)
    np.testing.assert_allclose(left.mean(axis=1) + patches[0].get_width() / 2, X)
    assert (np.diff(np.sort(left.ravel())) >= patches[0].get_width() - 1e-12).all()


def test_only_curves_that_share_a_panel_are_in_the_legend():
    alone = panel(Curve("alone", X, Y, RED))
    two = panel(Curve("a<sub>1</sub>", X, Y, RED), Curve("b", X, Y, BLUE))
    (legend,) = static.draw([[alone, two]]).legends
    assert [text.get_text() for text in legend.get_texts()] == ["a$_{\\mathregular{1}}$", "b"]
    traces = interactive.draw([("", [alone, two, two])], columns=3).data
    assert [trace.name for trace in traces if trace.showlegend] == ["a<sub>1</sub>", "b"]


def test_levels_are_labelled_lines_in_their_own_panel():
    shown = panel(Curve("a", X, Y, RED), levels=[Level(2, "edge", upright=True), Level(5, "five")])
    axes = static.draw([[shown]]).axes[0]
    assert [text.get_text() for text in axes.texts] == ["edge", "five"]
    _, first, second = axes.lines
    assert list(first.get_xdata()) == [2, 2]
    assert list(second.get_ydata()) == [5, 5]
    shapes = interactive.draw([("", [panel(), shown])], columns=2).layout.shapes
    assert [(s.xref, s.yref, s.label.text) for s in shapes] == [
        ("x2", "y2 domain", "edge"),
        ("x2 domain", "y2", "five"),
    ]


@pytest.mark.parametrize("active", [0, 1, 2])
def test_each_step_of_the_slider_shows_its_stage_alone(active):
    staged = [
        (f"step {i}", [panel(Curve("a", X, Y + i, RED), levels=[Level(i, f"at {i}")])])
        for i in range(3)
    ]
    figure = interactive.draw(staged, columns=1)
    (slider,) = figure.layout.sliders
    visible, layout = slider.steps[active].args
    shown = [trace for trace, seen in zip(figure.data, visible["visible"], strict=True) if seen]
    assert slider.steps[active].label == f"step {active}"
    np.testing.assert_array_equal(shown[0].y, Y + active)
    assert len(shown) == 1
    assert layout["shapes"][0]["label"]["text"] == f"at {active}"


def test_the_last_stage_is_shown_first():
    staged = [(f"step {i}", [panel(Curve("a", X, Y + i, RED))]) for i in range(3)]
    figure = interactive.draw(staged, columns=1)
    assert figure.layout.sliders[0].active == 2
    assert [trace.visible for trace in figure.data] == [False, False, True]


def test_one_stage_needs_no_slider():
    assert not interactive.draw([("", [panel(Curve("a", X, Y, RED))])], columns=1).layout.sliders
