"""The layout of static figures, where there is little to lay out."""

import warnings

import torch

import landscope as ls
from landscope.figures import spectrum


def test_a_spectrum_without_outliers_is_laid_out():
    torch.manual_seed(0)
    data = torch.randn(30, 6), torch.arange(30) % 3
    snapshot = ls.measure(ls.Problem(torch.nn.Linear(6, 3), data))
    assert int(snapshot.hessian_num_outliers) == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = spectrum.figure(snapshot)
    heights = [axes.get_position().height for axes in figure.axes]
    assert min(heights) > 0.2
