"""Hessian products of twenty model families beside ten lines of torch.

`python -m benchmarks.families [--only NAME] [--out FILE]`: for each family whether it is traced,
how far a product is from reverse mode twice, and the times of a product in gradients: ours, and
that of a graph of the gradient that is kept and differentiated once more, in turns. Needs the
extras `transformers` and torchvision.
"""

import argparse
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import cross_entropy

import landscope as ls
from benchmarks.setting import setting
from benchmarks.timing import interleaved

RESULTS = Path(__file__).parent / "results" / "families.json"
ROUNDS = 7
TOKENS = {"vocab_size": 1000, "hidden_size": 128, "intermediate_size": 512, "num_hidden_layers": 4,
          "num_attention_heads": 4, "max_position_embeddings": 64}  # fmt: skip
GROUPED = TOKENS | {"num_key_value_heads": 2}
LANGUAGE: dict[str, tuple[str, dict[str, Any]]] = {
    "GPT-2": ("GPT2LMHeadModel", {"vocab_size": 1000, "n_embd": 128, "n_layer": 4, "n_head": 4,
                                  "n_positions": 64}),
    "Llama": ("LlamaForCausalLM", GROUPED),
    "Qwen2": ("Qwen2ForCausalLM", GROUPED),
    "Mistral": ("MistralForCausalLM", GROUPED | {"sliding_window": 16}),
    "Gemma": ("GemmaForCausalLM", GROUPED | {"head_dim": 32}),
    "GPT-NeoX": ("GPTNeoXForCausalLM", TOKENS),
    "BERT": ("BertForMaskedLM", TOKENS),
    "T5": ("T5ForConditionalGeneration", {"vocab_size": 1000, "d_model": 128, "d_kv": 32,
                                          "d_ff": 512, "num_layers": 3, "num_heads": 4,
                                          "decoder_start_token_id": 0}),
    "Mixtral": ("MixtralForCausalLM", GROUPED | {"num_local_experts": 4,
                                                 "num_experts_per_tok": 2}),
    "Mamba": ("MambaForCausalLM", {"vocab_size": 1000, "hidden_size": 128, "state_size": 8,
                                   "num_hidden_layers": 3}),
}  # fmt: skip
VISION = {
    "ResNet-18": ("resnet18", 32, {}),
    "VGG-11": ("vgg11", 8, {}),
    "DenseNet-121": ("densenet121", 8, {}),
    "MobileNet-v2": ("mobilenet_v2", 16, {}),
    "MobileNet-v3": ("mobilenet_v3_small", 16, {}),
    "EfficientNet-B0": ("efficientnet_b0", 8, {}),
    "ConvNeXt": ("convnext_tiny", 4, {}),
    "ShuffleNet-v2": ("shufflenet_v2_x0_5", 16, {}),
    "SqueezeNet": ("squeezenet1_1", 16, {}),
    "RegNet": ("regnet_y_400mf", 8, {}),
    "Swin": ("swin_t", 2, {}),
    "ViT": ("VisionTransformer", 16, {"image_size": 32, "patch_size": 4, "num_layers": 6,
                                      "num_heads": 3, "hidden_dim": 192, "mlp_dim": 384}),
}  # fmt: skip


class Recurrent(nn.Module):
    """A recurrent layer and a linear one of its last state."""

    def __init__(self, kind: Callable[..., nn.Module]) -> None:
        super().__init__()
        self.layer, self.last = kind(32, 128, batch_first=True), nn.Linear(128, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.layer(x)[0][:, -1])


def of_tokens(name: str) -> tuple[nn.Module, Any]:
    import transformers

    kind, sizes = LANGUAGE[name]
    of_kind = getattr(transformers, kind)
    ids = torch.randint(2, 1000, (4, 32))
    return of_kind(of_kind.config_class(**sizes)), {"input_ids": ids, "labels": ids.clone()}


