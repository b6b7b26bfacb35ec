"""A Recorder in several processes: one run, measured by all."""

from functools import partial

import numpy as np
import torch

import landscope as ls
from landscope.runs import Run
from tests.distributed.processes import on_ranks
from tests.distributed.test_data_parallel import problem_of

MEASURE = partial(ls.measure, parts=["probabilities", "gauss_newton"], num_eigenvalues=2)


def record(group, folder, steps):
    problem = problem_of(group, "unequal", batch_size=40)
    with ls.Recorder(problem, folder, 2, MEASURE) as recorder:
        for step in steps:
            recorder.step(problem.parameters_vector() * (1 + 0.1 * step), step)
    return recorder.run is not None, sorted(recorder._measured)


def test_rank_zero_keeps_what_all_measure_and_all_go_on_from_it(tmp_path):
    together, alone = tmp_path / "together", tmp_path / "alone"
    assert on_ranks(2, record, together, range(2)) == [(True, [0]), (False, [0])]
    written = {file: file.stat().st_mtime_ns for file in together.rglob("snapshots/*")}
    assert on_ranks(2, record, together, range(3)) == [(True, [0, 2]), (False, [0, 2])]
    assert all(file.stat().st_mtime_ns == when for file, when in written.items())

    record(None, alone, range(3))
    measured, expected = (Run.open(folder).trajectory() for folder in (together, alone))
    for name in ("loss", "entropy", "gauss_newton_eigenvalues", "gauss_newton_trace"):
        np.testing.assert_allclose(measured[name], expected[name], rtol=1e-8, err_msg=name)


def adam(group):
    """The stability of an optimiser, whose preconditioner is on all ranks."""
    problem = problem_of(group, "unequal", weight_decay=0.0, batch_size=40)
    model = problem.module
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    found = ls.stability(problem, model, optimizer)
    return float(found.sharpness), float(found.preconditioned_sharpness)


def test_stability_is_that_of_one_process():
    expected = adam(None)
    for found in on_ranks(2, adam):
        np.testing.assert_allclose(found, expected, rtol=1e-6)
