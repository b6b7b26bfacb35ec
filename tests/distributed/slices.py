"""Matrices that act on slices of vectors, for any spread of them over processes."""

import pytest
import torch

from landscope.distributed import Ranks, Shards
from landscope.linalg import DenseSpace, ReplicatedSpace, ShardedSpace
from tests.linalg.conftest import MatrixOperator, symmetric_matrix

# Of 90 rows and 5: unequal chunks, and processes without any entry of a tensor.
SPREADS = {"equal": [(200,)], "unequal": [(203,)], "tensors": [(6, 5, 3), (5,), (90, 1), (1, 18)]}


def entries_of(shards):
    return torch.cat([torch.arange(0), *(torch.arange(a, b) for a, b in shards.ranges)])


def shards_of(shapes, ranks):
    return Shards.of_tensors([(f"tensor{i}", shape) for i, shape in enumerate(shapes)], ranks)


def spectrum(shapes):
    """A few outliers, one of them double and two near the bulk that they surround."""
    dim = sum(torch.Size(shape).numel() for shape in shapes)
    outliers = torch.tensor([9.0, 8.0, 8.0, 1.5, -0.5, -5.0], dtype=torch.float64)
    return torch.cat([outliers, torch.linspace(0, 1, dim - 6, dtype=torch.float64)])


class SlicedMatrix(MatrixOperator):
    """A matrix that takes and gives the entries of a vector that a process holds."""

    def __init__(self, matrix, ranks, shapes):
        super().__init__(matrix)
        self.ranks, shards = ranks, shards_of(shapes, ranks)
        self.entries = entries_of(shards)
        self.space = ShardedSpace(shards, matrix.dtype, "cpu", ranks)

    def __matmul__(self, vectors):
        self.num_products += 1 if vectors.ndim == 1 else vectors.shape[1]
        return self.ranks.total(self.matrix[:, self.entries] @ vectors)[self.entries]


class ReplicatedMatrix(MatrixOperator):
    """A matrix of which each process multiplies its rows by vectors that all hold whole.

    Rounding differs between processes: those beyond the first see the vectors slightly changed.
    """

    def __init__(self, matrix, ranks, shapes):
        super().__init__(matrix)
        self.ranks, dim = ranks, len(matrix)
        self.entries = torch.arange(dim)
        self.space = ReplicatedSpace(dim, matrix.dtype, "cpu", ranks)

    def __matmul__(self, vectors):
        self.num_products += 1 if vectors.ndim == 1 else vectors.shape[1]
        product = torch.zeros_like(vectors)
        rows = self.ranks.share(len(product))
        product[rows] = self.matrix[rows] @ vectors
        return self.ranks.total(product) * (1 + self.ranks.rank * torch.finfo(vectors.dtype).eps)


OPERATORS = {"sharded": SlicedMatrix, "replicated": ReplicatedMatrix}
KINDS = ["sharded", pytest.param("replicated", marks=pytest.mark.slow)]


def operator_on(group, kind, shapes, dtype=torch.float64):
    matrix = symmetric_matrix(spectrum(shapes)).to(dtype)
    return OPERATORS[kind](matrix, Ranks(group), shapes)


def dense_operator(shapes, dtype=torch.float64):
    return MatrixOperator(symmetric_matrix(spectrum(shapes)).to(dtype))


def joined(found, dim):
    """Whole vectors from (entries, slices) of all processes."""
    whole = torch.full((dim, *found[0][1].shape[1:]), torch.nan, dtype=found[0][1].dtype)
    for entries, part in found:
        whole[entries] = part
    return whole


def dense_space(shapes, dtype=torch.float64):
    return DenseSpace(len(spectrum(shapes)), dtype)
