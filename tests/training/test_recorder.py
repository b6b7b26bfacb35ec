import random
from functools import partial

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn
from torch.nn.functional import cross_entropy

import landscope as ls
from landscope.hyperplanes import AffineHyperplane
from landscope.problem import Problem
from landscope.runs import Run
from landscope.training import Recorder
from landscope.training.batch_norm import calibrated, with_statistics

# Shapes are checked in the tests of what is measured, and are no matter of training.


def make_model(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 3)
        )


DATA = (
    torch.randn(30, 4, generator=torch.Generator().manual_seed(1)),
    torch.arange(30) % 3,
)


def make_problem(model):
    problem = Problem(model.eval(), DATA)
    model.train()
    return problem


def loss_and_length(problem, reference=None):
    """Stand for `measure`: quick, and careless about global random states."""
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    random.seed(0)
    way = problem.parameters_vector() - reference.parameters_vector() if reference else 0
    return xr.Dataset(
        {
            "loss": float(problem.loss()),
            "reference_loss": float(reference.loss()) if reference else np.nan,
            "way": float(torch.as_tensor(way, dtype=torch.float64).norm()),
        }
    )


def descend(model, num_steps, recorder=None, first=0, stop=None):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(first, num_steps):
        if recorder:
            recorder.step(model, step)
        inputs, targets = DATA
        kept = torch.randperm(30)[:10]  # the global random state decides what the model sees
        optimizer.zero_grad()
        cross_entropy(model(inputs[kept]), targets[kept]).backward()
        optimizer.step()
    if recorder:
        recorder.step(model, num_steps)


def test_training_is_bit_identical_with_and_without_the_recorder(tmp_path):
    alone, recorded = make_model(), make_model()
    torch.manual_seed(7)
    descend(alone, 10)
    after = torch.get_rng_state()
    torch.manual_seed(7)
    with Recorder(make_problem(recorded), tmp_path, [0, 3, 10], loss_and_length) as recorder:
        descend(recorded, 10, recorder)
    assert recorder.run.steps() == [0, 3, 10]
    assert torch.equal(after, torch.get_rng_state())
    assert all(module.training for module in recorded.modules())
    for name, value in alone.state_dict().items():
        assert torch.equal(value, recorded.state_dict()[name]), name


def test_real_measurements_leave_training_bit_identical(tmp_path):
    alone, recorded = make_model(), make_model()
    torch.manual_seed(7)
    descend(alone, 6)
    torch.manual_seed(7)
    measure = partial(
        ls.measure,
        parts=["probabilities", "clustering", "hessian"],
        num_eigenvalues=2,
        num_probes=2,
        num_steps=8,
    )
    with Recorder(make_problem(recorded), tmp_path, [2, 6], measure) as recorder:
        descend(recorded, 6, recorder)
    assert recorder.run.steps() == [2, 6]
    assert recorder.run.snapshot(6).attrs["failures"] == ""
    for name, value in alone.state_dict().items():
        assert torch.equal(value, recorded.state_dict()[name]), name


def eigenvalues_from(problem, eigenvectors=None):
    """Stand for `measure`: keep where the search started."""
    starts.append(eigenvectors.get("hessian"))
    found = ls.eigsh(ls.Hessian(problem), 2, tol=1e-6, v0=starts[-1])
    eigenvectors["hessian"] = found.vectors
    return xr.Dataset({"hessian_eigenvalues": ("rank", found.values)})


starts: list = []


@pytest.mark.parametrize("stops", [[4], [2, 4]])
def test_searches_start_from_the_eigenvectors_before_also_after_a_resume(tmp_path, stops):
    starts.clear()
    model, points = make_model(), {}
    for stop in stops:
        with Recorder(
            make_problem(model), tmp_path, 2, eigenvalues_from, warm_start=True
        ) as recorder:
            for step in range(stop + 1):
                generator = torch.Generator().manual_seed(step)
                point = torch.randn(recorder.problem.num_params, generator=generator)
                points[step] = with_statistics(recorder.problem.at(0.3 * point))
                recorder.step(0.3 * point, step)
    assert starts[0] is None
    for step, start in zip((0, 2), starts[1:], strict=True):
        H = ls.Hessian(points[step])
        values = recorder.run.snapshot(step).hessian_eigenvalues.values
        assert float((H @ start - start * torch.tensor(values)).norm()) < 1e-4 * values.max()


