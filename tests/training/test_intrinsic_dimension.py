"""The intrinsic dimension: where scores cross a level, and its interval over seeds."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

import landscope as ls
from landscope.training.intrinsic_dimension import IntrinsicDimension, crossing


def made(scores, full=(1.0, 1.0, 1.0), dims=(10, 100, 1000), threshold=0.9):
    return IntrinsicDimension(np.array(dims), np.array(scores), np.array(full), threshold, 5000)


def test_a_crossing_lies_between_dimensions_in_proportion_to_their_logarithms():
    assert crossing([10, 1000], np.array([0.0, 1.0]), 0.5) == pytest.approx(100)
    assert crossing([10, 1000], np.array([0.0, 1.0]), 0.25) == pytest.approx(10 ** (1 + 0.5))
    # The first crossing counts, and scores need not be monotonic.
    assert crossing([10, 20, 40], np.array([0.6, 0.4, 0.8]), 0.5) == 10
    assert crossing([10, 20], np.array([0.1, 0.2]), 0.5) == np.inf


def test_the_interval_is_students_of_the_logarithms():
    found = made(np.array([[0.5, 0.6, 0.4], [0.95, 0.92, 0.97], [1.0, 1.0, 1.0]]))
    logs = np.log(found.per_seed)
    low, high = stats.t.interval(0.95, 2, logs.mean(), logs.std(ddof=1) / 3**0.5)
    assert found.interval() == pytest.approx((np.exp(low), np.exp(high)))
    assert found.dimension == pytest.approx(np.exp(logs.mean()))
    assert low < np.log(found.dimension) < high


def test_intervals_cover_as_often_as_they_say():
    rng = np.random.default_rng(0)
    dims = np.geomspace(4, 4096, 11)
    truth = 100.0
    covered = 0
    for _ in range(400):
        own = truth * np.exp(0.3 * rng.standard_normal(4))
        # Straight in ln d, so that the crossing is found exactly.
        scores = np.clip(0.9 + 0.1 * np.log(dims[:, None] / own), 0, 1)
        low, high = made(scores, np.ones(4), dims).interval(0.9)
        covered += low <= truth <= high
    # Four binomial standard deviations.
    assert abs(covered / 400 - 0.9) < 4 * (0.9 * 0.1 / 400) ** 0.5


def test_a_seed_that_does_not_get_there_leaves_the_interval_open():
    found = made([[0.5, 0.5], [0.95, 0.7]], (1.0, 1.0), (10, 100))
    assert found.dimension == np.inf
    low, high = found.interval()
    assert 10 < low < 100
    assert high == np.inf
    assert np.isnan(made([[0.95]], (1.0,), (10,)).interval()).all()


def on_examples(count, seed):
    """Two classes that one direction of the input tells apart."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 2))
    x = torch.randn(count, 6, generator=torch.Generator().manual_seed(seed))
    return ls.Problem(net, (x, (x[:, 0] > 0).long()))


@pytest.fixture(scope="module")
def problem():
    return on_examples(80, 0)


QUICK = ls.AdamDescent(steps=20, batch_size=40, step_size=0.03, full_step_size=0.04)


def test_scores_are_those_of_training_in_each_hyperplane(problem):
    found = ls.intrinsic_dimension(problem, [8, 2], num_seeds=2, descent=QUICK, seed=5)
    assert found.dims.tolist() == [2, 8]
    hyperplane = ls.AffineHyperplane(problem, 8, "fastfood", 6)
    trained = problem.at(QUICK.in_hyperplane(hyperplane, 6))
    right = (trained.logits().argmax(1) == problem.targets()).float().mean()
    assert found.scores[1, 1] == pytest.approx(float(right))
    whole = problem.at(QUICK.in_full(problem, 5))
    right = (whole.logits().argmax(1) == problem.targets()).float().mean()
    assert found.full_scores[0] == pytest.approx(float(right))


@pytest.mark.slow
def test_dimensions_double_until_all_seeds_are_there(problem):
    found = ls.intrinsic_dimension(problem, num_seeds=2, descent=QUICK)
    assert found.dims.tolist() == [2 ** (3 + place) for place in range(len(found.dims))]
    assert found.scores[-1].min() >= found.level
    assert all(row.min() < found.level for row in found.scores[:-1])
    assert np.isfinite(found.dimension)


def test_another_score_on_other_data(problem):
    test = on_examples(30, 1)
    found = ls.intrinsic_dimension(
        problem, [4], test=test, score=lambda p: -float(p.loss()), num_seeds=1, descent=QUICK
    )
    trained = test.at(QUICK.in_full(problem, 0))
    assert found.full_scores[0] == pytest.approx(-float(trained.loss()))


def test_a_run_goes_on_where_it_was_stopped(problem, tmp_path):
    class StoppedError(Exception):
        pass

    def stop_at_the_fourth(done, total, doing):
        assert total == 6
        if done == 3:
            raise StoppedError

    arguments = {"dims": [4, 8], "num_seeds": 2, "descent": ls.AdamDescent(steps=3)}
    with pytest.raises(StoppedError):
        ls.intrinsic_dimension(problem, **arguments, run=tmp_path, progress=stop_at_the_fourth)
    kept = {file: file.stat().st_mtime_ns for file in (tmp_path / "snapshots").iterdir()}
    assert len(kept) == 3
    found = ls.intrinsic_dimension(problem, **arguments, run=tmp_path)
    assert all(file.stat().st_mtime_ns == at for file, at in kept.items())
    expected = ls.intrinsic_dimension(problem, **arguments)
    np.testing.assert_array_equal(found.scores, expected.scores)
    with pytest.raises(ValueError, match="another configuration: seed"):
        ls.intrinsic_dimension(problem, **arguments, seed=1, run=tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dims": [8, 10**6]}, r"dims\[1\] is 1000000; it must be an integer from 1 to D = 74"),
        ({"dims": [0]}, r"dims\[0\] is 0"),
        ({"dims": [2.5]}, r"dims\[0\] is 2\.5"),
        ({"dims": []}, r"dims is \[\]"),
        ({"threshold": 1.5}, r"threshold is 1\.5; it must be a number in \(0, 1\]"),
        ({"num_seeds": 0}, "num_seeds is 0"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(problem, arguments, message):
    with pytest.raises(ValueError, match=message):
        ls.intrinsic_dimension(problem, **arguments)


def test_a_test_problem_of_another_model_is_refused(problem):
    other = ls.Problem(nn.Linear(6, 2), (torch.randn(4, 6), torch.tensor([0, 1, 0, 1])))
    with pytest.raises(ValueError, match="test has 14 parameters; it must be the same model"):
        ls.intrinsic_dimension(problem, [4], test=other)
