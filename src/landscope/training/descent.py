"""A network on its way down: what its state is, and how it takes the next step."""

import math

import torch
import xarray as xr
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from landscope.problem import NonFiniteError
from landscope.runs import Checkpoint
from landscope.training.config import TrainConfig
from landscope.training.evaluation import loss_and_accuracy
from landscope.training.learning_rate import learning_rate
from landscope.training.minibatches import Minibatches
from landscope.training.optimizer import load_optimizer_state, make_optimizer, optimizer_state
from landscope.zoo import ClassificationData


class Descent:
    """Mini-batch training of one network, as a function of the step.

    Parameters
    ----------
    model
        The network; trained in place.
    data
        Training and test examples.
    config
        Optimiser, learning rate, mini-batches and device.
    """

    def __init__(self, model: nn.Module, data: ClassificationData, config: TrainConfig) -> None:
        self.model = model.to(config.device).train()
        self.config = config
        self._train = [part.to(config.device) for part in data.train]
        self._test = [part.to(config.device) for part in data.test]
        self._batches = Minibatches(len(data.train_targets), config.batch_size, config.seed)
        self.optimizer = make_optimizer(config, self.model.parameters())

    def learning_rate(self, step: int) -> float:
        """Give the learning rate of the update at `step`; at the end, that of the last update."""
        config = self.config
        return learning_rate(
            min(step, config.steps - 1),
            config.steps,
            config.learning_rate,
            config.schedule,
            config.warmup_steps,
        )

    def set_learning_rate(self, step: int) -> None:
        """Write the learning rate of the update at `step` into the optimiser."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate(step)

    def update(self, step: int) -> None:
        """Take the step from W_t to W_{t+1}.

        Raises
        ------
        NonFiniteError
            If the mini-batch loss is NaN or infinite.
        """
        self.set_learning_rate(step)
        inputs, targets = self._batch(step)
        self.optimizer.zero_grad()
        loss = cross_entropy(self.model(inputs), targets)
        self._check_finite(float(loss.detach()), step)
        loss.backward()
        self.optimizer.step()

    @torch.no_grad()
    def batch_loss(self, step: int) -> float:
        """Give the loss at W_t of the mini-batch that the update at `step` sees; change nothing.

        Raises
        ------
        NonFiniteError
            If it is NaN or infinite.
        """
        inputs, targets = self._batch(step)
        # BatchNorm in training mode writes to its buffers: let it write to copies.
        buffers = {name: buffer.clone() for name, buffer in self.model.named_buffers()}
        loss = float(cross_entropy(functional_call(self.model, buffers, (inputs,)), targets))
        self._check_finite(loss, step)
        return loss

    def scalars(self, step: int) -> dict[str, xr.DataArray]:
        """Give what a snapshot keeps of the training itself."""
        test_loss, test_accuracy = loss_and_accuracy(self.model, *self._test)
        return {
            "learning_rate": _scalar(
                self.learning_rate(step), "learning rate", "1", "η of the update at this step"
            ),
            "train_loss": _scalar(
                self.batch_loss(step),
                "mini-batch loss",
                "nats",
                "mean loss, in training mode, of the mini-batch that this step's update sees",
            ),
            "test_loss": _scalar(
                test_loss, "test loss", "nats", "mean cross-entropy over the test set"
            ),
            "test_accuracy": _scalar(
                test_accuracy, "test accuracy", "1", "share of the test set predicted right"
            ),
        }

    def state(self) -> tuple[dict[str, Tensor], dict[str, str]]:
        """Give all that the next update depends on, as named tensors and strings."""
        optimizer_tensors, optimizer_rest = optimizer_state(self.optimizer)
        tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        tensors |= {f"optimizer.{name}": tensor for name, tensor in optimizer_tensors.items()}
        return tensors, {"optimizer": optimizer_rest}

    def restore(self, checkpoint: Checkpoint) -> None:
        """Put back what `state` gave."""
        self.model.load_state_dict(_under("model.", checkpoint.tensors))
        load_optimizer_state(
            self.optimizer,
            _under("optimizer.", checkpoint.tensors),
            checkpoint.metadata["optimizer"],
        )

    def _batch(self, step: int) -> tuple[Tensor, Tensor]:
        inputs, targets = self._train
        indices = self._batches.indices(step).to(inputs.device)
        return inputs[indices], targets[indices]

    def _check_finite(self, loss: float, step: int) -> None:
        if not math.isfinite(loss):
            raise NonFiniteError(
                f"the mini-batch loss is {loss} at step {step}, learning rate "
                f"{self.learning_rate(step):g}: training has diverged; what was measured before "
                "is kept; a smaller learning_rate may help"
            )


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def _scalar(value: float, long_name: str, units: str, definition: str) -> xr.DataArray:
    attributes = {"long_name": long_name, "units": units, "definition": definition}
    return xr.DataArray(value, attrs=attributes)
