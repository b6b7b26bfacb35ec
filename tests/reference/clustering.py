"""The clustering of logit gradients as its definition reads: explicit cosines over all pairs."""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True)
class Clustering:
    """Brute force over a Jacobian J (N, C, D) and the classes of its examples (N,)."""

    jacobian: Tensor
    classes: Tensor

    @property
    def norms(self) -> Tensor:
        """‖J_k^μ‖, (N, C)."""
        return self.jacobian.norm(dim=2)

    @cached_property
    def cosines(self) -> Tensor:
        """cos(μ,k;ν,l), (N, C, N, C); nan for a logit without gradient, which points nowhere."""
        directions = self.jacobian / self.norms.unsqueeze(2)
        return torch.einsum("akd,bld->akbl", directions, directions)

    def q_slsc(self) -> float:
        """Same logit, same class: over k, ordered pairs μ≠ν of the true class k."""
        means = []
        for k in range(self.cosines.shape[1]):
            members = torch.nonzero(self.classes == k).flatten().tolist()
            pairs = [(a, b) for a in members for b in members if a != b]
            values = [float(self.cosines[a, k, b, k]) for a, b in pairs]
            values = [value for value in values if not math.isnan(value)]
            if values:
                means.append(sum(values) / len(values))
        return sum(means) / len(means) if means else float("nan")

    def q_kl(self) -> Tensor:
        """Mean of cos(μ,k;ν,l) over all ordered pairs μ≠ν, (C, C)."""
        num_examples, num_classes = self.cosines.shape[:2]
        different = ~torch.eye(num_examples, dtype=torch.bool)
        q = torch.empty(num_classes, num_classes, dtype=self.cosines.dtype)
        for k in range(num_classes):
            for m in range(num_classes):
                q[k, m] = self.cosines[:, k, :, m][different].nanmean()
        return q

    def q_sl(self) -> float:
        """Same logit: mean over k."""
        return float(self.q_kl().diagonal().nanmean())

    def _off_diagonal(self) -> Tensor:
        q = self.q_kl()
        return q[~torch.eye(len(q), dtype=torch.bool)]

    def q_dl(self) -> float:
        """Different logits: the signed mean over k≠l."""
        return float(self._off_diagonal().nanmean())

    def q_dl_abs(self) -> float:
        """Different logits: the mean of |q_kl| over k≠l."""
        return float(self._off_diagonal().abs().nanmean())

    def table(self) -> Tensor:
        """Mean cosine of logit k on class a with logit l on class b, (C, C, C, C); nan: no pair."""
        num_examples, num_classes = self.cosines.shape[:2]
        table = torch.full((num_classes,) * 4, float("nan"), dtype=self.cosines.dtype)
        different = ~torch.eye(num_examples, dtype=torch.bool)
        for a in range(num_classes):
            for b in range(num_classes):
                pairs = (self.classes == a)[:, None] & (self.classes == b)[None, :] & different
                for k in range(num_classes):
                    for m in range(num_classes):
                        table[k, a, m, b] = self.cosines[:, k, :, m][pairs].nanmean()
        return table

    def centroids(self) -> Tensor:
        """c_k, the mean logit gradient, (C, D)."""
        return self.jacobian.mean(dim=0)

    def centroids_gram(self) -> Tensor:
        """c_k · c_l, (C, C)."""
        return self.centroids() @ self.centroids().T

    def sigma_e(self) -> float:
        """σ_E² = N/(N−1) (mean ‖J‖² − mean_k ‖c_k‖²)."""
        n = len(self.jacobian)
        spread = self.norms.square().mean() - self.centroids_gram().diagonal().mean()
        return float((n / (n - 1) * spread).clamp(min=0).sqrt())

    def sigma_c(self) -> float:
        """σ_c² = mean_k ‖c_k‖² − σ_E²/N."""
        n = len(self.jacobian)
        squared = self.centroids_gram().diagonal().mean() - self.sigma_e() ** 2 / n
        return float(squared.clamp(min=0).sqrt())
