"""Ten largest eigenvalues to a relative residual of 1e-3, the data in several batches.

A residual is ‖Hv − λv‖/|λ|max with H by the float64 reference. Preparation counts. ARPACK and
hessian-eigenthings are given in hindsight the cheapest setting whose residuals suffice.
"""

import warnings
from collections.abc import Callable

import numpy as np
import scipy.sparse.linalg
import torch
from hessian_eigenthings.algorithms import lanczos
from torch import Tensor

import landscope as ls
from benchmarks import peers, reference
from benchmarks.networks import Workload, trained_cnn
from benchmarks.timing import interleaved, seconds

K, TOLERANCE = 10, 1e-3
SIZES = {True: ((128, 4),), False: ((512, 4), (1024, 2))}
"""Examples and batches, quick or full: what a product costs a peer depends on the batch."""
LOOSER, BASES = (100, 30, 10, 3, 1), (None, 40)
STEPS = (20, 30, 40, 60, 80, 120, 160)
ARPACK = "ARPACK"


class Counted:
    """An operator that counts its products: each is one pass over the data."""

    def __init__(self, operator, workload: Workload) -> None:
        self.operator, self.count = operator, 0
        self.size, self.device, self.dtype = workload.num_params, workload.device, torch.float32
        self.shape = (self.size, self.size)
        if hasattr(operator, "block_size"):
            self.block_size = operator.block_size

    def __matmul__(self, v: Tensor) -> Tensor:
        self.count += 1 if v.ndim == 1 else v.shape[1]
        return reference.flat(self.operator @ v)

    matvec = __matmul__

    def to_scipy(self) -> scipy.sparse.linalg.LinearOperator:
        def matvec(v: np.ndarray) -> np.ndarray:
            given = torch.as_tensor(v.reshape(-1), dtype=self.dtype, device=self.device)
            return (self @ given).cpu().numpy()

        return scipy.sparse.linalg.LinearOperator(self.shape, matvec=matvec, dtype=np.float32)


class Search:
    """One way of finding eigenpairs, with what it found and took the last time."""

    def __init__(self, workload: Workload, build: Callable, solve: Callable) -> None:
        self.workload, self.build, self.solve = workload, build, solve

    def __call__(self) -> None:
        A = Counted(self.build(self.workload.copy()), self.workload)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.values, self.vectors = self.solve(A)
        self.products = A.count


def landscope_pairs(A: Counted) -> tuple[Tensor, Tensor]:
    pairs = ls.eigsh(A, K, tol=TOLERANCE)
    return pairs.values, pairs.vectors


def arpack_pairs(A: Counted, tol: float, ncv: int | None) -> tuple[Tensor, Tensor]:
    start = np.random.default_rng(0).standard_normal(A.size).astype(np.float32)
    found = scipy.sparse.linalg.eigsh(A.to_scipy(), K, which="LA", tol=tol, v0=start, ncv=ncv)
    return tuple(torch.from_numpy(part.copy()).flip(-1) for part in found)


def eigenthings_pairs(A: Counted, steps: int) -> tuple[Tensor, Tensor]:
    found = lanczos(A, k=K, max_iter=steps, which="LA", reorthogonalize=True, seed=0)
    return found.eigenvalues, found.eigenvectors.T


def pyhessian_pairs(workload: Workload, max_iterations: int) -> dict:
    """Deflated power iteration, once: its stopping rule and its cost are its own."""
    own = peers.PyHessianProduct(workload.copy())
    hv, count = own.hessian.dataloader_hv_product, [0]

    def counted(v):
        count[0] += 1
        return hv(v)

    own.hessian.dataloader_hv_product = counted
    found: list = []
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        took = seconds(
            lambda: found.extend(own.hessian.eigenvalues(max_iterations, TOLERANCE, top_n=K))
        )
    values, vectors = found
    basis = torch.stack([reference.flat(v) for v in vectors], dim=1)
    return {
        "seconds": {"median": took, "rounds": 1},
        "products": count[0],
        "max_iterations": max_iterations,
        "relative_residual": relative_residual(workload, torch.tensor(values), basis),
    }


