"""A network whose only parameter is θ, its place in a hyperplane."""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.func import functional_call

from landscope.hyperplanes.basis import Basis
from landscope.problem import Problem


class HyperplaneModel(nn.Module):
    """A problem's model at W₀ + Pθ, for any optimiser and any training loop.

    Called like the model itself. Its one parameter is `theta`, from 0; the weights W₀ + Pθ are
    put in through `torch.func.functional_call`, and the gradient in θ is Pᵀ times that in W. The
    code of the model is untouched, its buffers (BatchNorm's statistics) live on as its own. Made by
    `AffineHyperplane.model`.

    Parameters
    ----------
    problem : Problem
        At W₀.
    basis : Basis
        P.
    identity : str
        Of the hyperplane. `state_dict` holds θ, the buffers and this; a state of another
        hyperplane is refused.

    Raises
    ------
    TypeError
        Where the problem's model is a function.
    """

    theta: nn.Parameter

    def __init__(self, problem: Problem, basis: Basis, identity: str) -> None:
        super().__init__()
        if problem.module is None:
            raise TypeError(
                "problem has a function as its model; a hyperplane's model takes an nn.Module (use "
                "the hyperplane's point and gradient)"
            )
        self._problem, self._basis, self.identity = problem, basis, identity
        self.module = _without_parameters(problem)
        self.theta = nn.Parameter(torch.zeros(basis.shape[1], dtype=problem.dtype))
        self.training = self.module.training
        self.to(problem.device)
        self.register_load_state_dict_pre_hook(_refuse_other_hyperplanes)

    def weights(self) -> Float[Tensor, " D"]:
        """W₀ + Pθ, differentiable in θ."""
        return self._problem.parameters_vector() + _Map.apply(self.theta, self._basis)

    def forward(self, *inputs: Any, **named_inputs: Any) -> Any:
        """The model's own output at W₀ + Pθ."""
        named = self._problem.unflatten(self.weights())
        return functional_call(self.module, named, inputs, named_inputs)

    @torch.no_grad()
    def merged(self) -> nn.Module:
        """A copy of the model itself, with W₀ + Pθ as its weights, and buffers as they are now.

        What was not selected by the problem's `params` is frozen. `problem.at(model.merged())` is
        the problem there, BatchNorm's statistics included.
        """
        module = self._problem.module
        assert module is not None, "checked at construction"
        model, selected = copy.deepcopy(module), self._problem.unflatten(self.weights())
        state = dict(self.module.named_buffers()) | selected
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            tensor.data = state[name].clone()
            tensor.requires_grad_(name in selected)
        for part, own in zip(model.modules(), self.module.modules(), strict=True):
            part.training = own.training
        return model

    def get_extra_state(self) -> Tensor:
        """The hyperplane's identity, as bytes in a tensor, which any format can hold."""
        return torch.tensor(list(self.identity.encode()), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        """Nothing is left to do: a state of another hyperplane was refused before θ was set."""


class _Map(torch.autograd.Function):
    """θ ↦ Pθ, with the adjoint for its derivative."""

    @staticmethod
    def forward(ctx: Any, theta: Tensor, basis: Basis) -> Tensor:
        ctx.basis = basis
        # Mixed precision is the model's: weights keep theirs.
        with torch.autocast(theta.device.type, enabled=False):
            return basis.matvec(theta.detach())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        with torch.autocast(gradients[0].device.type, enabled=False):
            return ctx.basis.rmatvec(gradients[0]), None


def _refuse_other_hyperplanes(
    model: HyperplaneModel, state: Mapping[str, Any], prefix: str, *_: Any
) -> None:
    saved = state.get(f"{prefix}_extra_state")
    if saved is not None and bytes(saved.tolist()).decode() != model.identity:
        raise ValueError(
            f"the state is of the hyperplane {bytes(saved.tolist()).decode()}; this one is "
            f"{model.identity}"
        )


def _without_parameters(problem: Problem) -> nn.Module:
    """A copy of the module whose parameters are buffers that no state dict holds."""
    module = copy.deepcopy(problem.module)
    assert module is not None, "checked before"
    state = problem.state()
    for name, buffer in module.named_buffers():
        buffer.data = state[name].clone()
    tied: dict[int, Tensor] = {}
    for path, part in module.named_modules():
        for name, parameter in list(part.named_parameters(recurse=False)):
            own = f"{path}.{name}" if path else name
            tensor = tied.setdefault(id(parameter), state.get(own, parameter.detach()))
            del part._parameters[name]
            part.register_buffer(name, tensor, persistent=False)
    return module
