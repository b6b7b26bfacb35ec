"""The logits of one batch as a function of nothing but tensors."""

from collections.abc import Hashable, Mapping
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten

from landscope.problem.network import Network
from landscope.problem.terms import flatten_logits


class BatchLogits:
    """(parameters, other state, data) ↦ logits (T, C) of the batch's loss terms.

    Parameters
    ----------
    network : Network
        The model.
    parameters, fixed : mapping of names to tensors
        The measured parameters, and the rest of the model's state.
    data
        The batch, on the device of the model.
    kept : Tensor, shape (T,), optional
        Rows of the flattened logits that are loss terms; by default all.

    Attributes
    ----------
    parameters : list of Tensor
        The first inputs.
    inputs : list of Tensor
        All inputs.
    """

    def __init__(
        self,
        network: Network,
        parameters: Mapping[str, Tensor],
        fixed: Mapping[str, Tensor],
        data: Any,
        kept: Int[Tensor, " T"] | None,
    ) -> None:
        self._network = network
        self._names = [*parameters, *fixed]
        leaves, self._structure = tree_flatten(data)
        self._is_tensor = [isinstance(leaf, Tensor) for leaf in leaves]
        self._others = [leaf for leaf in leaves if not isinstance(leaf, Tensor)]
        self._num_kept = 0 if kept is None else 1
        tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        self.parameters = list(parameters.values())
        self.inputs = [*self.parameters, *fixed.values(), *tensors]
        if kept is not None:
            self.inputs.append(kept)

    @property
    def signature(self) -> Hashable:
        """Equal for batches that differ in nothing but the numbers in their tensors."""
        forms = tuple((tuple(x.shape), x.dtype, x.device) for x in self.inputs)
        return (forms, str(self._structure), repr(self._others), self._num_kept)

    def __call__(self, *inputs: Tensor) -> Float[Tensor, "T C"]:
        """Logits of the loss terms."""
        tensors = list(inputs)
        kept = tensors.pop() if self._num_kept else None
        state = dict(zip(self._names, tensors, strict=False))
        numbers, others = iter(tensors[len(self._names) :]), iter(self._others)
        leaves = [next(numbers if is_tensor else others) for is_tensor in self._is_tensor]
        z, _ = flatten_logits(*self._network(state, tree_unflatten(leaves, self._structure)))
        return z if kept is None else z.index_select(0, kept)