def relative_residual(workload: Workload, values: Tensor, vectors: Tensor) -> float:
    """Largest ‖Hv − λv‖/|λ|max, H in float64 by double backward."""
    norms = [
        (reference.hessian_vector(workload, v) - value * v.double()).norm() / v.double().norm()
        for value, v in zip(values.double(), vectors.T, strict=True)
    ]
    return float(max(norms) / values.abs().max())


def cheapest(
    workload: Workload, solve: Callable, ladders: list[list[tuple]]
) -> tuple[tuple | None, list[dict]]:
    """The setting with the fewest products whose residuals suffice, tried with our products.

    Each ladder goes from few products to many and is left where the residuals suffice.
    """
    A, tried = peers.landscope_hessian(workload.copy()), []
    for ladder in ladders:
        for setting in ladder:
            counted = Counted(A, workload)
            try:
                values, vectors = solve(counted, *setting)
            except scipy.sparse.linalg.ArpackNoConvergence:
                continue
            residual = _residual(A, values, vectors)
            tried.append({"setting": setting, "products": counted.count, "residual": residual})
            if residual <= TOLERANCE:
                break
    enough = [t for t in tried if t["residual"] <= TOLERANCE]
    return (min(enough, key=lambda t: t["products"])["setting"] if enough else None), tried


def _residual(A, values: Tensor, vectors: Tensor) -> float:
    errors = (A @ vectors.contiguous()).double() - vectors.double() * values.double()
    return float(errors.norm(dim=0).max() / values.abs().max())


def compare(quick: bool) -> list[dict]:
    return [_compare(trained_cnn(*size), quick) for size in SIZES[quick]]


def _compare(workload: Workload, quick: bool) -> dict:
    ladders = [[(factor * TOLERANCE, ncv) for factor in LOOSER] for ncv in BASES]
    arpack, arpack_tried = cheapest(workload, arpack_pairs, [*ladders, [(TOLERANCE, None)]])
    steps, steps_tried = cheapest(workload, eigenthings_pairs, [[(n,) for n in STEPS]])
    searches = {peers.LANDSCOPE: Search(workload, peers.landscope_hessian, landscope_pairs)}
    builders = {
        peers.LANDSCOPE: peers.landscope_hessian,
        peers.EIGENTHINGS: peers.eigenthings_hessian,
    }
    if not quick:
        builders[peers.CURVLINOPS] = peers.curvlinops_hessian
        builders[peers.PYHESSIAN] = peers.PyHessianProduct
    if arpack is not None:
        for name, build in builders.items():
            searches[f"{ARPACK} on {name}'s products"] = Search(
                workload, build, lambda A: arpack_pairs(A, *arpack)
            )
    if steps is not None:
        searches[f"{peers.EIGENTHINGS} lanczos"] = Search(
            workload, peers.eigenthings_hessian, lambda A: eigenthings_pairs(A, *steps)
        )
    times = interleaved(searches, warm_up=False)
    found = {
        name: {
            "seconds": times[name].as_json(),
            "products": search.products,
            "relative_residual": relative_residual(workload, search.values, search.vectors),
        }
        for name, search in searches.items()
    }
    found[f"{peers.PYHESSIAN} eigenvalues"] = pyhessian_pairs(workload, 10 if quick else 100)
    return {
        "network": workload.name,
        "parameters": workload.num_params,
        "examples": sum(len(y) for _, y in workload.batches),
        "batches": len(workload.batches),
        "tolerance": TOLERANCE,
        "eigenvalues": searches[peers.LANDSCOPE].values.tolist(),
        "arpack_setting": arpack,
        "arpack_tried": arpack_tried,
        "lanczos_steps": steps,
        "lanczos_tried": steps_tried,
        "competitors": found,
    }
