"""Trace of each parameter's or module's diagonal block of a curvature operator."""

import math
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor

from landscope.arguments import choice
from landscope.linalg import Estimate
from landscope.linalg.diagonal import diagonal_samples


def block_traces(
    operator: Any,
    num_probes: int = 30,
    seed: int = 0,
    by: str = "parameter",
    exact_up_to: int = 0,
) -> dict[str, Estimate]:
    r"""Trace of each diagonal block of an operator on weight space, all from the same probes.

    Parameters
    ----------
    operator : symmetric operator with a ``problem``, D × D
        Such as `Hessian` or `GaussNewton`.
    num_probes : int
        Products to spend, at least 2. From D products on, the traces are exact.
    seed : int
        Seed of the sketch and the probes.
    by : {"parameter", "module"}
        Blocks by the name of a parameter, ``"0.weight"``, or by the module that holds it, ``"0"``.
    exact_up_to : int
        Blocks of at most so many entries are computed exactly, by one more product for each entry.

    Returns
    -------
    dict of str to Estimate
        In the order of the parameters. The estimates of two blocks share their probes, so their
        errors are correlated; they add up to the trace, as estimated by `diagonal` with this seed.

    Raises
    ------
    TypeError
        For an operator that does not name its ``problem``.
    ValueError
        For another ``by``, or too few probes.

    Notes
    -----
    A probe v of independent signs gives :math:`\sum_{i ∈ b} v_i (Av)_i`, of mean tr A_bb for
    each block b, so one product serves all blocks. The large eigenvalues are taken out first as in
    `diagonal`. The standard error is that of the mean over n probes.

    Examples
    --------
    >>> import torch, landscope as ls
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Tanh(), torch.nn.Linear(3, 2))
    >>> with torch.no_grad():
    ...     _ = [p.copy_(torch.linspace(-1, 1, p.numel()).view_as(p)) for p in model.parameters()]
    >>> problem = ls.Problem(model, (torch.eye(4), torch.tensor([0, 1, 1, 0])))
    >>> traces = ls.block_traces(ls.GaussNewton(problem), by="module")
    >>> list(traces), traces["2"].exact
    (['0', '2'], True)
    """
    if not hasattr(operator, "problem"):
        raise TypeError(
            f"operator is a {type(operator).__name__}; it must be one on weight space with a "
            "`problem`, such as Hessian(problem)"
        )
    choice("by", by, ("parameter", "module"))
    certain, samples, product = diagonal_samples(operator, num_probes, seed)
    n = samples.shape[1]
    traces = {}
    for name, entries in _blocks(operator.problem, by).items():
        if n == 0:
            exact = Estimate(certain[entries].double().sum(), num_products=product.count)
            traces[name] = exact.scaled(product.unit)
            continue
        if len(entries) <= exact_up_to:
            traces[name] = Estimate(_exact(operator, entries), num_products=len(entries))
            continue
        sums = samples[entries].double().sum(dim=0)
        value = (certain[entries].double().sum() + sums.mean()).item()
        size = (certain[entries] + samples[entries].mean(dim=1)).double().abs().sum().item()
        rounding = 10 * torch.finfo(samples.dtype).eps * size
        stderr = math.hypot(sums.std().item() / math.sqrt(n), rounding)
        estimate = Estimate(value, stderr, n - 1, product.count)
        traces[name] = estimate.scaled(product.unit)
    return traces


def _blocks(problem: Any, by: str) -> dict[str, Int64[Tensor, " b"]]:
    """Entries of the flat vector that belong to each block."""
    named = problem.unflatten(problem.parameters_vector())
    entries = torch.arange(problem.num_params, device=problem.device)
    parts = entries.split([piece.numel() for piece in named.values()])
    blocks: dict[str, list[Tensor]] = {}
    for name, part in zip(named, parts, strict=True):
        blocks.setdefault(name.rpartition(".")[0] if by == "module" else name, []).append(part)
    return {name: torch.cat(pieces) for name, pieces in blocks.items()}


def _exact(operator: Any, entries: Int64[Tensor, " b"]) -> Tensor:
    """Sum of A_ii over a few entries, by one product for each."""
    units = torch.zeros(operator.shape[1], len(entries), dtype=operator.dtype)
    units = units.to(operator.device)
    columns = torch.arange(len(entries), device=entries.device)
    units[entries, columns] = 1
    return (operator @ units)[entries, columns].double().sum()
