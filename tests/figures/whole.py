"""What every picture must be."""

import numpy as np


def assert_shown(picture, dataset, figure=None):
    """It shows something everywhere, in print and on the screen."""
    figure = figure or picture.figure(dataset)
    assert all(axes.has_data() for axes in figure.axes)
    assert picture.interactive(dataset).data
    return figure


def assert_whole(picture, dataset, figure=None):
    """It shows something everywhere, cuts nothing off, and says in one sentence how to read it."""
    figure = assert_shown(picture, dataset, figure)
    drawn, whole = figure.get_tightbbox(), figure.get_size_inches()
    assert (np.array([drawn.x0, drawn.y0]) > -0.03).all()
    assert (np.array([drawn.x1, drawn.y1]) < whole + 0.03).all()
    assert picture.HOW_TO_READ.endswith(".")
    assert ". " not in picture.HOW_TO_READ
    return figure
