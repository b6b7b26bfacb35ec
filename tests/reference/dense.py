"""Loss, gradient, Hessian, Jacobian and Gauss-Newton matrices, written out by double backward."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel


def rows_of_jacobian(outputs: Tensor, inputs: Tensor) -> Tensor:
    """d outputs / d inputs, one backward pass per entry of ``outputs``, shape (M, D)."""
    rows = []
    for output in outputs.reshape(-1):
        (row,) = torch.autograd.grad(
            output, inputs, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        rows.append(row.detach().reshape(-1))
    return torch.stack(rows)


@dataclass(frozen=True)
class Dense:
    """Every matrix of a problem at one point, from ``logits(w)`` and the loss in the logits.

    Parameters
    ----------
    point
        The weights W, shape (D,), float64.
    logits
        w -> z(w), shape (N, C): one row for each loss term.
    loss_of_logits
        z -> the mean loss, a scalar.
    terms_of_logits
        z -> the loss of each term, shape (N,).
    targets
        The label of each term, shape (N,), or (N, C) for a regression.
    weight_decay
        λ of the ridge λ/2 ‖W‖².
    """

    point: Tensor
    logits: Callable[[Tensor], Tensor]
    loss_of_logits: Callable[[Tensor], Tensor]
    terms_of_logits: Callable[[Tensor], Tensor]
    targets: Tensor
    weight_decay: float = 0.0

    def _value(self, function: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        weights = self.point.detach().clone().requires_grad_()
        # The fused attention kernels have no double backward.
        with sdpa_kernel(SDPBackend.MATH):
            return weights, function(weights)

    def _hessian_of(self, function: Callable[[Tensor], Tensor]) -> Tensor:
        weights, value = self._value(function)
        with sdpa_kernel(SDPBackend.MATH):
            (gradient,) = torch.autograd.grad(
                value, weights, create_graph=True, allow_unused=True, materialize_grads=True
            )
            if not gradient.requires_grad:
                return torch.zeros(len(weights), len(weights), dtype=weights.dtype)
            return rows_of_jacobian(gradient, weights)

    @property
    def num_params(self) -> int:
        return len(self.point)

    @cached_property
    def z(self) -> Tensor:
        """Logits, (N, C)."""
        return self._value(self.logits)[1].detach()

    @property
    def num_examples(self) -> int:
        return self.z.shape[0]

    @property
    def num_classes(self) -> int:
        return self.z.shape[1]

    @cached_property
    def loss(self) -> Tensor:
        return self.loss_of_logits(self.z) + self.weight_decay / 2 * self.point @ self.point

    @cached_property
    def gradient(self) -> Tensor:
        weights, value = self._value(lambda w: self.loss_of_logits(self.logits(w)))
        (gradient,) = torch.autograd.grad(value, weights)
        return gradient + self.weight_decay * self.point

    @cached_property
    def data_hessian(self) -> Tensor:
        """∇²L without the ridge, (D, D)."""
        return self._hessian_of(lambda w: self.loss_of_logits(self.logits(w)))

    @cached_property
    def hessian(self) -> Tensor:
        identity = torch.eye(self.num_params, dtype=self.point.dtype)
        return self.data_hessian + self.weight_decay * identity

    @cached_property
    def jacobian(self) -> Tensor:
        """dz/dW, (N·C, D), rows by example, then by logit."""
        weights, z = self._value(self.logits)
        with sdpa_kernel(SDPBackend.MATH):
            return rows_of_jacobian(z, weights)

    @cached_property
    def per_example_jacobian(self) -> Tensor:
        """J_k^μ, (N, C, D)."""
        return self.jacobian.reshape(self.num_examples, self.num_classes, self.num_params)

    @cached_property
    def residuals(self) -> Tensor:
        """dL/dz: r^μ/N, (N, C)."""
        z = self.z.clone().requires_grad_()
        (residuals,) = torch.autograd.grad(self.loss_of_logits(z), z)
        return residuals

    @cached_property
    def loss_curvature(self) -> Tensor:
        """d²L/dz²: blocks M^μ/N on the diagonal, (N·C, N·C)."""
        z = self.z.clone().requires_grad_()
        (residuals,) = torch.autograd.grad(self.loss_of_logits(z), z, create_graph=True)
        if not residuals.requires_grad:  # the loss is linear in the logits
            return torch.zeros(z.numel(), z.numel(), dtype=z.dtype)
        return rows_of_jacobian(residuals, z)

    @cached_property
    def gauss_newton(self) -> Tensor:
        """G = (1/N) Σ_μ (J^μ)ᵀ M^μ J^μ, (D, D)."""
        return self.jacobian.T @ self.loss_curvature @ self.jacobian

    @cached_property
    def logit_curvature(self) -> Tensor:
        """R = (1/N) Σ_μ Σ_k r_k^μ ∂²z_k^μ/∂W² with the residuals r held fixed, (D, D)."""
        residuals = self.residuals
        return self._hessian_of(lambda w: (residuals * self.logits(w)).sum())

    @cached_property
    def empirical_fisher(self) -> Tensor:
        """F = (1/N) Σ_μ ∇L^μ (∇L^μ)ᵀ, (D, D)."""
        weights, terms = self._value(lambda w: self.terms_of_logits(self.logits(w)))
        with sdpa_kernel(SDPBackend.MATH):
            gradients = rows_of_jacobian(terms, weights)
        return gradients.T @ gradients / len(gradients)

    @cached_property
    def tangent_kernel(self) -> Tensor:
        """K = J Jᵀ, (N·C, N·C)."""
        return self.jacobian @ self.jacobian.T


def relative_error(measured: Tensor, reference: Tensor) -> float:
    """‖measured − reference‖ / ‖reference‖, absolute where the reference vanishes."""
    difference = torch.linalg.vector_norm(measured.double() - reference.double())
    scale = torch.linalg.vector_norm(reference.double())
    return float(difference / scale) if scale > 0 else float(difference)


def product_error(operator: object, matrix: Tensor, count: int = 3) -> float:
    """Relative error of ``operator @ V`` on a block of Gaussian vectors, which no error evades."""
    generator = torch.Generator().manual_seed(13)
    block = torch.randn(matrix.shape[1], count, dtype=torch.float64, generator=generator)
    return relative_error(operator @ block.to(operator.dtype), matrix @ block)
