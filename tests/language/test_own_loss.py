"""The loss of a model that computes one itself is the one that is measured."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import landscope as ls


class Model(nn.Module):
    """Next tokens, each token's own class, or a decoder that is fed with the labels before."""

    def __init__(self, kind):
        super().__init__()
        self.kind = kind
        self.embedding, self.head = nn.Embedding(7, 4), nn.Linear(4, 7)

    def forward(self, input_ids, labels=None):
        h = self.embedding(input_ids)
        if self.kind == "decoder":
            before = (input_ids if labels is None else labels).clamp_min(0).roll(1, 1)
            h = h + torch.tanh(self.embedding(before))
        logits = self.head(torch.tanh(h))
        if labels is None:
            return {"logits": logits}
        shifted = self.kind in ("causal", "routed")
        z, y = (logits[:, :-1], labels[:, 1:]) if shifted else (logits, labels)
        loss = cross_entropy(z.flatten(0, 1), y.flatten())
        if self.kind == "routed":
            loss = loss + 0.001 * self.embedding.weight.square().mean()
        return {"logits": logits, "loss": loss}


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    ids, labels = torch.randint(0, 7, (2, 5, 6), generator=generator)
    labels[0, :2] = -100
    return {"input_ids": ids, "labels": labels}


def model(kind):
    torch.manual_seed(1)
    return Model(kind).double()


@pytest.mark.parametrize("kind", ["causal", "tokens", "decoder"])
def test_value_and_gradient_are_those_of_the_models_own_loss(kind, batch):
    own = model(kind)
    loss = own(**batch)["loss"]
    problem = ls.Problem(own, [{key: x[i : i + 2] for key, x in batch.items()} for i in (0, 2, 4)])
    expected = torch.autograd.grad(loss, list(own.parameters()))
    torch.testing.assert_close(problem.loss(), loss.detach(), rtol=1e-12, atol=0)
    torch.testing.assert_close(
        problem.gradient(), torch.cat([g.flatten() for g in expected]), rtol=1e-10, atol=1e-14
    )
    other = model("tokens" if kind == "causal" else "causal")
    assert ls.Problem(other, [batch]).fingerprint() != problem.fingerprint()


def test_a_loss_with_more_than_cross_entropy_is_refused_unless_another_is_named(batch):
    own = model("routed")
    with pytest.raises(ValueError, match=r"model has the loss .* of its own .* loss= or forward="):
        ls.Problem(own, [batch])
    problem = ls.Problem(own, [batch], loss=nn.CrossEntropyLoss())
    z, y = own(batch["input_ids"])["logits"][:, :-1], batch["labels"][:, 1:]
    expected = cross_entropy(z.flatten(0, 1), y.flatten())
    torch.testing.assert_close(problem.loss(), expected.detach(), rtol=1e-12, atol=0)


def test_labels_that_none_of_the_first_examples_has_leave_the_reading_to_the_name(batch):
    batch["labels"][:2] = -100
    problem = ls.Problem(model("tokens"), [batch])
    z = model("tokens")(batch["input_ids"])["logits"]
    expected = cross_entropy(z.flatten(0, 1), batch["labels"].flatten())
    torch.testing.assert_close(problem.loss(), expected.detach(), rtol=1e-12, atol=0)
