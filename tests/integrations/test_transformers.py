import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

import landscope as ls
from landscope.integrations.transformers import LandscapeCallback
from landscope.runs import Run
from tests.integrations.descent import (
    INPUTS,
    TARGETS,
    Log,
    assert_the_same_bits,
    loss_and_length,
    quick,
)


class Classifier(nn.Module):
    """With dropout, whose masks come from the global random state, and batch statistics."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3)
        )

    def forward(self, inputs, labels=None):
        logits = self.layers(inputs)
        loss = None if labels is None else cross_entropy(logits, labels)
        return {"loss": loss, "logits": logits}


EXAMPLES = [{"inputs": x, "labels": y} for x, y in zip(INPUTS, TARGETS, strict=True)]


def make():
    torch.manual_seed(0)
    return Classifier()


def problem_of(model):
    problem = ls.Problem(model.eval(), [{"inputs": INPUTS, "labels": TARGETS}])
    model.train()
    return problem


def train(model, folder, *callbacks, examples=EXAMPLES, resume=None, **options):
    options = {
        "max_steps": 5,
        "optim": "sgd",
        "learning_rate": 0.5,
        "save_strategy": "no",
    } | options
    arguments = TrainingArguments(
        str(folder / "trainer"),
        per_device_train_batch_size=8,
        use_cpu=True,
        report_to="none",
        disable_tqdm=True,
        **options,
    )
    trainer = Trainer(model, arguments, train_dataset=examples, callbacks=list(callbacks))
    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=resume)
    return trainer


def test_training_is_bit_identical_with_and_without_the_callback(tmp_path):
    alone, measured = make(), make()
    train(alone, tmp_path)
    after = torch.get_rng_state()
    callback = LandscapeCallback(problem_of(measured), tmp_path / "run", 2, loss_and_length)
    train(measured, tmp_path, callback)
    assert callback.recorder.run.steps() == [0, 2, 4]
    assert_the_same_bits(alone, measured)
    assert torch.equal(after, torch.get_rng_state())
    assert (tmp_path / "run" / "summary.json").exists()


def test_a_snapshot_is_of_the_weights_after_so_many_optimizer_steps(tmp_path):
    model = make()
    problem = problem_of(model)
    schedule = {"lr_scheduler_type": "constant"}
    callback = LandscapeCallback(problem, tmp_path / "run", [0, 2, 5], quick)
    train(model, tmp_path, callback, **schedule)
    for step in (2, 5):
        train(stopped := make(), tmp_path, max_steps=step, **schedule)
        expected = loss_and_length(problem.at(stopped))
        assert float(callback.recorder.run.snapshot(step).loss) == float(expected.loss)


def test_a_snapshot_holds_the_learning_rate_of_the_optimizer(tmp_path):
    model = make()
    callback = LandscapeCallback(problem_of(model), tmp_path / "run", 1, quick)
    train(model, tmp_path, callback, max_steps=4, lr_scheduler_type="linear")
    rates = Run.open(tmp_path / "run").trajectory().learning_rate.values
    assert rates == pytest.approx([0.5, 0.375, 0.25, 0.125, 0.0])


def test_an_optimizer_that_cannot_be_read_trains_on_with_one_warning(tmp_path):
    model = make()
    callback = LandscapeCallback(problem_of(model), tmp_path / "run", 2, quick)
    with pytest.warns(UserWarning, match="^stability is not monitored: .*Adagrad") as caught:
        train(model, tmp_path, callback, optim="adagrad")
    assert sum("stability" in str(warning.message) for warning in caught) == 1
    assert callback.recorder.run.steps() == [0, 2, 4]
    assert "learning_rate" not in callback.recorder.run.snapshot(4)


def test_batches_that_only_accumulate_gradients_are_not_measured(tmp_path):
    asked = []

    def all_but_one(step):
        asked.append(step)
        return step != 1

    model = make()
    callback = LandscapeCallback(problem_of(model), tmp_path / "run", all_but_one, quick)
    train(model, tmp_path, callback, max_steps=3, gradient_accumulation_steps=3)
    assert asked == [0, 1, 2, 3]
    assert callback.recorder.run.steps() == [0, 2, 3]


def test_a_second_training_on_the_same_folder_measures_only_what_is_missing(tmp_path):
    measured = []

    def measure(problem):
        measured.append(1)
        return quick(problem)

    for max_steps, count in ((4, 3), (4, 3), (6, 4)):
        model = make()
        callback = LandscapeCallback(problem_of(model), tmp_path / "run", 2, measure)
        train(model, tmp_path, callback, max_steps=max_steps)
        assert len(measured) == count


def test_a_training_that_is_restored_is_measured_from_its_own_step_on(tmp_path):
    train(make(), tmp_path, save_strategy="steps", save_steps=4)
    model = make()
    callback = LandscapeCallback(problem_of(model), tmp_path / "run", 1, quick)
    resume = str(tmp_path / "trainer" / "checkpoint-4")
    train(model, tmp_path, callback, max_steps=6, resume=resume)
    assert callback.recorder.run.steps() == [4, 5, 6]


def test_trackers_see_every_snapshot_and_are_closed_also_after_a_training_that_failed(tmp_path):
    class Failing(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            if state.global_step == 3:
                raise RuntimeError("out of luck")

    model, tracker = make(), Log()
    callback = LandscapeCallback(problem_of(model), tmp_path / "run", 2, quick, trackers=[tracker])
    with pytest.raises(RuntimeError, match="out of luck"):
        train(model, tmp_path, callback, Failing())
    assert list(tracker.logged) == [0, 2]
    train(make(), tmp_path, callback)
    assert list(tracker.logged) == [0, 2, 4]
    assert tracker.closed == 2
    losses = callback.recorder.run.trajectory().loss.values.tolist()
    assert list(tracker.logged.values()) == losses


def test_a_process_that_is_not_the_first_neither_measures_nor_opens_a_run(tmp_path, monkeypatch):
    monkeypatch.setattr(Trainer, "is_world_process_zero", lambda trainer: False)
    model = make()
    callback = LandscapeCallback(problem_of(model), tmp_path / "run", 1, quick)
    train(model, tmp_path, callback)
    assert callback.recorder is None
    assert not (tmp_path / "run").exists()


def test_a_causal_language_model_is_measured_with_its_own_loss(tmp_path):
    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(vocab_size=17, n_positions=8, n_embd=8, n_layer=1, n_head=2))
    tokens = torch.randint(17, (12, 8))
    problem = ls.Problem(model.eval(), [{"input_ids": tokens, "labels": tokens}])
    callback = LandscapeCallback(problem, tmp_path / "run", [3], quick)
    examples = [{"input_ids": row, "labels": row} for row in tokens]
    train(model.train(), tmp_path, callback, examples=examples, max_steps=3, learning_rate=0.1)
    with torch.no_grad():
        own = model.eval()(tokens, labels=tokens).loss
    assert float(callback.recorder.run.snapshot(3).loss) == pytest.approx(float(own), rel=1e-5)
