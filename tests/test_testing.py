"""The conformance suite accepts what is right and names what is broken."""

import subprocess
import sys
from unittest import SkipTest

import pytest
import torch
from scipy.sparse.linalg import aslinearoperator

from landscope import testing
from landscope.testing import OperatorConformance, check_operator

MATRIX = torch.randn(7, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
PSD = MATRIX @ MATRIX.T


class Minimal:
    """Only @, shape, dtype and device."""

    def __init__(self, matrix):
        self.matrix = matrix
        self.shape, self.dtype, self.device = tuple(matrix.shape), matrix.dtype, matrix.device

    def __matmul__(self, vectors):
        return self.matrix @ vectors


class Complete(Minimal):
    """All that an operator may offer."""

    @property
    def symmetric(self):
        return torch.equal(self.matrix, self.matrix.T)

    @property
    def psd(self):
        return self.symmetric and torch.linalg.eigvalsh(self.matrix)[0].item() >= 0

    @property
    def T(self):
        return Complete(self.matrix.T)

    def to_dense(self):
        return self.matrix.clone()

    def to_scipy(self):
        return aslinearoperator(self.matrix.numpy())


class TestPsd(OperatorConformance):
    def operator(self):
        return Complete(PSD)

    def dense(self):
        return PSD.numpy()


class TestRectangularFloat32(OperatorConformance):
    def operator(self):
        return Complete(MATRIX[:4].float())

    def dense(self):
        return MATRIX[:4]


class TestMinimal(OperatorConformance):
    def operator(self):
        return Minimal(MATRIX)

    def dense(self):
        return None


def test_every_property_is_a_test_of_the_class():
    tests = {name for name in vars(OperatorConformance) if name.startswith("test_")}
    assert tests == {f"test_{holds.__name__}" for holds in testing.PROPERTIES}


@pytest.mark.parametrize("operator", [Minimal(MATRIX), Complete(PSD), Complete(MATRIX[:3]), PSD])
def test_sound_operators_pass(operator):
    dense = operator if isinstance(operator, torch.Tensor) else operator.matrix
    check_operator(operator)
    check_operator(operator, dense, seed=3)


def test_zero_operator_passes():
    check_operator(Complete(torch.zeros(4, 4)), torch.zeros(4, 4))


class WrongShape(Complete):
    def __matmul__(self, vectors):
        return torch.atleast_2d(self.matrix @ vectors)


class SqueezesBlocks(Complete):
    def __matmul__(self, vectors):
        return (self.matrix @ vectors).squeeze(-1)


class WrongDtype(Complete):
    def __matmul__(self, vectors):
        return (self.matrix @ vectors).float()


class OneColumnWrong(Complete):
    def __matmul__(self, vectors):
        image = self.matrix @ vectors
        if vectors.ndim == 2:
            image[:, -1] *= 1.01
        return image


class Affine(Complete):
    def __matmul__(self, vectors):
        return self.matrix @ vectors + 1e-3


class Forgetful(Complete):
    count = 0

    def __matmul__(self, vectors):
        self.count += 1
        return self.matrix @ vectors * (1 + 1e-6 * self.count)


class InPlace(Complete):
    def __matmul__(self, vectors):
        image = self.matrix @ vectors
        vectors.mul_(2)
        return image


class WrongTranspose(Complete):
    @property
    def T(self):
        return Minimal(self.matrix.T * 1.001)


class SaysSymmetric(Complete):
    symmetric = True
    psd = False


class SaysPsd(Complete):
    symmetric = True
    psd = True


class WrongDense(Complete):
    def to_dense(self):
        return self.matrix + 1e-3


class WrongScipy(Complete):
    def to_scipy(self):
        return aslinearoperator(self.matrix.numpy().T)


class Truncates(Complete):
    def __matmul__(self, vectors):
        return self.matrix @ vectors[: self.shape[1]]


class Casts(Complete):
    def __matmul__(self, vectors):
        return self.matrix @ vectors.to(self.dtype)


class RefusesBlocks(Complete):
    def __matmul__(self, vectors):
        if vectors.ndim == 2:
            raise RuntimeError("one vector at a time")
        return self.matrix @ vectors


@pytest.mark.parametrize(
    ("operator", "dense", "failed"),
    [
        (Minimal(PSD), MATRIX[:2], "shape_dtype_and_device"),
        (Minimal(PSD), PSD + 1e-6, "product_with_a_vector"),
        (WrongShape(PSD), None, "product_with_a_vector"),
        (WrongDtype(PSD), None, "product_with_a_vector"),
        (SqueezesBlocks(PSD), None, "product_with_a_block"),
        (RefusesBlocks(PSD), None, "product_with_a_block"),
        (OneColumnWrong(PSD), None, "block_equals_columns"),
        (Affine(PSD), None, "linearity"),
        (Forgetful(PSD), None, "determinism"),
        (InPlace(PSD), None, "input_is_left_alone"),
        (WrongTranspose(MATRIX), None, "adjoint"),
        (SaysSymmetric(MATRIX[:3]), None, "symmetric_tag"),
        (SaysSymmetric(MATRIX), None, "symmetric_tag"),
        (SaysPsd(PSD - 50 * torch.eye(7, dtype=PSD.dtype)), None, "psd_tag"),
        (WrongDense(MATRIX), None, "dense_form"),
        (WrongScipy(MATRIX), None, "scipy_form"),
        (Truncates(MATRIX), None, "wrong_length_is_refused"),
        (Casts(MATRIX), None, "wrong_dtype_is_refused"),
    ],
)
def test_names_the_property_that_fails(operator, dense, failed):
    with pytest.raises(AssertionError, match=f"{type(operator).__name__} fails {failed}: ."):
        check_operator(operator, dense)


def test_tolerances_are_the_callers():
    check_operator(Minimal(PSD), PSD * (1 + 1e-6), rtol=1e-5)
    check_operator(Minimal(PSD), PSD + 1e-6, atol=1e-3)


def test_checks_that_need_more_are_skipped():
    case = testing._Case(Minimal(MATRIX), None, None, 0.0, 0)
    for holds in (testing.adjoint, testing.dense_form, testing.scipy_form, testing.psd_tag):
        with pytest.raises(SkipTest, match="the operator"):
            holds(case)


def test_unwritten_methods_say_so():
    with pytest.raises(NotImplementedError, match="write operator"):
        OperatorConformance().test_linearity()


@pytest.mark.slow
def test_needs_no_pytest_and_works_optimised():
    code = (
        "import sys, torch, landscope.testing as t; t.check_operator(torch.eye(2))\n"
        "if 'pytest' in sys.modules: sys.exit('pytest was imported')\n"
        "try: t.check_operator(torch.eye(2), dense=2 * torch.eye(2))\n"
        "except AssertionError: sys.exit(0)\n"
        "sys.exit('nothing was checked')"
    )
    subprocess.run([sys.executable, "-O", "-c", code], check=True)
