"""Loss and accuracy on data that were not trained on."""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

_BATCH_SIZE = 1000


@torch.no_grad()
def loss_and_accuracy(model: nn.Module, inputs: Tensor, targets: Tensor) -> tuple[float, float]:
    """Give the mean cross-entropy and the share of right predictions, the model in eval mode.

    Parameters
    ----------
    model
        Its mode is restored afterwards.
    inputs, targets
        Examples (N, ...) and their classes (N,), on the model's device.

    Returns
    -------
    loss : float
        In nats.
    accuracy : float
        Between 0 and 1.

    Examples
    --------
    >>> logits = torch.tensor([[0.0, 0.0], [0.0, 0.0]])
    >>> loss, accuracy = loss_and_accuracy(nn.Identity(), logits, torch.tensor([0, 1]))
    >>> round(loss, 4), accuracy
    (0.6931, 0.5)
    """
    was_training = model.training
    model.eval()
    logits = torch.cat([model(batch) for batch in inputs.split(_BATCH_SIZE)])
    model.train(was_training)
    accuracy = (logits.argmax(1) == targets).double().mean()
    return float(cross_entropy(logits.double(), targets)), float(accuracy)
