"""The model written out in weight space, one matrix per formula: the reference of the tests."""

import numpy as np
from scipy.linalg import eigh
from scipy.special import softmax


def explicit_draw(model, rng):
    """Logit gradients J (N, C, D), probabilities and labels, drawn in R^D."""
    N, C, D = model.num_examples, model.num_classes, model.num_params
    p = softmax(model.sigma_z * rng.standard_normal((N, C)), axis=1)
    labels = rng.integers(C, size=N)
    J = (
        model.sigma_c * rng.standard_normal((C, D)) + model.sigma_e * rng.standard_normal((N, C, D))
    ) / np.sqrt(D)
    return J, p, labels


def hessian_and_gradient(J, p, labels):
    """H = (1/N) Σ Jᵀ(diag(p) − ppᵀ)J and g = (1/N) Σ (p − y)ᵀJ."""
    N, C, D = J.shape
    H, g = np.zeros((D, D)), np.zeros(D)
    for J_mu, p_mu, label in zip(J, p, labels, strict=True):
        H += J_mu.T @ (np.diag(p_mu) - np.outer(p_mu, p_mu)) @ J_mu / N
        g += (p_mu - np.eye(C)[label]) @ J_mu / N
    return H, g


def statistics(H, g, k):
    """Largest eigenvalue, trace and gradient power of the top k."""
    values, vectors = eigh(H, subset_by_index=[len(H) - k, len(H) - 1])
    power = np.square(vectors.T @ g).sum() / (g @ g)
    return values[-1], np.trace(H), power


def statistics_by_gram(J, p, labels, k):
    """The same from the top of the Gram matrix AAᵀ, H = AᵀA, where H is too large."""
    N, C, D = J.shape
    A = (np.sqrt(p)[:, :, None] * (J - np.einsum("nc,ncd->nd", p, J)[:, None])).reshape(-1, D)
    A /= np.sqrt(N)
    values, vectors = eigh(A @ A.T, subset_by_index=[N * C - k, N * C - 1])
    g = np.einsum("nc,ncd->d", p - np.eye(C)[labels], J) / N
    power = np.sum((vectors.T @ (A @ g)) ** 2 / values) / (g @ g)
    return values[-1], np.sum(A**2), power
