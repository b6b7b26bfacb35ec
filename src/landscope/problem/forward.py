"""How logits and targets come from a model and a batch, when the user does not say."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

Forward = Callable[[Any, Any], tuple[Tensor, Tensor]]

WRAPPERS = ("DataParallel", "DistributedDataParallel", "OptimizedModule")
TARGET_KEYS = ("labels", "targets", "target", "label", "y")


def default_forward(model: Callable[..., Any], batch: Any) -> tuple[Tensor, Tensor]:
    """Logits and targets of one batch.

    A batch (x, ..., y) gives ``model(x, ...)`` and y. A mapping gives its targets under one of
    ``labels``, ``targets``, ``target``, ``label``, ``y``, and all else as keyword arguments. The
    logits are the output itself, its ``.logits``, or its entry ``"logits"``. For a causal language
    model (class name ``…ForCausalLM`` or ``…LMHeadModel``) the logits are shifted against the
    labels by one token. Of a model with a loss of its own, `own_loss` finds that out instead.

    Raises
    ------
    TypeError
        For a batch or an output of another form.
    """
    if isinstance(batch, Mapping):
        key = next((key for key in TARGET_KEYS if key in batch), None)
        if key is None:
            raise TypeError(
                f"data holds a mapping with the keys {sorted(batch)}, none of which is one of "
                f"{TARGET_KEYS}; name the targets so, or give forward="
            )
        inputs = {name: value for name, value in batch.items() if name != key}
        logits, targets = logits_in(model(**inputs)), batch[key]
    elif isinstance(batch, tuple | list) and len(batch) >= 2:
        *arguments, targets = batch
        logits = logits_in(model(*arguments))
    else:
        raise TypeError(
            f"data holds a batch of type {type(batch).__name__}; accepted are (inputs, targets) "
            "and mappings with the targets under 'labels'; for others give forward="
        )
    if not isinstance(targets, Tensor):
        raise TypeError(
            f"data holds targets of type {type(targets).__name__}; accepted are batches whose "
            "targets are a tensor"
        )
    if is_causal_language_model(model):
        logits, targets = logits[:, :-1], targets[:, 1:]
    return logits, targets


def unwrapped(model: Any) -> Any:
    """The user's own module inside DataParallel, DistributedDataParallel or torch.compile."""
    while True:
        inner = getattr(model, "_orig_mod", getattr(model, "module", None))
        if type(model).__name__ not in WRAPPERS or not isinstance(inner, nn.Module):
            return model
        model = inner


def is_causal_language_model(model: object) -> bool:
    """Whether the model predicts the next token, by Hugging Face's naming."""
    name = type(model).__name__
    return isinstance(model, nn.Module) and name.endswith(("ForCausalLM", "LMHeadModel"))


def logits_in(output: Any) -> Tensor:
    """The logits of a model's output.

    Raises
    ------
    TypeError
        For an output that has none.
    """
    if isinstance(output, Tensor):
        return output
    if isinstance(output, Mapping) and "logits" in output:
        return output["logits"]
    if isinstance(getattr(output, "logits", None), Tensor):
        return output.logits
    raise TypeError(
        f"model returned a {type(output).__name__}; accepted are a tensor of logits or an output "
        "with .logits; for others give forward="
    )
