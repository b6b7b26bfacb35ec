"""A run folder belongs to one problem."""

import pytest
import torch
import xarray as xr

import landscope as ls


def loss_alone(problem):
    return xr.Dataset({"loss": float(problem.loss())})


def test_other_data_of_the_same_size_are_refused_and_another_order_is_not(tmp_path):
    torch.manual_seed(0)
    model = torch.nn.Linear(4, 3)
    inputs, labels = torch.randn(12, 4), torch.arange(12) % 3
    ls.Recorder(ls.Problem(model, (inputs, labels)), tmp_path, [0], loss_alone)
    order = torch.randperm(12)
    shuffled = ls.Problem(model, (inputs[order], labels[order]), batch_size=5)
    ls.Recorder(shuffled, tmp_path, [0], loss_alone)
    with pytest.raises(ValueError, match="data"):
        ls.Recorder(ls.Problem(model, (2 * inputs, labels)), tmp_path, [0], loss_alone)