def test_a_state_dict_is_recorded_as_the_model_itself(tmp_path):
    model = make_model()
    with Recorder(make_problem(model), tmp_path, [0, 1], loss_and_length) as recorder:
        recorder.step(model, 0)
        recorder.step(model.state_dict(), 1)
    first, second = recorder.run.snapshot(0), recorder.run.snapshot(1)
    assert float(first.loss) == float(second.loss)
    assert float(second.way) == 0


def test_the_optimiser_s_distance_from_the_edge_is_in_the_snapshot(tmp_path):
    model = make_model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    problem = make_problem(model)
    with Recorder(problem, tmp_path, 1, loss_and_length, optimizer=optimizer) as recorder:
        for step in range(2):
            recorder.step(model, step)
            optimizer.zero_grad()
            cross_entropy(model(DATA[0]), DATA[1]).backward()
            optimizer.step()
            optimizer.param_groups[0]["lr"] /= 2
        here, found = problem.at(model), recorder.run.trajectory()
        recorder.step(model, 2)
    assert found.learning_rate.values.tolist() == [1e-3, 5e-4]
    expected = ls.stability(here, model, optimizer)
    last = recorder.run.snapshot(2)
    assert float(last.preconditioned_sharpness) == pytest.approx(
        expected.preconditioned_sharpness, rel=1e-4
    )
    assert last.sharpness_limit.attrs["rule"] == "AdamW"


def test_the_preconditioned_sharpness_does_not_depend_on_what_was_measured_before(tmp_path):
    """A resumed run's is the uninterrupted one's: in one process, both take the same products."""

    def recorded(folder, stops):
        model = make_model()
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
        step = 0
        for stop in stops:
            problem = make_problem(model)
            with Recorder(problem, folder, 1, loss_and_length, optimizer=optimizer) as recorder:
                while step < stop:
                    recorder.step(model, step)
                    optimizer.zero_grad()
                    with torch.random.fork_rng():
                        torch.manual_seed(step)
                        cross_entropy(model(DATA[0]), DATA[1]).backward()
                    optimizer.step()
                    step += 1
        return recorder.run.trajectory().preconditioned_sharpness.values

    whole, resumed = recorded(tmp_path / "whole", [2]), recorded(tmp_path / "resumed", [1, 2])
    np.testing.assert_allclose(resumed, whole, rtol=1e-6)  # float32's rounding; tol is 1e-4


def test_an_optimiser_that_cannot_be_read_is_refused_before_anything_is_measured(tmp_path):
    model, calls = make_model(), []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    optimizer.param_groups[0]["lr"] = lambda step: 0.1 / (step + 1)
    with pytest.raises(ValueError, match="lr"):
        Recorder(make_problem(model), tmp_path / "run", 1, calls.append, optimizer=optimizer)
    adagrad = torch.optim.Adagrad(model.parameters())
    with pytest.raises(TypeError, match="optimizer is a Adagrad; accepted are"):
        Recorder(make_problem(model), tmp_path / "run", 1, calls.append, optimizer=adagrad)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("step", [-1, 0.5, "a", 2**63])
def test_a_step_that_no_run_lists_is_refused(tmp_path, step):
    model = make_model()
    recorder = Recorder(make_problem(model), tmp_path, lambda step: True, loss_and_length)
    with pytest.raises(ValueError, match=r"step is .* an integer from 0"):
        recorder.step(model, step)
    assert recorder.run.steps() == []


@pytest.mark.parametrize(
    ("scalars", "said"),
    [
        ({"loss": 1.0}, "'loss', under which the snapshot has what is measured"),
        ({"rank": 1.0}, "'rank', under which"),
        ({"train/loss": 1.0}, "'train/loss'; accepted are letters"),
        ({3: 1.0}, "the name 3"),
        ({"rate": "fast"}, "'fast' under 'rate'; it must be a number"),
    ],
)
def test_scalars_that_no_snapshot_can_hold_are_refused_before_a_measurement(
    tmp_path, scalars, said
):
    model = make_model()
    recorder = Recorder(make_problem(model), tmp_path, 1, loss_and_length)
    with pytest.raises(ValueError, match=said):
        recorder.step(model, 0, scalars)
    assert recorder.run.steps() == []


class Board:
    def __init__(self, fails=False):
        self.shown, self.closed, self.fails = [], False, fails

    def log(self, step, snapshot):
        if self.fails:
            raise ConnectionError("no network")
        self.shown.append((step, float(snapshot.loss)))

    def close(self):
        self.closed = True


