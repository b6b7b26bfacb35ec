"""BatchNorm with the statistics of one full batch, against torch in training mode."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import landscope as ls
from landscope.training.batch_norm import with_statistics
from tests.reference.dense import relative_error


def make_model():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Tanh(), nn.Flatten(),
        nn.Linear(12, 5), nn.BatchNorm1d(5, affine=False), nn.Tanh(), nn.Linear(5, 3),
    ).double()  # fmt: skip


DATA = (
    torch.randn(9, 2, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1)),
    torch.arange(9) % 3,
)


def training_loss(model):
    """The loss in training mode of torch's own layers, as a function of one vector."""
    shapes = {name: p.shape for name, p in model.named_parameters()}
    model = model.train()

    def loss(w):
        parts = torch.split(w, [shape.numel() for shape in shapes.values()])
        named = {name: part.view(shapes[name]) for name, part in zip(shapes, parts, strict=True)}
        return cross_entropy(torch.func.functional_call(model, named, (DATA[0],)), DATA[1])

    return loss


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_loss_gradient_and_hessian_are_those_of_training_mode(mode):
    model = getattr(make_model(), mode)()
    problem = ls.Problem(model, DATA, batch_statistics=True)
    loss, w = training_loss(make_model()), problem.parameters_vector().requires_grad_()
    value = loss(w)
    (gradient,) = torch.autograd.grad(value, w, create_graph=True)
    torch.testing.assert_close(problem.loss(), value.detach())
    assert relative_error(problem.gradient(), gradient.detach()) < 1e-12
    H = ls.Hessian(problem)
    for seed in range(2):
        v = torch.randn(len(w), dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        (expected,) = torch.autograd.grad(gradient, w, v, retain_graph=True)
        assert relative_error(H @ v, expected) < 1e-9
    assert model.training == (mode == "train")
    assert model[1].num_batches_tracked == 0


def logit_jacobian():
    model, names = make_model().train(), dict(make_model().named_parameters())
    for module in (model[1], model[5]):  # jacrev bears no counting in place
        module.running_mean = module.running_var = module.num_batches_tracked = None

    def logits(named):
        return torch.func.functional_call(model, named, (DATA[0],))

    # One level of jacrev is right through batch_norm.
    rows = torch.func.jacrev(logits)({name: p.detach() for name, p in names.items()})
    return torch.cat([rows[name].flatten(2) for name in names], 2)


def test_rows_of_the_logit_jacobian_see_the_coupling():
    problem = ls.Problem(make_model(), DATA, batch_statistics=True)
    J = logit_jacobian()
    assert relative_error(ls.LogitJacobian(problem).to_dense(), J.flatten(0, 1)) < 1e-10
    spectrum = ls.gram_spectrum(problem)
    p = problem.logits().softmax(1)
    M = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    G = torch.einsum("nkd,nkl,nle->de", J, M, J) / 9
    expected = torch.linalg.eigvalsh(G).flip(0)[: len(spectrum)]
    torch.testing.assert_close(spectrum, expected, rtol=1e-8, atol=1e-12)
    clustering = ls.logit_clustering(problem)
    torch.testing.assert_close(clustering.norms, J.norm(dim=2))
    torch.testing.assert_close(clustering.centroids, J.mean(0))


def test_everything_is_measured():
    problem = ls.Problem(make_model(), DATA, batch_statistics=True)
    snapshot = ls.measure(problem, num_eigenvalues=2, num_probes=2, num_steps=8)
    assert snapshot.attrs["failures"] == ""
    assert with_statistics(problem) is problem


def test_several_batches_are_refused_and_training_mode_says_what_can_be_done():
    with pytest.raises(ValueError, match="data has 3 batches; batch_statistics=True"):
        ls.Problem(make_model(), DATA, batch_statistics=True, batch_size=3)
    with pytest.raises(ValueError, match=r"model.eval\(\) first, or give batch_statistics=True"):
        ls.Problem(make_model().train(), DATA)


def test_a_large_pair_of_tensors_is_one_batch():
    many = torch.randn(700, 4), torch.arange(700) % 2
    model = nn.Sequential(nn.Linear(4, 2), nn.BatchNorm1d(2))
    assert len(ls.Problem(model, many, batch_statistics=True).batches) == 1
    dataset = torch.utils.data.TensorDataset(*many)
    assert len(ls.Problem(model, dataset, batch_statistics=True).batches) == 1


def test_a_model_may_squeeze_its_output():
    class Squeezed(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 1)

        def forward(self, x):
            return self.layer(x).squeeze()

    inputs, targets = torch.randn(6, 3), torch.randn(6)
    model = Squeezed()
    with torch.no_grad():
        expected = 0.5 * (model(inputs) - targets).square().mean()
    torch.testing.assert_close(ls.Problem(model, (inputs, targets), loss="mse").loss(), expected)
