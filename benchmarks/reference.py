"""The reference: float64, reverse mode twice, one vector at a time, means over loss terms."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks.networks import Workload

Loss = Callable[[Tensor], Tensor]
Share = Callable[[Tensor, Loss, list[Tensor]], tuple[Tensor, ...]]


def hessian_vector(workload: Workload, v: Tensor) -> Tensor:
    """∇(∇L·v)."""

    def share(logits: Tensor, loss: Loss, parameters: list[Tensor]) -> tuple[Tensor, ...]:
        gradients = torch.autograd.grad(loss(logits), parameters, create_graph=True)
        return torch.autograd.grad(flat(gradients) @ v.double(), parameters)

    return mean_over_terms(workload, share)


def gauss_newton_vector(workload: Workload, v: Tensor) -> Tensor:
    """JᵀMJv with J v = ∂(Jᵀu · v)/∂u, reverse mode throughout."""

    def share(logits: Tensor, loss: Loss, parameters: list[Tensor]) -> tuple[Tensor, ...]:
        u = torch.zeros_like(logits, requires_grad=True)
        backward = torch.autograd.grad(logits, parameters, u, create_graph=True)
        (Jv,) = torch.autograd.grad(flat(backward) @ v.double(), u)
        z = logits.detach().requires_grad_()
        (slope,) = torch.autograd.grad(loss(z), z, create_graph=True)
        (MJv,) = torch.autograd.grad((slope * Jv).sum(), z)
        return torch.autograd.grad(logits, parameters, MJv)

    return mean_over_terms(workload, share)


def mean_over_terms(workload: Workload, share: Share) -> Tensor:
    """The shares of all batches, from their logits and summed losses, by the number of terms."""
    workload = workload.to(workload.device, torch.float64)
    parameters = list(workload.model.parameters())
    total, terms = torch.zeros(workload.num_params).to(parameters[0]), 0
    for x, y in workload.batches:
        count = int((y != workload.criterion.ignore_index).sum())

        def loss(z: Tensor, y: Tensor = y, count: int = count) -> Tensor:
            return workload.criterion(z, y) * count

        with sdpa_kernel(SDPBackend.MATH):
            total += flat(share(workload.model(x), loss, parameters))
        terms += count
    return total / terms


def flat(tensors: Tensor | tuple[Tensor, ...] | list[Tensor]) -> Tensor:
    """One vector of a product in whatever form a competitor returns it."""
    if isinstance(tensors, Tensor):
        return tensors
    return torch.cat([t.reshape(-1) for t in tensors])


def relative_error(product: Tensor | tuple[Tensor, ...], reference: Tensor) -> float:
    return float((flat(product).double() - reference).norm() / reference.norm())
