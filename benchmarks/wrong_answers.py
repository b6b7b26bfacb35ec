"""Where a peer gives a wrong answer, or none: small cases, with the float64 reference.

Each case is one Hessian–vector product in float64, so that an error is one of the method and not
of rounding.
"""

import warnings

import torch
from torch import nn

from benchmarks import peers, reference
from benchmarks.networks import GPT, TokenCrossEntropy, Workload


def _mlp(*middle: nn.Module) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        model = nn.Sequential(nn.Linear(6, 16), *middle, nn.Tanh(), nn.Linear(16, 4))
        for norm in middle:
            nn.init.normal_(norm.weight, 1.0, 0.3)
    return model


def _batches(*sizes: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    return [
        (torch.randn(n, 6, generator=generator), torch.randint(0, 4, (n,), generator=generator))
        for n in sizes
    ]


def unequal_batches() -> Workload:
    return Workload("batches of 8 and 2 examples", _mlp(), _batches(8, 2), TokenCrossEntropy())


def layer_norm() -> Workload:
    model = _mlp(nn.LayerNorm(16))
    return Workload("one LayerNorm", model, _batches(16), TokenCrossEntropy())


def _tiny_gpt() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        return GPT(blocks=1, width=16, heads=2, vocabulary=11, context=8)


def _tokens(sequences: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return tuple(torch.randint(0, 11, (sequences, 8), generator=generator) for _ in range(2))


def padded_tokens() -> Workload:
    """Two batches of two sequences each; the padding leaves 12 and 3 tokens that count."""
    (x, y), (x2, y2) = _tokens(2), _tokens(2)
    y[:, 6:], y2[:, 2:], y2[0, 1] = -100, -100, -100
    model = _PositionsOnly()
    return Workload(
        "12 and 3 valid tokens in padded batches",
        model,
        [(x, y), (x2, y2)],
        TokenCrossEntropy(),
    )


class _PositionsOnly(nn.Module):
    """Tokens one by one, without LayerNorm or attention: only the padding is tried."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            self.layers = nn.Sequential(nn.Embedding(11, 8), nn.Linear(8, 8), nn.Tanh())
            self.head = nn.Linear(8, 11)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.head(self.layers(tokens))


def attention() -> Workload:
    """With no word about the backend, as a user's model comes."""
    name = "attention, backend not chosen by the user"
    return Workload(name, _tiny_gpt(), [_tokens(2)], TokenCrossEntropy())


def half_precision() -> Workload:
    """A bf16 model: the reference is that of its weights, in float64."""
    workload = Workload("a model in bf16", _mlp(), _batches(16), TokenCrossEntropy())
    return workload.to("cpu", torch.bfloat16)


CASES = (unequal_batches, padded_tokens, layer_norm, attention, half_precision)


def compare() -> list[dict]:
    rows = []
    for case in CASES:
        workload = case()
        if case is not half_precision:
            workload = workload.to("cpu", torch.float64)
        dtype = next(workload.model.parameters()).dtype
        v = workload.vector(0).double()
        true = reference.hessian_vector(workload, v)
        row = {"case": workload.name, "relative_error": {}, "dtype": str(dtype)}
        for name, build in peers.HESSIANS.items():
            own = workload.copy()
            given = (
                v.float() if name == peers.LANDSCOPE and dtype == torch.bfloat16 else v.to(dtype)
            )
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    error = reference.relative_error(build(own) @ given, true)
            except Exception as failure:
                error = f"{type(failure).__name__}: {str(failure).strip().splitlines()[0]}"[:160]
            row["relative_error"][name] = error
        rows.append(row)
        print(row, flush=True)
    return rows
