"""Models and data as users bring them: wrapped, keeping activations, padded, in odd dtypes."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader

import landscope as ls
from landscope.products import WrongDerivativeError

INPUTS = torch.randn(10, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
TARGETS = torch.arange(10) % 3


def mlp() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 3)).double()


def test_a_wrong_second_derivative_of_torch_is_refused():
    model = mlp()
    model[0] = nn.utils.parametrizations.weight_norm(model[0])
    problem = ls.Problem(model, (INPUTS, TARGETS))
    with pytest.raises(WrongDerivativeError, match="symmetry"):
        ls.Hessian(problem)


def test_data_made_in_inference_mode_are_differentiated_through():
    with torch.inference_mode():
        data = INPUTS.clone(), TARGETS.clone()
    made, usual = (ls.Hessian(ls.Problem(mlp(), given)) for given in (data, (INPUTS, TARGETS)))
    torch.testing.assert_close(made @ made.problem.weights, usual @ usual.problem.weights)


class TinyForCausalLM(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.head = nn.Embedding(7, 4), nn.Linear(4, 7)

    def forward(self, input_ids, attention_mask=None):
        return {"logits": self.head(self.embedding(input_ids))}


def sequences() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(1, 7, (n,), generator=generator) for n in (5, 3, 4, 2, 6, 3)]


def padded(examples: list[torch.Tensor]) -> dict[str, torch.Tensor]:
    def pad(value: int) -> torch.Tensor:
        return nn.utils.rnn.pad_sequence(examples, batch_first=True, padding_value=value)

    return {"input_ids": pad(5), "labels": pad(-100), "attention_mask": (pad(0) > 0).long()}


@pytest.mark.parametrize("wrap", [lambda m: m, nn.DataParallel], ids=["bare", "data_parallel"])
def test_the_causal_shift_survives_a_wrapper(wrap):
    torch.manual_seed(0)
    model, batch = TinyForCausalLM(), padded(sequences())
    problem = ls.Problem(wrap(model), [batch])
    logits = model(batch["input_ids"])["logits"]
    expected = cross_entropy(logits[:, :-1].flatten(0, 1), batch["labels"][:, 1:].flatten())
    assert problem.num_examples == sum(len(s) - 1 for s in sequences())
    torch.testing.assert_close(problem.loss(), expected.detach())
    torch.testing.assert_close(problem.at(wrap(model)).loss(), expected.detach())


def test_a_shuffled_loader_may_pad_to_the_longest_of_its_batch():
    torch.manual_seed(0)
    model = TinyForCausalLM()
    loader = DataLoader(sequences(), 2, shuffle=True, collate_fn=padded)
    expected = ls.Problem(model, [padded(sequences())]).loss()
    torch.testing.assert_close(ls.Problem(model, loader).loss(), expected)


@pytest.mark.parametrize("mode", [torch.inference_mode, lambda: torch.autocast("cpu")])
def test_modes_without_exact_derivatives_are_refused(mode):
    problem = ls.Problem(mlp(), (INPUTS, TARGETS))
    with mode(), pytest.raises(RuntimeError, match=r"inference_mode|autocast"):
        ls.Problem(mlp(), (INPUTS, TARGETS))
    with mode(), pytest.raises(RuntimeError, match=r"inference_mode|autocast"):
        ls.Hessian(problem) @ problem.parameters_vector()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32])
def test_labels_may_have_any_integer_dtype(dtype):
    expected = ls.Problem(mlp(), (INPUTS, TARGETS)).gradient()
    torch.testing.assert_close(ls.Problem(mlp(), (INPUTS, TARGETS.to(dtype))).gradient(), expected)


def test_labels_in_a_floating_dtype_are_refused():
    with pytest.raises(ValueError, match="float"):
        ls.Problem(mlp(), (INPUTS, TARGETS.double()))


def test_one_hot_targets_may_be_integers():
    one_hot = nn.functional.one_hot(TARGETS, 3)
    for loss in ("cross_entropy", "mse"):
        torch.testing.assert_close(
            ls.Problem(mlp(), (INPUTS, one_hot), loss).loss(),
            ls.Problem(mlp(), (INPUTS, TARGETS), loss).loss(),
        )


def test_classes_in_an_ambiguous_dimension_are_refused():
    images, labels = torch.randn(2, 1, 3, 3), torch.zeros(2, 3, 3, dtype=torch.long)
    with pytest.raises(ValueError, match="forward"):
        ls.Problem(nn.Conv2d(1, 3, 3, padding=1), (images, labels))


def test_a_model_may_keep_an_activation():
    class Keeping(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = mlp()

        def forward(self, x):
            self.kept = self.inner(x)
            return self.kept

    model = Keeping()
    model(INPUTS)
    torch.testing.assert_close(
        ls.Problem(model, (INPUTS, TARGETS)).loss(), ls.Problem(mlp(), (INPUTS, TARGETS)).loss()
    )


def test_an_operator_of_the_user_is_measured():
    class Diagonal:
        shape, dtype, device = (63, 63), torch.float64, torch.device("cpu")

        def __matmul__(self, v):
            scale = torch.arange(63, dtype=torch.float64)
            return scale[:, None] * v if v.ndim == 2 else scale * v

    torch.manual_seed(0)
    problem = ls.Problem(
        nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 3)).double(), (INPUTS, TARGETS)
    )
    assert float(ls.curvature(problem, 3, Diagonal()).eigenvalues[0]) == pytest.approx(62)
    assert ls.Projected(Diagonal(), torch.eye(63, 2)).shape == (2, 2)
