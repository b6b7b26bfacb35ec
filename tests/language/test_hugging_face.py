"""Language models of Hugging Face, small and with random weights, as they are."""

import pytest
import torch
from torch import nn

import landscope as ls
from landscope.geometry.chosen_logits import choose_logits
from tests.reference.dense import relative_error

transformers = pytest.importorskip("transformers")

VOCABULARY = 17
TOKENS = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
SMALL = {"hidden_size": 8, "intermediate_size": 16, "max_position_embeddings": 16}


def gpt2(**options):
    config = transformers.GPT2Config(
        vocab_size=VOCABULARY, n_positions=16, n_embd=8, n_layer=2, n_head=2, **TOKENS, **options
    )
    return transformers.GPT2LMHeadModel(config)


def llama():
    heads = {"num_hidden_layers": 1, "num_attention_heads": 4, "num_key_value_heads": 2}
    config = transformers.LlamaConfig(vocab_size=VOCABULARY, **SMALL, **heads, **TOKENS)
    return transformers.LlamaForCausalLM(config)


def bert():
    heads = {"num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.BertConfig(vocab_size=VOCABULARY, **SMALL, **heads)
    return transformers.BertForMaskedLM(config)


MODELS = {"gpt2": gpt2, "llama": llama, "bert": bert}


def make(name):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = MODELS[name]().eval()
    return model.double()


SEQUENCES = [
    torch.randint(3, VOCABULARY, (n,), generator=torch.Generator().manual_seed(n))
    for n in (9, 7, 3, 8, 5)
]


def padded(sequences, length=None):
    """Token ids, mask and labels, as a tokenizer and its collator give them."""
    shape = len(sequences), length or max(map(len, sequences))
    ids, mask = torch.zeros(shape, dtype=torch.long), torch.zeros(shape, dtype=torch.long)
    labels = torch.full(shape, -100)
    for row, tokens in enumerate(sequences):
        ids[row, : len(tokens)] = labels[row, : len(tokens)] = tokens
        mask[row, : len(tokens)] = 1
    # A masked model predicts some tokens only; for a causal one these are gaps in the labels.
    labels[:, 2] = -100
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


LONG = [padded(SEQUENCES, 12)]
RAGGED = [padded(SEQUENCES[:2]), padded(SEQUENCES[2:3]), padded(SEQUENCES[3:])]
ALONE = [padded([tokens]) for tokens in SEQUENCES]


@pytest.mark.parametrize("name", MODELS)
def test_the_loss_is_the_model_s_own(name):
    model = make(name).float()
    with torch.no_grad():
        own = model(**LONG[0]).loss
    problem = ls.Problem(model, LONG)
    torch.testing.assert_close(problem.loss(), own, rtol=2e-6, atol=0)
    assert problem.num_classes == VOCABULARY
    model.zero_grad()
    model(**LONG[0]).loss.backward()
    expected = problem.flatten({n: p.grad for n, p in model.named_parameters()})
    assert relative_error(problem.gradient(), expected) < 1e-5


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.filterwarnings("ignore:the fast derivative product")  # RMSNorm rounds to float32
def test_padding_and_batches_change_nothing(name):
    model = make(name)
    whole = ls.Problem(model, LONG)
    v = torch.randn(whole.num_params, dtype=torch.float64, generator=torch.Generator())
    products = {operator: operator(whole) @ v for operator in (ls.Hessian, ls.GaussNewton)}
    for batches in (RAGGED, ALONE):
        problem = ls.Problem(model, batches)
        assert problem.num_examples == whole.num_examples
        assert float((problem.loss() - whole.loss()).abs()) < 1e-12 * float(whole.loss())
        assert relative_error(problem.gradient(), whole.gradient()) < 1e-12
        for operator, expected in products.items():
            assert relative_error(operator(problem) @ v, expected) < 1e-12


def test_a_tokenizer_s_output_is_a_batch():
    model, batch = make("gpt2"), LONG[0]
    encoded = transformers.BatchEncoding(batch)
    torch.testing.assert_close(ls.Problem(model, [encoded]).loss(), ls.Problem(model, LONG).loss())


@pytest.mark.parametrize(
    "name", ["bert", *(pytest.param(name, marks=pytest.mark.slow) for name in ("gpt2", "llama"))]
)
def test_clustering_of_chosen_logits_is_that_part_of_all(name):
    problem = ls.Problem(make(name), RAGGED)
    everything = ls.logit_clustering(problem)
    chosen = choose_logits(problem, 4)
    some = ls.logit_clustering(problem, logits=chosen)
    assert torch.equal(some.logits, chosen)

    def of_chosen(table):
        for dim in range(4):
            table = table.index_select(dim, chosen)
        return table

    options = {"rtol": 1e-9, "atol": 1e-12, "equal_nan": True}
    torch.testing.assert_close(some.table, of_chosen(everything.table), **options)
    torch.testing.assert_close(some.norms, everything.norms[:, chosen], **options)
    torch.testing.assert_close(some.centroids, everything.centroids[chosen], **options)
    torch.testing.assert_close(
        some.class_centroids_gram, of_chosen(everything.class_centroids_gram), **options
    )
    assert torch.equal(some.class_counts, everything.class_counts[chosen])
    same_class = [float(everything.table[k, k, k, k]) for k in chosen]
    assert some.q_slsc == pytest.approx(sum(same_class) / 4, rel=1e-9)


def test_the_mean_cosine_of_chosen_logits_is_over_examples_of_all_classes():
    problem = ls.Problem(make("gpt2"), LONG, params="transformer.h.1.attn")
    some = ls.logit_clustering(problem, logits=[5, 9])
    J = ls.LogitJacobian(problem).to_dense().view(-1, VOCABULARY, problem.num_params)[:, [5, 9]]
    u = J / J.norm(dim=2, keepdim=True)
    n = len(u)
    cosines = torch.einsum("mkd,nld->klmn", u, u)
    pairs = cosines.sum((2, 3)) - cosines.diagonal(dim1=2, dim2=3).sum(2)
    mean = pairs / (n * (n - 1))
    assert some.q_sl == pytest.approx(float(mean.diagonal().mean()), rel=1e-9)
    assert some.q_dl == pytest.approx(float((mean.sum() - mean.trace()) / 2), rel=1e-9)


def test_probabilities_of_chosen_logits_and_freezing_of_all():
    problem = ls.Problem(make("gpt2"), RAGGED)
    p = problem.logits().softmax(1)
    found = ls.class_probabilities(problem, logits=[7, 3])
    torch.testing.assert_close(found.probabilities, p[:, [7, 3]])
    assert found.entropy.value == pytest.approx(float(torch.special.entr(p).sum(1).mean()))
    assert found.sigma_z.value**2 == pytest.approx(float(problem.logits().var(1).mean()))


def test_blocks_by_pattern():
    model = make("gpt2")
    problem = ls.Problem(model, LONG, params="transformer.h.*.attn")
    names = list(problem.unflatten(problem.parameters_vector()))
    assert names == [name for name, _ in model.named_parameters() if ".attn." in name]
    whole = ls.Problem(model, LONG)
    v = torch.randn(problem.num_params, dtype=torch.float64, generator=torch.Generator())
    within = dict.fromkeys(whole.unflatten(whole.parameters_vector()), 0.0)
    embedded = whole.flatten(
        {
            name: problem.unflatten(v).get(name, torch.zeros_like(value))
            for name, value in whole.unflatten(whole.parameters_vector()).items()
        }
    )
    image = whole.unflatten(ls.Hessian(whole) @ embedded)
    expected = torch.cat([image[name].flatten() for name in within if name in names])
    assert relative_error(ls.Hessian(problem) @ v, expected) < 1e-10


class LowRank(nn.Module):
    """W x + B A x with W frozen, as LoRA has it (Hu et al. 2021, arXiv:2106.09685)."""

    def __init__(self, layer, rank, in_features, out_features):
        super().__init__()
        self.layer = layer.requires_grad_(False)
        self.A = nn.Parameter(0.1 * torch.randn(in_features, rank).double())
        self.B = nn.Parameter(0.1 * torch.randn(rank, out_features).double())

    def forward(self, x):
        return self.layer(x) + x @ self.A @ self.B


def test_partly_frozen_models_are_measured_where_they_train():
    torch.manual_seed(0)
    model = make("gpt2").requires_grad_(False)
    for block in model.transformer.h:
        block.attn.c_attn = LowRank(block.attn.c_attn, 2, 8, 24)
    problem = ls.Problem(model, RAGGED)
    assert problem.num_params == 2 * (8 * 2 + 2 * 24)
    trained = [p for p in model.parameters() if p.requires_grad]

    def gradient_at(shift):
        with torch.no_grad():
            for p, s in zip(trained, torch.split(shift, [p.numel() for p in trained]), strict=True):
                p += s.view_as(p)
        total = sum(
            nn.functional.cross_entropy(
                model(batch["input_ids"], attention_mask=batch["attention_mask"])
                .logits[:, :-1]
                .flatten(0, 1),
                batch["labels"][:, 1:].flatten(),
                reduction="sum",
            )
            for batch in RAGGED
        )
        mean = total / problem.num_examples
        return torch.cat([g.flatten() for g in torch.autograd.grad(mean, trained)])

    v = torch.randn(problem.num_params, dtype=torch.float64)
    step = 1e-5 * v
    difference = (gradient_at(step) - gradient_at(-2 * step)) / 2e-5
    assert relative_error(ls.Hessian(problem) @ v, difference) < 1e-6


def test_all_of_it_is_measured_on_ten_logits_of_a_vocabulary():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = gpt2()
        model.resize_token_embeddings(150)
    problem = ls.Problem(model.eval(), RAGGED, params="transformer.h.1")
    snapshot = ls.measure(problem, parts=["probabilities", "clustering"])
    assert snapshot.attrs["failures"] == ""
    assert snapshot.sizes["logit"] == 10
    labels = problem.targets()
    pairs = int((torch.bincount(labels, minlength=150) >= 2).sum())
    drawn = torch.from_numpy(snapshot.logits.values)
    assert int((torch.bincount(labels, minlength=150)[drawn] >= 2).sum()) == min(10, pairs)


def test_targets_under_no_known_name_are_refused():
    batch = {name: value for name, value in LONG[0].items() if name != "labels"}
    with pytest.raises(TypeError, match=r"none of which is one of .*labels"):
        ls.Problem(make("gpt2"), [batch])