def test_trackers_are_shown_every_snapshot_and_one_that_fails_ends_nothing(tmp_path):
    model, good, bad = make_model(), Board(), Board(fails=True)
    recorder = Recorder(make_problem(model), tmp_path, 1, loss_and_length, trackers=[bad, good])
    for step in (0, 1):
        with pytest.warns(UserWarning, match=r"Board.log failed: no network; the run folder has"):
            recorder.step(model, step)
    recorder.close()
    assert good.shown == [(s, float(recorder.run.snapshot(s).loss)) for s in (0, 1)]
    assert good.closed
    assert bad.closed


def test_a_snapshot_is_the_problem_at_the_weights_of_its_step(tmp_path):
    model = make_model()
    with Recorder(make_problem(model), tmp_path, 5, loss_and_length) as recorder:
        descend(model, 10, recorder)
    assert recorder.run.steps() == [0, 5, 10]
    with torch.no_grad():
        expected = cross_entropy(model.eval()(DATA[0]), DATA[1])
    assert float(recorder.run.snapshot(10).loss) == pytest.approx(float(expected), rel=1e-6)


def test_empty_batch_norm_statistics_are_calibrated_on_a_copy(tmp_path):
    model = make_model()
    with Recorder(make_problem(model), tmp_path, [0], loss_and_length) as recorder:
        recorder.step(model, 0)
    assert model[1].num_batches_tracked == 0
    with torch.no_grad():
        expected = cross_entropy(calibrated(model, [DATA]).eval()(DATA[0]), DATA[1])
        empty = cross_entropy(model.eval()(DATA[0]), DATA[1])
    assert float(recorder.run.snapshot(0).loss) == pytest.approx(float(expected), rel=1e-6)
    assert abs(float(expected) - float(empty)) > 1e-3


def test_drifts_are_measured_from_the_first_recorded_weights_also_after_a_resume(tmp_path):
    def trained(folder, stops):
        model = make_model()
        torch.manual_seed(7)
        for first, stop in stops:
            with Recorder(make_problem(model), folder, 2, loss_and_length) as recorder:
                descend(model, stop, recorder, first=first)
        return recorder.run.trajectory()

    whole = trained(tmp_path / "whole", [(0, 8)])
    in_parts = trained(tmp_path / "parts", [(0, 4), (4, 8)])
    xr.testing.assert_identical(in_parts.way.drop_vars("step"), whole.way.drop_vars("step"))
    assert float(whole.way[0]) == 0
    assert all(np.diff(whole.way) > 0)
    np.testing.assert_array_equal(in_parts.reference_loss, np.full(5, whole.loss[0]))


def test_a_measured_step_is_not_measured_again(tmp_path):
    model, calls = make_model(), []

    def count(problem):
        calls.append(1)
        return xr.Dataset({"calls": len(calls)})

    for _ in range(2):
        with Recorder(make_problem(model), tmp_path, [0, 1], count) as recorder:
            assert recorder.due(0) == (len(calls) == 0)
            recorder.step(model, 0)
            recorder.step(model, 0)
            recorder.step(model, 5)
    assert recorder.run.trajectory().calls.values.tolist() == [1]


def test_a_failing_measurement_names_its_step_and_loses_nothing_before(tmp_path):
    model = make_model()

    def fails_when_away(problem, reference):
        if not torch.equal(problem.parameters_vector(), reference.parameters_vector()):
            raise RuntimeError("no convergence")
        return xr.Dataset({"loss": float(problem.loss())})

    def record():
        with Recorder(make_problem(model), tmp_path, [0, 1], fails_when_away) as recorder:
            descend(model, 1, recorder)

    with pytest.raises(RuntimeError, match="no convergence") as failure:
        record()
    assert "while measuring step 1" in failure.value.__notes__[0]
    run = Run.open(tmp_path)
    assert run.steps() == [0]
    assert run.summary()["steps"] == [0]


def test_scalars_are_kept_with_their_attributes(tmp_path):
    model = make_model()
    rate = xr.DataArray(0.1, attrs={"units": "1"})
    with Recorder(make_problem(model), tmp_path, [0], loss_and_length) as recorder:
        recorder.step(model, 0, scalars={"learning_rate": rate, "epoch": 3})
    snapshot = recorder.run.snapshot(0)
    assert (float(snapshot.learning_rate), int(snapshot.epoch)) == (0.1, 3)
    assert snapshot.learning_rate.attrs == {"units": "1"}


def test_a_run_that_lost_its_reference_is_not_measured_from_another_one(tmp_path):
    model = make_model()
    with Recorder(make_problem(model), tmp_path, 2, loss_and_length) as recorder:
        recorder.step(model, 0)
    (tmp_path / "reference.safetensors").unlink()
    with (
        Recorder(make_problem(model), tmp_path, 2, loss_and_length) as recorder,
        pytest.raises(ValueError, match="restore it, or name"),
    ):
        recorder.step(model, 2)
    assert recorder.run.steps() == [0]


