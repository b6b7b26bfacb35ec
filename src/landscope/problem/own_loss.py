"""The loss that a model computes itself when it is given labels, and the logits that belong to it.

Models of Hugging Face shift labels against logits by a token, or make the decoder's inputs from
them. Which, a name does not tell: of the readings below that one is right whose cross-entropy is
the model's own loss.
"""

import math
from collections.abc import Callable, Mapping
from functools import partial
from itertools import product
from typing import Any

from torch import Tensor
from torch.nn.functional import cross_entropy

from landscope.problem.forward import Forward, logits_in
from landscope.problem.terms import flatten_logits

LABELS = "labels"

SAME = 2e-5
"""Relative distance of one loss computed in two ways; a router's share is larger."""


def read_with_labels(
    model: Callable[..., Any], batch: Mapping[str, Any], shifted: bool, given: bool
) -> tuple[Tensor, Tensor]:
    """Logits and labels of a batch.

    Parameters
    ----------
    model : callable
        Keyword arguments ↦ an output with logits.
    batch : mapping
        With the targets under ``labels``.
    shifted : bool
        Whether each logit predicts the next label.
    given : bool
        Whether the model is given the labels too.
    """
    inputs = {name: value for name, value in batch.items() if given or name != LABELS}
    logits, labels = logits_in(model(**inputs)), batch[LABELS]
    return (logits[:, :-1], labels[:, 1:]) if shifted else (logits, labels)


def find_reading(run: Callable[[Forward, Any], Any], batch: Any, must_fit: bool) -> Forward | None:
    """The reading of a batch whose cross-entropy is the model's own loss; None if it has none.

    Parameters
    ----------
    run : callable
        (forward, batch) ↦ forward(model, batch), at the weights that are measured.
    batch
        Some of the data.
    must_fit : bool
        Whether to refuse a model whose own loss is no cross-entropy of its logits; else the
        nearest reading is taken.

    Raises
    ------
    ValueError
        With both numbers.
    """
    own = _own_loss(run, batch)
    if own is None:
        return None
    nearest: tuple[float, Forward | None] = (math.nan, None)
    for given, shifted in product((False, True), (False, True)):
        reading = partial(read_with_labels, shifted=shifted, given=given)
        try:
            logits, labels = flatten_logits(*run(reading, batch))
            found = float(cross_entropy(logits, labels))
        except (RuntimeError, TypeError, ValueError, IndexError):
            continue  # such a reading does not fit the shapes, or the model needs its labels
        if abs(found - own) <= SAME * max(abs(own), 1e-3):
            return reading
        if not abs(nearest[0] - own) < abs(found - own):
            nearest = found, reading
    if must_fit and nearest[1] is not None:
        raise ValueError(
            f"model has the loss {own:.6g} of its own on the first examples, where the "
            f"cross-entropy of its logits is {nearest[0]:.6g}; give loss=nn.CrossEntropyLoss() to "
            "measure that, or another loss= or forward="
        )
    return nearest[1]


def _own_loss(run: Callable[[Forward, Any], Any], batch: Any) -> float | None:
    if not isinstance(batch, Mapping) or not isinstance(batch.get(LABELS), Tensor):
        return None
    try:
        output = run(lambda model, batch: model(**batch), batch)
    except (RuntimeError, TypeError, ValueError, AttributeError, LookupError):
        return None  # it does not take labels
    loss = output.get("loss") if isinstance(output, Mapping) else getattr(output, "loss", None)
    found = float(loss) if isinstance(loss, Tensor) and loss.numel() == 1 else math.nan
    return found if math.isfinite(found) else None  # no label of these examples counts
