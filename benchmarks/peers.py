"""The competitors, each behind one function: workload ↦ (v ↦ product)."""

import warnings
from collections.abc import Callable
from contextlib import nullcontext
from importlib.metadata import version

import curvlinops
import hessian_eigenthings as eigenthings
import torch
from hessian_eigenthings.loss_fns import (
    supervised_forward,
    supervised_loss,
    supervised_loss_of_output,
)
from pyhessian import hessian as pyhessian
from pyhessian.utils import hessian_vector_product
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

import landscope as ls
from benchmarks.networks import Workload

Product = Callable[[Tensor], Tensor | tuple[Tensor, ...]]

LANDSCOPE, CURVLINOPS, EIGENTHINGS, PYHESSIAN = (
    "Landscope",
    "curvlinops",
    "hessian-eigenthings",
    "PyHessian",
)
PEERS = (CURVLINOPS, EIGENTHINGS, PYHESSIAN)


def versions() -> dict[str, str]:
    names = ("landscope", "torch", "numpy", "scipy", "curvlinops-for-pytorch")
    return {n: version(n) for n in (*names, "hessian-eigenthings", "PyHessian")}


def problem(workload: Workload) -> ls.Problem:
    return ls.Problem(workload.model, workload.batches)


def gradient(workload: Workload) -> Callable[[], Tensor]:
    """The unit of cost: one eager gradient of the mean loss, with its forward pass."""
    parameters = list(workload.model.parameters())

    def run() -> tuple[Tensor, ...]:
        for x, y in workload.batches:
            gradients = torch.autograd.grad(workload.criterion(workload.model(x), y), parameters)
        return gradients

    return run


def landscope_hessian(workload: Workload, method: str = "linearized") -> ls.Hessian:
    return ls.Hessian(problem(workload), method=method)


def landscope_gauss_newton(workload: Workload, method: str = "linearized") -> ls.GaussNewton:
    return ls.GaussNewton(problem(workload), method=method)


def curvlinops_hessian(workload: Workload) -> curvlinops.HessianLinearOperator:
    return _curvlinops(curvlinops.HessianLinearOperator, workload)


def curvlinops_gauss_newton(workload: Workload) -> curvlinops.GGNLinearOperator:
    return _curvlinops(curvlinops.GGNLinearOperator, workload)


def _curvlinops(operator: type, workload: Workload):
    parameters = list(workload.model.parameters())
    with two_derivatives(workload):
        return operator(workload.model, workload.criterion, parameters, workload.batches)


def eigenthings_hessian(workload: Workload) -> eigenthings.HessianOperator:
    loss = supervised_loss(workload.criterion)
    return eigenthings.HessianOperator(workload.model, workload.batches, loss)


def eigenthings_gauss_newton(workload: Workload) -> eigenthings.GGNOperator:
    loss = supervised_loss_of_output(workload.criterion)
    return eigenthings.GGNOperator(workload.model, workload.batches, supervised_forward, loss)


class PyHessianProduct:
    """Its cached graph where the data are one batch, its loop over the data else."""

    def __init__(self, workload: Workload) -> None:
        given = (
            {"data": workload.batches[0]}
            if len(workload.batches) == 1
            else {"dataloader": workload.batches}
        )
        with warnings.catch_warnings(), two_derivatives(workload):
            warnings.simplefilter("ignore")  # of .backward(create_graph=True)
            cuda = workload.device.type == "cuda"
            self.hessian = pyhessian(workload.model, workload.criterion, cuda=cuda, **given)
        self.sizes = [p.numel() for p in workload.model.parameters()]

    def __matmul__(self, v: Tensor) -> tuple[Tensor, ...]:
        parts = [
            part.view_as(p)
            for part, p in zip(v.split(self.sizes), self.hessian.params, strict=True)
        ]
        if not self.hessian.full_dataset:
            return hessian_vector_product(self.hessian.gradsH, self.hessian.params, parts)
        return tuple(self.hessian.dataloader_hv_product(parts)[1])


HESSIANS: dict[str, Callable] = {
    LANDSCOPE: landscope_hessian,
    CURVLINOPS: curvlinops_hessian,
    EIGENTHINGS: eigenthings_hessian,
    PYHESSIAN: PyHessianProduct,
}
GAUSS_NEWTONS: dict[str, Callable] = {
    LANDSCOPE: landscope_gauss_newton,
    CURVLINOPS: curvlinops_gauss_newton,
    EIGENTHINGS: eigenthings_gauss_newton,
}


def two_derivatives(workload: Workload):
    """The attention backend that peers need to be told of; Landscope finds it by itself."""
    return sdpa_kernel(SDPBackend.MATH) if workload.choose_attention else nullcontext()


def product(name: str, operator, workload: Workload) -> Product:
    """v ↦ operator @ v, as a user of it would call it."""
    if name.startswith(LANDSCOPE) or not workload.choose_attention:
        return lambda v: operator @ v

    def run(v: Tensor):
        with two_derivatives(workload):
            return operator @ v

    return run
