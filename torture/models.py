"""Products of many modules and functions, by every method: ``python -m torture.models``.

Each is put between two linear layers and measured in both precisions, with the data in one piece,
in three and in ragged ones, zeros, ties and padding in the last. What comes out is held against
reverse mode twice by hand in float64; what is refused is to be refused in one sentence of this
package's own. The result is ``docs/reliability/models.json``.
"""

import argparse
import json
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from functools import cache, partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

import landscope as ls
from landscope.experiments.processes import Processes, free_processes
from torture.model_cases import OfTokens, every_model
from torture.page import ENDS, NEEDLESS

RESULTS = Path(__file__).parents[1] / "docs" / "reliability" / "models.json"
OPERATORS = {"H": ls.Hessian, "G": ls.GaussNewton, "R": ls.LogitCurvature}
METHODS = ["auto", "linearized", "recomputed", "cached_graph", "forward_over_reverse",
           "double_backward", "finite_difference"]  # fmt: skip
CUTS = {"one": [12], "three": [4, 4, 4], "ragged": [5, 6, 1]}


def data_for(model: nn.Module, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Twelve examples; the last are zero, equal, or padded."""
    generator = torch.Generator().manual_seed(3)
    targets = torch.arange(12) % 3
    if isinstance(model, OfTokens):
        ids = torch.randint(1, 7, (12, 4), generator=generator)
        ids[10, 3:], ids[11, 1:] = 0, 0
        return ids, targets
    x = torch.randn(12, 5, generator=generator)
    x[10], x[11] = 0, x[11].round()
    return x.to(dtype), targets


def products_by_hand(
    model: nn.Module, data: tuple[Tensor, Tensor], v: Tensor, pieces: list[slice]
) -> dict[str, Tensor]:
    """H v, G v and R v by reverse mode twice, piece by piece."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    sums = {name: torch.zeros_like(v) for name in OPERATORS}
    options = {"allow_unused": True, "materialize_grads": True}

    def flat(parts: tuple[Tensor, ...]) -> Tensor:
        return torch.cat([part.reshape(-1) for part in parts])

    def twice(scalar: Tensor) -> Tensor:
        g = flat(torch.autograd.grad(scalar, parameters, create_graph=True, **options))
        if not g.requires_grad:
            return torch.zeros_like(v)
        return flat(torch.autograd.grad(g @ v, parameters, retain_graph=True, **options))

    for piece in pieces:
        x, y = (tensor[piece] for tensor in data)
        z = model(x).to(v.dtype)
        loss = F.cross_entropy(z, y, reduction="sum")
        H = twice(loss)
        residuals = (z.softmax(1) - F.one_hot(y, 3)).detach()
        R = twice((residuals * z).sum())
        for name, part in {"H": H, "R": R, "G": H - R}.items():
            sums[name] += part.detach() / len(data[1])
    return sums


def judge(build: Callable[[], nn.Module], cuts: Sequence[str] = tuple(CUTS)) -> Counter:
    """How each combination ended: right, refused, wrong, or an error that is no sentence."""
    ended: Counter = Counter()
    torch.manual_seed(0)
    try:
        model = build().eval()
    except Exception as error:
        return Counter({f"not built: {error}"[:200]: 1})
    size = sum(p.numel() for p in model.parameters())
    v = torch.randn(size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for cut in cuts:
        lengths = CUTS[cut]
        starts = [sum(lengths[:i]) for i in range(len(lengths))]
        pieces = [slice(a, a + n) for a, n in zip(starts, lengths, strict=True)]
        try:
            torch.manual_seed(0)
            wide = build().double().eval()
            wide.load_state_dict(model.state_dict())
            data = data_for(model, torch.float64)
            torch.backends.mha.set_fastpath_enabled(False)
            with sdpa_kernel(SDPBackend.MATH):  # the others have no second derivative
                expected, crossed = (
                    products_by_hand(wide, data, x, pieces) for x in (v, v.flip(0))
                )
            if any(asymmetric(expected[k], crossed[k], v) for k in OPERATORS):
                expected = None  # torch's own is no second derivative
        except Exception:
            expected = None  # torch has no second derivative: a refusal is right
        for dtype in (torch.float64, torch.float32):
            data = data_for(model, dtype)
            batches = [tuple(tensor[piece] for tensor in data) for piece in pieces]
            problem = cache(partial(ls.Problem, model, batches, dtype=dtype))
            for method in METHODS:
                for letter, operator in OPERATORS.items():
                    how = one(problem, method, operator, v, expected and expected[letter])
                    key = how if how in ENDS else (f"{how} ({letter}, {method}, {dtype}, {cut})")
                    ended[key] += 1
                    if key == "refused" and expected is not None:
                        ended[NEEDLESS] += 1
    return ended


def judged(name: str, cuts: Sequence[str]) -> Counter:
    """The same in a process of its own."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    return judge(dict(every_model())[name], cuts)


def asymmetric(Av: Tensor, Au: Tensor, v: Tensor) -> bool:
    """Whether u·A v differs from v·A u, for u the reverse of v."""
    size = float(Av.norm() * v.norm() + Au.norm() * v.norm())
    return abs(float(v.flip(0) @ Av - v @ Au)) > 1e-9 * max(size, 1e-300)


def one(
    build: Callable[[], ls.Problem],
    method: str,
    operator: Callable,
    v: Tensor,
    expected: Tensor | None,
) -> str:
    """How the products of one operator by one method end."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            problem = build()
            dtype = problem.dtype
            A = operator(problem, method=method)
            A.expect(100)
            w = v if method != "finite_difference" else problem.without_padding(v.to(dtype))
            products = [(A @ w.to(dtype)).double() for _ in range(2)]
            products.append((A @ torch.stack([w, w], 1).to(dtype))[:, 1].double())
        except (ValueError, TypeError, ArithmeticError) as error:
            if "\n" in str(error).strip() or not of_this_package(error):
                return f"error: {type(error).__name__}: {str(error)[:150]}"
            return "refused"
        except Exception as error:
            return f"error: {type(error).__name__}: {str(error)[:150]}"
    if expected is None:
        return "not compared"
    allowed = {"finite_difference": {torch.float64: 1e-4, torch.float32: 0.1}}.get(
        method, {torch.float64: 1e-9, torch.float32: 2e-3}
    )[dtype]
    size = float(expected.norm()) + 1e-3 * float(problem.gradient().norm())
    worst = max(float((product - expected).norm()) / size for product in products)
    if worst <= allowed:
        return "right"
    unsharp = any("differences of gradients change" in str(warning.message) for warning in said)
    return "said to be unsharp" if unsharp else f"wrong by {worst:.1e}"


def of_this_package(error: BaseException) -> bool:
    frames = traceback.extract_tb(error.__traceback__)
    return "landscope" in frames[-1].filename


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="part of a name")
    parser.add_argument("--cuts", nargs="*", default=list(CUTS), choices=list(CUTS))
    parser.add_argument("--results", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    names = [name for name, _ in every_model() if chosen.only in name]
    results: dict[str, dict[str, int]] = {}
    with Processes(free_processes("cpu")) as processes:
        ending = {name: processes.submit(judged, name, chosen.cuts) for name in names}
        for name, future in ending.items():
            try:
                results[name] = dict(future.result())
            except BrokenProcessPool:
                results[name] = {"the process ended": 1}
            bad = {k: n for k, n in results[name].items() if k not in (*ENDS, NEEDLESS)}
            print(name, results[name] if bad else "", flush=True)
    found = {"cuts": chosen.cuts, "models": results}
    chosen.results.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
