"""What each layer was given in a forward pass, and what the logits' gradients are at its output."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from landscope.problem import Problem


@dataclass(frozen=True)
class LayerCall:
    """One call of a module in a forward pass.

    Attributes
    ----------
    inputs : tuple
        Its positional arguments.
    has_keywords : bool
        Whether it was given keyword arguments too.
    output_shape : torch.Size or None
        None where the output is no tensor, or none that depends on the weights.
    output_edge : GradientEdge or None
        Where the output stands in the graph, whatever later happens to it in place.
    state : dict
        The parameters and buffers that it ran with.
    """

    inputs: tuple[Any, ...]
    has_keywords: bool
    output_shape: torch.Size | None
    output_edge: GradientEdge | None
    state: dict[str, Tensor]


def record_calls(
    problem: Problem, data: Any, modules: Mapping[str, nn.Module]
) -> tuple[Float[Tensor, "R C"], dict[str, list[LayerCall]]]:
    """Flat logits of the data, with their graph, and the calls of these modules on the way."""
    calls: dict[str, list[LayerCall]] = {name: [] for name in modules}

    def recorder(name: str) -> Any:
        def record(module: nn.Module, inputs: Any, keywords: Any, output: Any) -> None:
            connected = isinstance(output, Tensor) and output.requires_grad
            calls[name].append(
                LayerCall(
                    tuple(x.detach() if isinstance(x, Tensor) else x for x in inputs),
                    bool(keywords),
                    output.shape if connected else None,
                    get_gradient_edge(output) if connected else None,
                    {
                        key: value.detach()
                        for key, value in (*module.named_parameters(), *module.named_buffers())
                    },
                )
            )

        return record

    # Prepended: the user's own hooks may replace the output.
    handles = [
        module.register_forward_hook(recorder(name), with_kwargs=True, prepend=True)
        for name, module in modules.items()
    ]
    try:
        with torch.enable_grad():
            w = problem.unflatten(problem.parameters_vector().requires_grad_())
            return problem.named_logits(data)(w), calls
    finally:
        for handle in handles:
            handle.remove()


def output_gradients(
    z: Float[Tensor, "R C"],
    calls: Sequence[LayerCall],
    cotangents: Iterator[Float[Tensor, "R C"]],
) -> list[list[Tensor]]:
    """Gradients of each cotangent's logits at each call's output; parameters get none."""
    edges = [call.output_edge for call in calls if call.output_edge is not None]
    gradients: list[list[Tensor]] = [[] for _ in calls]
    for cotangent in cotangents:
        found = torch.autograd.grad(z, edges, cotangent, retain_graph=True, allow_unused=True)
        for kept, call, gradient in zip(gradients, calls, found, strict=True):
            assert call.output_shape is not None
            kept.append(z.new_zeros(call.output_shape) if gradient is None else gradient)
    return gradients
