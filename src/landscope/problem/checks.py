"""What is refused at the door: randomness, batch statistics, non-finite numbers, bad labels."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from landscope.arguments import first_line, real, shown
from landscope.distributed import Ranks
from landscope.problem.batch import Batch
from landscope.problem.data import leaves
from landscope.problem.forward import Forward
from landscope.problem.network import Network
from landscope.problem.objective import OutputItself, forward_of

Result = TypeVar("Result")


class NonFiniteError(ValueError):
    """NaN or infinity where a number was needed."""


def check_surroundings() -> None:
    """Refuse modes of torch in which no exact derivative can be taken.

    Raises
    ------
    RuntimeError
        Inside ``torch.autocast`` or ``torch.inference_mode``.
    """
    if torch.is_inference_mode_enabled():
        raise RuntimeError(
            "landscope was called inside torch.inference_mode, which has no derivatives; call it "
            "outside (torch.no_grad does no harm)"
        )
    if torch.is_autocast_enabled("cpu") or torch.is_autocast_enabled("cuda"):
        raise RuntimeError(
            "landscope was called inside torch.autocast, which rounds every product; call it "
            "outside, and choose the precision with Problem(dtype=...)"
        )


def check_forward_output(output: object) -> None:
    """Refuse a forward function that gives anything but logits and targets.

    Raises
    ------
    TypeError
        Saying what it gave.
    """
    parts = output if isinstance(output, tuple) else ()
    if len(parts) != 2 or not all(isinstance(part, Tensor) for part in parts):
        raise TypeError(
            f"forward gave a {type(output).__name__}; it must give a pair of tensors "
            "(logits, targets)"
        )


def check_modes(modules: Mapping[str, nn.Module], batch_statistics: bool) -> None:
    """Refuse dropout in training mode, and batch statistics that were not asked for.

    Raises
    ------
    ValueError
        Naming the module.
    """
    for name, module in modules.items():
        if not module.training:
            continue
        if isinstance(module, nn.modules.dropout._DropoutNd) and module.p > 0:
            raise ValueError(
                f"model has {type(module).__name__} {name!r} in training mode, which makes the "
                "loss random; call model.eval() first"
            )
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and not batch_statistics:
            raise ValueError(
                f"model has {type(module).__name__} {name!r} in training mode, which makes the "
                "loss of an example depend on its batch; call model.eval() first, or give "
                "batch_statistics=True and all data in one batch"
            )


def check_one_device(named: Mapping[str, Tensor], what: str) -> torch.device:
    """The device that all these tensors are on.

    Raises
    ------
    ValueError
        Naming two tensors on different devices, or one without storage.
    """
    devices = {name: value.device for name, value in named.items()}
    first_name, first = next(iter(devices.items()))
    for name, device in devices.items():
        if device != first:
            raise ValueError(
                f"{what} is on mixed devices: {first_name} on {first}, {name} on {device}; put "
                "all of it on one device"
            )
    if first.type == "meta":
        raise ValueError(f"{what} has {first_name} on device meta, which holds no numbers")
    return first


def check_initialized(named: Mapping[str, Tensor]) -> None:
    """Refuse parameters and buffers of lazy modules that no pass has given a shape yet.

    Raises
    ------
    ValueError
        Naming the parameter.
    """
    for name, value in named.items():
        if nn.parameter.is_lazy(value):
            raise ValueError(
                f"model has {name!r} of a lazy module, which has no shape before the first pass; "
                "call the model once on some of the data"
            )


def check_real(parameters: Mapping[str, Tensor]) -> None:
    """Refuse complex parameters, along which there are two directions each.

    Raises
    ------
    TypeError
        Naming the parameter.
    """
    for name, value in parameters.items():
        if value.is_complex():
            raise TypeError(
                f"model has the complex parameter {name!r}; weight space is real: hold its real "
                "and imaginary parts in one real parameter and join them in forward by "
                "torch.view_as_complex"
            )


def check_unchanged(before: Mapping[str, int], state: Mapping[str, Tensor]) -> None:
    """Refuse a model that changes its own weights in place on some data.

    Parameters
    ----------
    before : mapping of names to versions
        Of each tensor of the state, before the passes.
    state : mapping of names to tensors
        After them.

    Raises
    ------
    ValueError
        Naming the first tensor.
    """
    for name, value in state.items():
        if value._version != before[name]:
            raise ValueError(
                f"model changes {name!r} in place in a forward pass on some of the data, so that "
                "no pass is like another; let it compute with a copy"
            )


def check_finite_state(parameters: Mapping[str, Tensor], buffers: Mapping[str, Tensor]) -> None:
    """Refuse NaN, and infinity in the parameters (attention masks hold infinity in a buffer).

    Raises
    ------
    NonFiniteError
        Naming the parameter or buffer.
    """
    for name, value in parameters.items():
        if not bool(value.isfinite().all()):
            raise NonFiniteError(f"model has NaN or infinity in {name!r}; weights must be finite")
    for name, value in buffers.items():
        if bool(value.isnan().any()):
            raise NonFiniteError(f"model has NaN in {name!r}; its buffers must hold numbers")


def check_batch_data(batch: Any, index: int) -> None:
    """Refuse NaN, infinity and mixed devices in one batch.

    Raises
    ------
    NonFiniteError
        Naming the batch and the first bad example.
    ValueError
        For tensors on several devices.
    """
    tensors = leaves(batch)
    check_one_device({f"tensor {i}": leaf for i, leaf in enumerate(tensors)}, f"data batch {index}")
    for leaf in tensors:
        if leaf.is_floating_point() and not bool(leaf.isfinite().all()):
            bad = (~leaf.isfinite()).reshape(len(leaf), -1).any(1).nonzero()[0, 0]
            raise NonFiniteError(
                f"data has NaN or infinity in example {int(bad)} of batch {index}; inputs and "
                "targets must be finite"
            )


def check_targets(
    targets: Shaped[Tensor, "T ..."], loss: object, num_classes: int, index: int
) -> None:
    """Refuse targets that a loss which knows its targets cannot have for these logits.

    Raises
    ------
    ValueError
        Naming the batch, and what is wrong with its targets, the logits or the class weights.
    """
    if hasattr(loss, "check_targets"):
        loss.check_targets(targets, num_classes, index)


def check_finite_logits(logits: Float[Tensor, "T C"], index: int) -> None:
    """Refuse NaN and infinity in the logits.

    Raises
    ------
    NonFiniteError
        Naming the batch.
    """
    if not bool(logits.isfinite().all()):
        raise NonFiniteError(f"model gives NaN or infinity in the logits of batch {index}")


def check_deterministic(network: Network, state: Mapping[str, Tensor], batch: Any) -> None:
    """Refuse a model whose logits differ between two passes over the same batch.

    Raises
    ------
    ValueError
        Saying so.
    """
    check_same_logits(*(network(state, batch)[0] for _ in range(2)))


def rounding_of(network: Network, state: Mapping[str, Tensor], batch: Any) -> float:
    """Relative rounding of the coarsest dtype in which a model computes on its way.

    Raises
    ------
    ValueError
        For half precision in a model of another, as by autocast within forward.
    """
    with _Casts() as casts:
        network(state, batch)
    own = max((x.dtype for x in state.values() if _has_floats(x)), key=lambda dtype: dtype.itemsize)
    coarsest = max(casts.cast | {own}, key=lambda dtype: torch.finfo(dtype).eps)
    if coarsest.itemsize < 4 <= own.itemsize:
        raise ValueError(
            f"model computes in {coarsest} within forward (torch.autocast, or a cast of its own), "
            "which rounds every derivative; switch that off, and choose the precision with "
            "Problem(dtype=...)"
        )
    return torch.finfo(coarsest).eps


class _Casts(TorchDispatchMode):
    """See the dtypes of results that are coarser than what they come from."""

    def __init__(self) -> None:
        super().__init__()
        self.cast: set[torch.dtype] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        result = func(*args, **(kwargs or {}))
        finest = max((x.element_size() for x in tree_leaves(args) if _has_floats(x)), default=0)
        found = {x.dtype for x in tree_leaves(result) if _has_floats(x)}
        self.cast |= {dtype for dtype in found if dtype.itemsize < finest}
        return result


def _has_floats(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


def check_same_logits(first: Float[Tensor, "..."], second: Float[Tensor, "..."]) -> None:
    """Refuse logits that differ between two passes over the same batch.

    Raises
    ------
    ValueError
        Saying so.
    """
    if (
        first.numel()
        and not torch.equal(first, second)
        and not torch.allclose(first, second, rtol=1e-4, atol=1e-6 * float(first.abs().max()))
    ):
        raise ValueError(
            "model gives different logits on two passes over the same batch; switch off its "
            "randomness (functional dropout, noise, sampling)"
        )


@torch.no_grad()
def check_examples_independent(
    batch_logits: Callable[[Batch], Callable[[Tensor], Tensor]],
    w: Float[Tensor, " D"],
    batch: Batch,
) -> None:
    """Refuse a model whose logits of an example depend on the others of its batch.

    Raises
    ------
    ValueError
        Saying so.
    """
    whole = batch_logits(batch)(w)
    if batch.num_rows == 1 or len(whole) == 0:
        return
    halves = torch.cat([batch_logits(b)(w) for b in batch.pieces(-(-batch.num_rows // 2))])
    check_same_in_halves(whole, halves)


def check_same_in_halves(whole: Float[Tensor, "T C"], halves: Float[Tensor, "T C"]) -> None:
    """Refuse logits of a batch that differ from those of its halves.

    Raises
    ------
    ValueError
        Saying so.
    """
    tolerance = 1e-8 if whole.dtype == torch.float64 else 1e-3
    if float((halves - whole).abs().max()) > tolerance * float(whole.abs().max()):
        raise ValueError(
            "model gives an example other logits in another batch (batch statistics or another "
            "coupling of examples), so that no sum over examples exists; use running statistics, "
            "or give batch_statistics=True and all data in one batch"
        )


def check_one_process(ranks: Ranks | None, what: str) -> None:
    """Refuse a problem spread over several processes for what trains in one.

    Raises
    ------
    ValueError
        Saying so.
    """
    if ranks is not None:
        raise ValueError(
            f"problem has a group of {ranks.size} processes; {what} runs in one: give a Problem "
            "without a group"
        )


def checked_options(weight_decay: float, forward: object) -> float:
    """Return the ridge; refuse one, or a forward function, that is none.

    Raises
    ------
    ValueError, TypeError
        Naming the argument.
    """
    if forward is not None and not callable(forward):
        raise TypeError(f"forward is {shown(forward)}; it must be a function")
    return real("weight_decay", weight_decay, "[0, ∞)")


def checked_objective(objective: Any, loss: Any, forward: Any) -> tuple[OutputItself, Forward]:
    """The loss and the forward function that an objective stands for.

    Raises
    ------
    TypeError, ValueError
        For what is no function, or a loss or forward function beside it.
    """
    if not callable(objective):
        raise TypeError(
            f"objective is {shown(objective)}; it must be a function (model, batch) -> number"
        )
    if loss != "cross_entropy" or forward is not None:
        beside = "loss" if forward is None else "forward"
        raise ValueError(
            f"objective is given with {beside}, which it takes the place of; give one of the two"
        )
    return OutputItself(), forward_of(objective)


def checked_device(device: Any) -> torch.device:
    """The device of this name, the present one where it has no number.

    Raises
    ------
    ValueError
        For a name that is none, or a device that is not there.
    """
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, TypeError, ValueError, AssertionError) as error:
        raise ValueError(
            f"device is {shown(device)}, which torch cannot use here ({first_line(error)}); give "
            "such as 'cpu' or 'cuda:0'"
        ) from None


def taken_by_model(compute: Callable[[], Result], data: Any, index: int) -> Result:
    """What the model gives for a batch; where torch refuses it, say which batch it was and why.

    Raises
    ------
    ValueError
        With torch's own reason, and the dtype of inputs that are whole numbers.
    """
    try:
        return compute()
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        kinds = {str(leaf.dtype).removeprefix("torch.") for leaf in _inputs(data)}
        integers = sorted(kind for kind in kinds if "int" in kind or kind == "bool")
        hint = f"; inputs are {integers[0]}, give x.float() for numbers" if integers else ""
        raise ValueError(
            f"model cannot take batch {index} of data: {first_line(error)}{hint}"
        ) from error


def _inputs(data: Any) -> list[Tensor]:
    """The tensors of a batch but for its targets, where they come last."""
    return leaves(data[:-1]) if isinstance(data, tuple | list) else []
