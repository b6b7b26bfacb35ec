"""Spread of the logits, entropy and participation, one example at a time."""

import math

from torch import Tensor


def softmax(z: list[float]) -> list[float]:
    """e^{z_k} / Σ_l e^{z_l}."""
    weights = [math.exp(value - max(z)) for value in z]
    return [weight / sum(weights) for weight in weights]


def sigma_z(logits: Tensor) -> float:
    """σ_z² = mean over examples of the variance over classes, with 1/(C−1)."""
    variances = []
    for z in logits.tolist():
        mean = sum(z) / len(z)
        variances.append(sum((value - mean) ** 2 for value in z) / (len(z) - 1))
    return math.sqrt(sum(variances) / len(variances))


def entropy(logits: Tensor) -> float:
    """−Σ_k p_k ln p_k in nats, mean over examples."""
    values = [-sum(p * math.log(p) for p in softmax(z) if p > 0) for z in logits.tolist()]
    return sum(values) / len(values)


def participation(logits: Tensor) -> float:
    """Y = Σ_k p_k², mean over examples."""
    values = [sum(p * p for p in softmax(z)) for z in logits.tolist()]
    return sum(values) / len(values)
