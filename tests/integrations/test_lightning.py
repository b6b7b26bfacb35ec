import csv
import warnings

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import CSVLogger
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

import landscope as ls
from landscope.integrations.lightning import LandscapeCallback
from landscope.runs import Run
from tests.integrations.descent import (
    INPUTS,
    TARGETS,
    Log,
    assert_the_same_bits,
    loss_and_length,
    quick,
)

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:lightning")


class Classifier(LightningModule):
    """With dropout, whose masks come from the global random state, and batch statistics."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3)
        )

    def forward(self, x):
        return self.layers(x)

    def training_step(self, batch):
        inputs, targets = batch
        return cross_entropy(self(inputs), targets)

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.5, momentum=0.9)
        halved = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": halved, "interval": "step"}}


class TwoOptimizers(Classifier):
    def __init__(self):
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch):
        loss = super().training_step(batch)
        self.manual_backward(loss)
        for optimizer in self.optimizers():
            optimizer.step()
            optimizer.zero_grad()

    def configure_optimizers(self):
        return [torch.optim.SGD(self.layers[index].parameters(), lr=0.1) for index in (0, 4)]


def make(kind=Classifier):
    torch.manual_seed(0)
    return kind()


def problem_of(module):
    problem = ls.Problem(module.eval(), (INPUTS, TARGETS))
    module.train()
    return problem


def fit(module, *callbacks, max_steps=5, checkpoint=None, **options):
    torch.manual_seed(7)
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    alone = {"enable_checkpointing": False, "accelerator": "cpu", "devices": 1}
    trainer = Trainer(max_steps=max_steps, callbacks=list(callbacks), **quiet | alone | options)
    data = DataLoader(TensorDataset(INPUTS, TARGETS), batch_size=8, shuffle=True)
    trainer.fit(module, data, ckpt_path=checkpoint)
    return trainer


def test_training_is_bit_identical_with_and_without_the_callback(tmp_path):
    alone, measured = make(), make()
    fit(alone)
    after = torch.get_rng_state()
    callback = LandscapeCallback(problem_of(measured), tmp_path, 2, loss_and_length)
    fit(measured, callback)
    assert callback.recorder.run.steps() == [0, 2, 4]
    assert_the_same_bits(alone, measured)
    assert torch.equal(after, torch.get_rng_state())
    assert (tmp_path / "summary.json").exists()


def test_a_snapshot_is_of_the_weights_after_so_many_optimizer_steps(tmp_path):
    module = make()
    problem = problem_of(module)
    callback = LandscapeCallback(problem, tmp_path, [0, 2, 5], quick)
    fit(module, callback)
    for step in (2, 5):
        fit(stopped := make(), max_steps=step)
        expected = loss_and_length(problem.at(stopped))
        assert float(callback.recorder.run.snapshot(step).loss) == float(expected.loss)


def test_a_snapshot_holds_the_learning_rate_and_the_limit_of_the_only_optimizer(tmp_path):
    module = make()
    fit(module, LandscapeCallback(problem_of(module), tmp_path, 1, quick))
    trajectory = Run.open(tmp_path).trajectory()
    rates = np.array([0.5, 0.5, 0.25, 0.25, 0.125, 0.125])
    assert trajectory.learning_rate.values == pytest.approx(rates)
    assert trajectory.sharpness_limit.values == pytest.approx(2 * (1 + 0.9) / rates)
    assert trajectory.stability_ratio.values == pytest.approx(1.0 * rates / 3.8)


def test_batches_that_only_accumulate_gradients_are_not_measured(tmp_path):
    asked = []

    def all_but_one(step):
        asked.append(step)
        return step != 1

    module = make()
    callback = LandscapeCallback(problem_of(module), tmp_path, all_but_one, quick)
    fit(module, callback, max_steps=3, accumulate_grad_batches=3)
    assert asked == [0, 1, 2, 3]
    assert callback.recorder.run.steps() == [0, 2, 3]


def test_several_optimizers_give_no_learning_rate_and_one_warning(tmp_path):
    module = make(TwoOptimizers)
    callback = LandscapeCallback(problem_of(module), tmp_path, 2, quick)
    with pytest.warns(UserWarning, match="optimizers are 2") as caught:
        fit(module, callback, max_steps=4)
    assert sum("optimizers are" in str(warning.message) for warning in caught) == 1
    trajectory = callback.recorder.run.trajectory()
    assert trajectory.step.values.tolist() == [0, 2, 4]
    assert "learning_rate" not in trajectory


def test_numbers_go_to_the_trainers_loggers_and_to_trackers(tmp_path):
    module, tracker = make(), Log()
    logger = CSVLogger(tmp_path / "csv")
    callback = LandscapeCallback(problem_of(module), tmp_path / "run", 2, quick, trackers=[tracker])
    fit(module, callback, logger=logger)
    losses = {step: float(callback.recorder.run.snapshot(step).loss) for step in (0, 2, 4)}
    assert tracker.logged == losses
    assert tracker.closed == 1
    with open(f"{logger.log_dir}/metrics.csv") as file:
        rows = {int(row["step"]): row for row in csv.DictReader(file)}
    assert {step: float(rows[step]["landscope/loss"]) for step in rows} == losses


def test_a_second_fit_on_the_same_folder_measures_only_what_is_missing(tmp_path):
    measured = []

    def measure(problem):
        measured.append(1)
        return quick(problem)

    for max_steps, count in ((4, 3), (4, 3), (6, 4)):
        module = make()
        callback = LandscapeCallback(problem_of(module), tmp_path, 2, measure)
        fit(module, callback, max_steps=max_steps)
        assert len(measured) == count
    assert callback.recorder.run.steps() == [0, 2, 4, 6]


def test_a_training_that_is_restored_is_measured_from_its_own_step_on(tmp_path):
    module = make()
    trainer = fit(module, max_steps=4)
    trainer.save_checkpoint(tmp_path / "four.ckpt")
    restored = make()
    callback = LandscapeCallback(problem_of(restored), tmp_path / "run", 1, quick)
    fit(restored, callback, max_steps=6, checkpoint=tmp_path / "four.ckpt")
    assert callback.recorder.run.steps() == [4, 5, 6]
    here = loss_and_length(callback.recorder.problem.at(module))
    assert float(callback.recorder.run.snapshot(4).loss) == float(here.loss)


def test_a_training_that_fails_closes_its_run(tmp_path):
    module, tracker = make(), Log()

    def fail(module, arguments):
        if module.training and module.global_step == 3:
            raise RuntimeError("out of luck")

    module.register_forward_pre_hook(fail)
    callback = LandscapeCallback(problem_of(make()), tmp_path, 1, quick, trackers=[tracker])
    with pytest.raises(RuntimeError, match="out of luck"):
        fit(module, callback)
    assert callback.recorder.run.steps() == [0, 1, 2, 3]
    assert tracker.closed == 1
    assert (tmp_path / "summary.json").exists()


def test_a_process_that_is_not_the_first_neither_measures_nor_opens_a_run(tmp_path, monkeypatch):
    monkeypatch.setattr(Trainer, "is_global_zero", False)
    module = make()
    callback = LandscapeCallback(problem_of(module), tmp_path / "run", 1, quick)
    fit(module, callback)
    assert callback.recorder is None
    assert not (tmp_path / "run").exists()


def test_the_whole_measurement_works_inside_a_fit(tmp_path):
    module = make()

    def measure(problem):
        return ls.measure(problem, parts=["hessian"], num_eigenvalues=3)

    callback = LandscapeCallback(problem_of(module), tmp_path, [2], measure)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # a part that failed would warn
        warnings.filterwarnings("ignore", module="lightning")
        fit(module, callback, max_steps=2)
    H = ls.Hessian(callback.recorder.problem.at(module)).to_dense()
    top = torch.linalg.eigvalsh(H.double())[-3:].flip(0)
    found = callback.recorder.run.snapshot(2).hessian_eigenvalues.values
    assert found == pytest.approx(top.numpy(), rel=1e-3)


def test_arguments_that_cannot_be_used_are_refused_before_training(tmp_path):
    with pytest.raises(TypeError, match=r"^schedule is 0\.5"):
        LandscapeCallback(problem_of(make()), tmp_path, 0.5)
    with pytest.raises(ValueError, match=r"^max_overhead is 7"):
        LandscapeCallback(problem_of(make()), tmp_path, 1, max_overhead=7)