def test_a_bound_reference_and_a_measure_without_one_are_left_alone(tmp_path):
    model = make_model()
    problem = make_problem(model)
    elsewhere = problem.at(torch.zeros(problem.num_params))
    with Recorder(problem, tmp_path, [0], partial(loss_and_length, reference=elsewhere)) as bound:
        bound.step(model, 0)
    length = float(problem.parameters_vector().double().norm())
    assert float(bound.run.snapshot(0).way) == pytest.approx(length, rel=1e-6)
    assert bound.run.reference() is None


def picks_anew(problem, method="auto", memory_limit=None):
    """Stand for `measure`: pick another way at each call, unless one is given."""
    calls.append((method, memory_limit))
    limit = memory_limit or 1000 + len(calls)
    return xr.Dataset(
        {"loss": float(problem.loss())},
        attrs={"hessian_products": ["linearized", "cached_graph"][len(calls) % 2]}
        | {"memory_limit": limit},
    )


calls: list = []


@pytest.mark.parametrize("stops", [[6], [2, 6], [1, 3, 6]])
def test_what_the_first_measurement_picked_holds_for_all_also_after_a_resume(tmp_path, stops):
    calls.clear()
    model = make_model()
    for stop in stops:
        with Recorder(make_problem(model), tmp_path, 2, picks_anew) as recorder:
            for step in range(stop + 1):
                recorder.step(model, step)
    picked = {"hessian": "cached_graph"}, 1001
    assert calls == [("auto", None), picked, picked, picked]


def test_what_was_asked_for_is_not_replaced_by_what_was_picked(tmp_path):
    calls.clear()
    model = make_model()
    measure = partial(picks_anew, method="recomputed", memory_limit=None)
    with Recorder(make_problem(model), tmp_path, 1, measure) as recorder:
        recorder.step(model, 0)
        recorder.step(model, 1)
    assert calls == [("recomputed", None), ("recomputed", 1001)]


def test_points_of_weight_space_are_recorded_too(tmp_path):
    weights = {"w": torch.randn(4, 3, generator=torch.Generator().manual_seed(0))}
    problem = Problem(lambda parameters, x: x @ parameters["w"], DATA, params=weights)
    point = problem.parameters_vector()
    with Recorder(problem, tmp_path, [0, 1], loss_and_length) as recorder:
        recorder.step(point, 0)
        recorder.step(point + 1, 1)
    np.testing.assert_allclose(recorder.run.trajectory().way, [0, np.sqrt(12)], rtol=1e-6)


def test_a_run_of_another_problem_is_refused(tmp_path):
    Recorder(make_problem(make_model()), tmp_path, [0], loss_and_length)
    other = Problem(make_model().eval(), (DATA[0][:9], DATA[1][:9]))
    with pytest.raises(ValueError, match="another problem: its num_examples and data differ"):
        Recorder(other, tmp_path, [0], loss_and_length)


def test_the_summary_holds_first_and_last(tmp_path):
    model = make_model()
    with Recorder(make_problem(model), tmp_path, 5, loss_and_length) as recorder:
        descend(model, 10, recorder)
    summary = recorder.run.summary()
    trajectory = recorder.run.trajectory()
    assert summary["steps"] == [0, 5, 10]
    assert summary["first"]["loss"] == float(trajectory.loss[0])
    assert summary["last"]["way"] == float(trajectory.way[-1])
    assert summary["versions"]["torch"] == torch.__version__.split("+")[0]


def test_the_model_of_a_hyperplane_is_measured_where_it_is_and_left_alone(tmp_path):
    problem = make_problem(make_model())
    hyperplane = AffineHyperplane(problem, 6, seed=2)
    points = []

    def point(problem):
        points.append((problem.parameters_vector(), problem.state()["1.running_mean"]))
        return xr.Dataset({"loss": float(problem.loss())})

    def trained(recorder=None):
        torch.manual_seed(3)
        model = hyperplane.model().train()
        descend(model, 5, recorder)
        return model

    alone = trained()
    with Recorder(problem, tmp_path, [0, 5], point) as recorder:
        model = trained(recorder)
        recorder.step(model, 5)
    assert torch.equal(model.theta, alone.theta)
    assert torch.equal(points[0][0], hyperplane.origin)
    weights, mean = points[-1]
    assert torch.equal(weights, hyperplane.point(model.theta.detach()))
    assert torch.equal(mean, model.module[1].running_mean)
