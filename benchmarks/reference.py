"""The reference: float64, reverse mode twice, one vector at a time, means over loss terms."""

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks.networks import Workload


def hessian_vector(workload: Workload, v: Tensor) -> Tensor:
    """∇(∇L·v), summed over terms and divided by their number."""
    workload = workload.to(workload.device, torch.float64)
    parameters = list(workload.model.parameters())
    total, terms = torch.zeros_like(v, dtype=torch.float64), 0
    for x, y in workload.batches:
        count = int((y != workload.criterion.ignore_index).sum())
        with sdpa_kernel(SDPBackend.MATH):
            loss = workload.criterion(workload.model(x), y) * count
            gradients = torch.autograd.grad(loss, parameters, create_graph=True)
            slope = flat(gradients) @ v.double()
            total += flat(torch.autograd.grad(slope, parameters))
        terms += count
    return total / terms


def gauss_newton_vector(workload: Workload, v: Tensor) -> Tensor:
    """JᵀMJv with J v = ∂(Jᵀu · v)/∂u, reverse mode throughout."""
    workload = workload.to(workload.device, torch.float64)
    parameters = list(workload.model.parameters())
    total, terms = torch.zeros_like(v, dtype=torch.float64), 0
    for x, y in workload.batches:
        count = int((y != workload.criterion.ignore_index).sum())
        with sdpa_kernel(SDPBackend.MATH):
            logits = workload.model(x)
            u = torch.zeros_like(logits, requires_grad=True)
            backward = torch.autograd.grad(logits, parameters, u, create_graph=True)
            (Jv,) = torch.autograd.grad(flat(backward) @ v.double(), u)
            z = logits.detach().requires_grad_()
            (slope,) = torch.autograd.grad(workload.criterion(z, y) * count, z, create_graph=True)
            (MJv,) = torch.autograd.grad((slope * Jv).sum(), z)
            total += flat(torch.autograd.grad(logits, parameters, MJv))
        terms += count
    return total / terms


def flat(tensors: Tensor | tuple[Tensor, ...] | list[Tensor]) -> Tensor:
    """One vector of a product in whatever form a competitor returns it."""
    if isinstance(tensors, Tensor):
        return tensors
    return torch.cat([t.reshape(-1) for t in tensors])


def relative_error(product: Tensor | tuple[Tensor, ...], reference: Tensor) -> float:
    return float((flat(product).double() - reference).norm() / reference.norm())