def of_images(name: str) -> tuple[nn.Module, Any]:
    from torchvision import models

    kind, number, sizes = VISION[name]
    images, labels = torch.randn(number, 3, 32, 32), torch.arange(number) % 10
    return getattr(models, kind)(num_classes=10, **sizes), (images, labels)


def of_sequences(kind: Callable[..., nn.Module]) -> tuple[nn.Module, Any]:
    return Recurrent(kind), (torch.randn(64, 30, 32), torch.arange(64) % 10)


FAMILIES: dict[str, Callable[[], tuple[nn.Module, Any]]] = {
    **{name: lambda name=name: of_tokens(name) for name in LANGUAGE},
    **{name: lambda name=name: of_images(name) for name in VISION},
    **{
        kind.__name__: lambda kind=kind: of_sequences(kind)
        for kind in (nn.RNN, nn.GRU, nn.LSTM)
    },
}  # fmt: skip


Product = Callable[[Tensor], Tensor]


def kept_gradient(model: nn.Module, batch: Any) -> tuple[Callable[[], Any], Product]:
    """A gradient, and the product of a graph of the gradient that is kept."""
    parameters = [p for p in model.parameters() if p.requires_grad]

    def loss() -> Tensor:
        with sdpa_kernel(SDPBackend.MATH):  # the others have no second derivative
            if isinstance(batch, dict):
                return model(**batch).loss
            return cross_entropy(model(batch[0]), batch[1])

    def gradient() -> Any:
        return torch.autograd.grad(loss(), parameters, allow_unused=True, materialize_grads=True)

    g = torch.autograd.grad(
        loss(), parameters, create_graph=True, allow_unused=True, materialize_grads=True
    )

    def product(v: Tensor) -> Tensor:
        parts = [part.view_as(p) for part, p in zip(v.split([p.numel() for p in parameters]),
                                                    parameters, strict=True)]  # fmt: skip
        found = torch.autograd.grad(
            g, parameters, parts, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        return torch.cat([part.flatten() for part in found])

    return gradient, product


def measure(name: str) -> dict[str, Any]:
    torch.manual_seed(0)
    model, batch = FAMILIES[name]()
    model = model.eval()
    gradient, peer = kept_gradient(model, batch)
    problem = ls.Problem(model, [batch])
    v = torch.randn(problem.num_params)
    started = time.perf_counter()
    H = ls.Hessian(problem, method="linearized")
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        product = H @ v
    said = [str(warning.message) for warning in warned]
    first = time.perf_counter() - started
    expected = peer(v)
    times = interleaved(
        {"gradient": gradient, "peer": lambda: peer(v), "ours": lambda: H @ v}, rounds=ROUNDS
    )
    unit = times["gradient"].median
    return {
        "parameters": problem.num_params,
        "method": H.method.value,
        "why": [sentence[:200] for sentence in said if "product" in sentence],
        "error": float((product - expected).norm() / expected.norm()),
        "first_seconds": first,
        "check_gradients": H._sum._check_seconds / unit,
        "gradient_seconds": unit,
        "ours": times["ours"].median / unit,
        "peer": times["peer"].median / unit,
        "peer_over_ours": times["peer"].median / times["ours"].median,
    }


def table(results: dict[str, Any]) -> str:
    """Markdown of what was measured."""
    lines = [
        "| family | D | way | relative error | gradient, s | ours, gradients | "
        "kept graph, gradients | kept graph / ours | check, gradients |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, one in results["families"].items():
        lines.append(
            f"| {name} | {one['parameters']:,} | {one['method']} | {one['error']:.0e} | "
            f"{one['gradient_seconds']:.3g} | {one['ours']:.2f} | {one['peer']:.2f} | "
            f"{one['peer_over_ours']:.2f} | {one['check_gradients']:.1f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="part of a name")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    warnings.simplefilter("ignore")
    found = {}
    for name in FAMILIES:
        if chosen.only in name:
            found[name] = measure(name)
            print(name, found[name], flush=True)
            results = setting(False, "cpu", {"torch": torch.__version__}) | {"families": found}
            chosen.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(table(results))


if __name__ == "__main__":
    main()
