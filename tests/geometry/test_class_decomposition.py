"""The decomposition of G by classes, against explicit sums in float64."""

import pytest
import torch
from torch import nn

import landscope as ls
from landscope.geometry.class_decomposition import PARTS, class_decomposition
from tests.reference.dense import rows_of_jacobian

LABELS = {
    "balanced": [0, 1, 2, 0, 1, 2, 0, 1, 2],
    "unequal": [0, 0, 0, 0, 0, 1, 1, 2, 0],
    "a class of one": [0, 0, 1, 1, 1, 0, 1, 0, 2],
    "a class of none": [0, 0, 1, 1, 1, 0, 1, 0, 0],
}


def problem_of(labels, scale=2.0):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    with torch.no_grad():
        model[-1].weight *= scale
    inputs = torch.randn(len(labels), 4).double()
    return model, inputs, torch.tensor(labels)


def explicit(model, inputs, labels):
    """The four parts as they are defined, (4, D, D)."""
    outputs = model(inputs)
    rows = [rows_of_jacobian(outputs, weight).flatten(1) for weight in model.parameters()]
    N, C = outputs.shape
    J = torch.cat([row.reshape(N * C, -1) for row in rows], 1).reshape(N, C, -1)
    p = outputs.detach().softmax(1)

    def outer(weight, vector):
        return weight * torch.outer(vector, vector)

    g = {(m, d): (p[m] - torch.eye(C)[d]) @ J[m] for m in range(N) for d in range(C)}
    parts = torch.zeros(4, J.shape[2], J.shape[2]).double()
    for c in range(C):
        members = [m for m in range(N) if labels[m] == c]
        if not members:
            continue
        others = [d for d in range(C) if d != c]
        w = {d: sum(p[m, d] / N for m in members) for d in others}
        cross = {d: sum(p[m, d] / N * g[m, d] for m in members) / w[d] for d in others}
        w_c = sum(w.values())
        mean = sum(w[d] * cross[d] for d in others) / w_c
        parts[0] += outer(w_c, mean)
        for d in others:
            parts[1] += outer(w[d], cross[d] - mean)
            for m in members:
                parts[2] += outer(p[m, d] / N, g[m, d] - cross[d])
        for m in members:
            parts[3] += outer(p[m, c] / N, g[m, c])
    return parts


@pytest.mark.parametrize("name", LABELS)
def test_parts_are_those_of_explicit_sums(name):
    model, inputs, labels = problem_of(LABELS[name])
    problem = ls.Problem(model, (inputs, labels))
    parts = explicit(model, inputs, labels)
    G = ls.GaussNewton(problem).to_dense()
    torch.testing.assert_close(parts.sum(0), G, rtol=1e-9, atol=1e-12)

    k = 6
    found = class_decomposition(problem, k)
    values, vectors = torch.linalg.eigh(G)
    values, vectors = values.flip(0)[:k], vectors.flip(1)[:, :k]
    torch.testing.assert_close(found.eigenvalues, values, rtol=1e-9, atol=1e-13)
    shares = torch.stack([((part @ vectors) * vectors).sum(0) / values for part in parts], 1)
    torch.testing.assert_close(found.shares, shares, rtol=1e-7, atol=1e-9)
    spectra = torch.linalg.eigvalsh(parts).flip(1)[:, :k]
    torch.testing.assert_close(found.part_eigenvalues, spectra, rtol=1e-9, atol=1e-12)
    traces = parts.diagonal(dim1=1, dim2=2).sum(1)
    torch.testing.assert_close(found.traces, traces, rtol=1e-10, atol=1e-13)


def test_the_order_of_examples_changes_nothing():
    model, inputs, labels = problem_of(LABELS["unequal"])
    order = torch.tensor([3, 8, 0, 5, 7, 1, 2, 6, 4])
    a, b = (
        class_decomposition(ls.Problem(model, (inputs[place], labels[place])), 5)
        for place in (torch.arange(9), order)
    )
    torch.testing.assert_close(a.part_eigenvalues, b.part_eigenvalues, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(a.shares, b.shares, rtol=1e-7, atol=1e-9)


def test_frozen_probabilities_leave_finite_numbers():
    model, inputs, labels = problem_of(LABELS["balanced"], scale=1e4)
    found = class_decomposition(ls.Problem(model, (inputs, labels)), 3)
    assert torch.isfinite(found.part_eigenvalues).all()
    assert torch.isfinite(found.shares).all()


def test_what_cannot_be_decomposed_is_refused():
    model, inputs, labels = problem_of(LABELS["balanced"])
    with pytest.raises(ValueError, match=r"k is 19; it must be an integer from 1 to .* = 18"):
        class_decomposition(ls.Problem(model, (inputs, labels)), 19)
    smoothed = ls.Problem(model, (inputs, labels), nn.CrossEntropyLoss(label_smoothing=0.1))
    with pytest.raises(ValueError, match="the decomposition by classes is one of the plain"):
        class_decomposition(smoothed)
    squared = ls.Problem(model, (inputs, torch.eye(3)[labels].double()), "mse")
    with pytest.raises(ValueError, match="the decomposition by classes is one of cross_entropy"):
        class_decomposition(squared)


def test_measure_takes_it_where_it_is_asked_for():
    model, inputs, labels = problem_of(LABELS["balanced"])
    problem = ls.Problem(model, (inputs, labels))
    measured = ls.measure(problem, parts=("class_decomposition",))
    assert measured["part_share"].dims == ("gram_rank", "part")
    assert measured.sizes["part"] == len(PARTS)
    assert float(measured["part_trace"].sum()) == pytest.approx(
        float(ls.GaussNewton(problem).to_dense().trace())
    )
    assert "q_sl" not in measured
