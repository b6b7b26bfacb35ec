"""Networks of each family, small: traced, and equal to reverse mode twice."""

import warnings

import pytest
import torch
from torch import nn

import landscope as ls
from tests.reference.dense import relative_error

SIZES = {
    "vocab_size": 32,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 32,
}
GROUPED = SIZES | {"num_key_value_heads": 2}
WINDOWED = GROUPED | {"head_dim": 4, "sliding_window": 4}
LANGUAGE_MODELS = {
    "GPT2": {"vocab_size": 32, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 32},
    "GPTNeoX": SIZES,
    "Bloom": {"vocab_size": 32, "hidden_size": 16, "n_layer": 2, "n_head": 2},
    "OPT": SIZES | {"ffn_dim": 32, "word_embed_proj_dim": 16},
    "Llama": GROUPED,
    "Qwen2": GROUPED,
    "Qwen3": GROUPED | {"head_dim": 4},
    "Phi": GROUPED,
    "Mistral": GROUPED | {"sliding_window": 4},
    "Gemma": GROUPED | {"head_dim": 4},
    "Gemma2": WINDOWED,
    "Gemma3Text": WINDOWED,
    "Mixtral": GROUPED | {"num_local_experts": 4, "num_experts_per_tok": 2},
    "Mamba": SIZES | {"state_size": 4},
    "Mamba2": SIZES
    | {"state_size": 4, "num_heads": 4, "head_dim": 8, "n_groups": 1, "chunk_size": 4},
}
VISION_MODELS = {
    "convnext_tiny": {},
    "densenet121": {},
    "efficientnet_b0": {},
    "googlenet": {"aux_logits": False, "init_weights": False},
    "mnasnet0_5": {},
    "mobilenet_v2": {"width_mult": 0.25},
    "mobilenet_v3_small": {},
    "regnet_y_400mf": {},
    "resnet18": {},
    "shufflenet_v2_x0_5": {},
    "squeezenet1_1": {},
}


class Recurrent(nn.Module):
    """A recurrent layer, and a linear one of its last state."""

    def __init__(self, kind, **options):
        super().__init__()
        self.layer = kind(4, 6, batch_first=True, **options)
        self.out = nn.Linear(6 * (2 if self.layer.bidirectional else 1), 3)

    def forward(self, x):
        return self.out(self.layer(x)[0][:, -1])


def assert_traced(problem, allowed=1e-11):
    v = torch.randn(
        problem.num_params, dtype=problem.dtype, generator=torch.Generator().manual_seed(0)
    )
    expected = ls.Hessian(problem, method="double_backward", self_check=False) @ v
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="the fast derivative product")
        H = ls.Hessian(problem, method="linearized", self_check=False)
        assert relative_error(H @ v, expected) < allowed
    assert H.method == "linearized"


@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True, "bias": False}])
def test_recurrent_networks(kind, options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network, data = Recurrent(kind, **options).double(), torch.randn(4, 5, 4).double()
    assert_traced(ls.Problem(network, (data, torch.arange(4) % 3)))


def token_problem(model, dtype=torch.float64):
    ids = torch.randint(1, 32, (4, 8), generator=torch.Generator().manual_seed(0))
    batch = {"input_ids": ids, "labels": ids, "attention_mask": torch.ones_like(ids)}
    return ls.Problem(model.to(dtype).eval(), [batch])


def transformer(name, kind, **sizes):
    transformers = pytest.importorskip("transformers")
    configuration = getattr(transformers, f"{name}Config")(**sizes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return getattr(transformers, kind).from_config(configuration)


@pytest.mark.slow
@pytest.mark.parametrize("name", LANGUAGE_MODELS)
def test_language_models(name):
    """Most compute norms in float32, which rounds the reference as well."""
    model = transformer(name, "AutoModelForCausalLM", **LANGUAGE_MODELS[name])
    if name == "Mixtral":  # experts are products in float32 alone
        assert_traced(token_problem(model, torch.float32), allowed=1e-4)
    else:
        assert_traced(token_problem(model), allowed=1e-6)


@pytest.mark.slow
def test_encoders_and_image_transformers():
    assert_traced(token_problem(transformer("Bert", "AutoModelForMaskedLM", **SIZES)))
    sizes = SIZES | {"image_size": 8, "patch_size": 4, "num_labels": 3}
    del sizes["vocab_size"], sizes["max_position_embeddings"]
    model = transformer("ViT", "AutoModelForImageClassification", **sizes).double().eval()
    images = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0)).double()
    batch = {"pixel_values": images, "labels": torch.tensor([0, 1, 2, 0])}
    assert_traced(ls.Problem(model, [batch]))


@pytest.mark.slow
def test_encoder_and_decoder():
    sizes = {
        "vocab_size": 32,
        "d_model": 16,
        "d_kv": 8,
        "d_ff": 32,
        "num_layers": 2,
        "num_heads": 2,
    }
    model = transformer("T5", "AutoModelForSeq2SeqLM", **sizes, decoder_start_token_id=0).double()
    ids = torch.randint(1, 32, (4, 8), generator=torch.Generator().manual_seed(0))
    problem = ls.Problem(
        model.eval(),
        (ids, ids.flip(1)),
        forward=lambda model, batch: (
            model(input_ids=batch[0], decoder_input_ids=batch[0].roll(1, 1)).logits,
            batch[1],
        ),
    )
    assert_traced(problem, allowed=1e-6)


def image_problem(network):
    generator = torch.Generator().manual_seed(0)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.1, generator=generator)
            layer.running_var.uniform_(0.5, 2, generator=generator)
    images = torch.randn(2, 3, 32, 32, generator=generator).double()
    return ls.Problem(network.double().eval(), (images, torch.tensor([0, 1])))


@pytest.mark.slow
@pytest.mark.parametrize("name", VISION_MODELS)
def test_vision_models(name):
    models = pytest.importorskip("torchvision").models
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = getattr(models, name)(num_classes=3, **VISION_MODELS[name])
    assert_traced(image_problem(network))


@pytest.mark.slow
def test_transformers_of_torchvision():
    models = pytest.importorskip("torchvision").models
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        plain = models.VisionTransformer(32, 16, 2, 2, 32, 64, num_classes=3)
        windowed = models.SwinTransformer([4, 4], 8, [2, 2], [2, 2], [4, 4], num_classes=3)
        nn.init.normal_(plain.heads.head.weight)  # it is zero by default
    assert_traced(image_problem(plain))
    assert_traced(image_problem(windowed))
