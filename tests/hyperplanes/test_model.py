"""A hyperplane's model: the network at W₀ + Pθ, trained in θ alone by any optimiser."""

import copy

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import parameters_to_vector, vector_to_parameters

import landscope as ls
from tests.reference import dense
from tests.reference.networks import CASES, function_logits, function_parameters


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def relative_error(measured, reference):
    """Of numbers that may have a graph behind them."""
    return dense.relative_error(measured.detach(), reference.detach())


def hyperplane_of(name, dim=5, seed=3, kind="dense", **options):
    case = CASES[name]
    problem = ls.Problem(case.model(), case.data(), loss=case.loss, **options)
    return ls.AffineHyperplane(problem, dim=dim, kind=kind, seed=seed)


def at(hyperplane, theta):
    """A hyperplane's model at θ."""
    model = hyperplane.model()
    with torch.no_grad():
        model.theta.copy_(theta)
    return model


def plain(name, weights):
    """The network itself with these weights, trained in the plain way."""
    network = CASES[name].model()
    vector_to_parameters(weights, network.parameters())
    return network


def some_loss(output):
    """Of any output: smooth, and without symmetries."""
    generator = torch.Generator().manual_seed(2)
    return (output * torch.randn(output.shape, generator=generator).double()).sin().sum()


def step(model, optimizer, x, y):
    optimizer.zero_grad()
    cross_entropy(model(x), y).backward()
    optimizer.step()


def states(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


@pytest.mark.parametrize("name", CASES)
def test_output_and_gradient_on_every_network(name):
    hyperplane, (x, _) = hyperplane_of(name), CASES[name].data()
    theta = normal(5)
    model = at(hyperplane, theta)
    P, W0 = hyperplane.basis.to_dense(), parameters_to_vector(CASES[name].model().parameters())
    network = plain(name, W0.detach() + P @ theta)
    output, expected = model(x), network(x)
    assert relative_error(output, expected) < 1e-13
    some_loss(output).backward()
    some_loss(expected).backward()
    gradient = torch.cat(
        [
            (torch.zeros_like(p) if p.grad is None else p.grad).reshape(-1)
            for p in network.parameters()
        ]
    )
    assert relative_error(model.theta.grad, P.T @ gradient) < 1e-12


@pytest.mark.parametrize("kind", ["gaussian", "sparse", "fastfood"])
def test_output_and_gradient_in_every_kind(kind):
    hyperplane, (x, y) = hyperplane_of("mlp", kind=kind), CASES["mlp"].data()
    theta = normal(5)
    model = at(hyperplane, theta)
    cross_entropy(model(x), y).backward()
    assert relative_error(model.weights(), hyperplane.point(theta)) < 1e-14
    assert relative_error(model(x), plain("mlp", hyperplane.point(theta))(x)) < 1e-14
    assert relative_error(model.theta.grad, hyperplane.gradient(theta)) < 1e-12


@pytest.mark.parametrize("name", CASES)
def test_theta_is_the_only_parameter(name):
    model = hyperplane_of(name).model()
    (only,) = model.named_parameters()
    assert only[0] == "theta"
    assert torch.equal(model.theta, torch.zeros(5, dtype=torch.float64))
    buffers = {f"module.{name}" for name, _ in CASES[name].model().named_buffers()}
    assert set(model.state_dict()) == {"theta", "_extra_state"} | buffers


def test_float32_and_named_inputs():
    hyperplane, (x, _) = hyperplane_of("mlp", dtype=torch.float32), CASES["mlp"].data()
    model = at(hyperplane, normal(5))
    output = model(input=x.float())
    assert output.dtype == model.theta.dtype == torch.float32
    expected = plain("mlp", hyperplane_of("mlp").point(normal(5)))(x)
    assert relative_error(output, expected) < 1e-5


def test_it_works_without_gradients():
    hyperplane, (x, _) = hyperplane_of("mlp"), CASES["mlp"].data()
    model = hyperplane.model()
    with torch.no_grad():
        output = model(x)
    assert not output.requires_grad
    assert torch.equal(output, CASES["mlp"].model()(x))


def test_a_second_derivative_is_right_or_refused():
    # A penalty on ‖∂L/∂θ‖² must not be dropped without a word.
    hyperplane, (x, y) = hyperplane_of("mlp"), CASES["mlp"].data()
    theta = normal(5)
    model = at(hyperplane, theta)
    loss = cross_entropy(model(x), y)
    try:
        (gradient,) = torch.autograd.grad(loss, model.theta, create_graph=True)
        (loss + gradient.square().sum()).backward()
    except RuntimeError:
        return
    H = ls.Projected(ls.Hessian(hyperplane.at(theta)), hyperplane.basis)
    g = hyperplane.gradient(theta)
    assert relative_error(model.theta.grad, g + 2 * (H @ g)) < 1e-11


@pytest.mark.parametrize("kind", ["dense", "sparse"])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_basis_of_the_whole_space_trains_as_the_weights_do(kind, momentum):
    # θ ↦ W₀ + Pθ is a rotation: SGD, with momentum and with Nesterov's, commutes with it.
    x, y = CASES["mlp"].data()
    hyperplane = hyperplane_of("mlp", dim=118, kind=kind)
    model, network = hyperplane.model(), CASES["mlp"].model()
    options = {"lr": 0.3, "momentum": momentum, "nesterov": momentum > 0}
    in_theta = torch.optim.SGD(model.parameters(), **options)
    in_weights = torch.optim.SGD(network.parameters(), **options)
    for _ in range(15):
        step(model, in_theta, x, y)
        step(network, in_weights, x, y)
    trained = parameters_to_vector(network.parameters()).detach()
    assert relative_error(model.weights(), trained) < 1e-12
    assert float((trained - hyperplane.origin).norm()) > 0.1
    assert relative_error(hyperplane.coordinates(trained), model.theta) < 1e-11


def test_training_stays_in_the_hyperplane():
    x, y = CASES["mlp"].data()
    hyperplane = hyperplane_of("mlp", kind="fastfood")
    model = hyperplane.model()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    before = float(hyperplane.at().loss())
    for _ in range(10):
        step(model, optimizer, x, y)
    moved = model.weights().detach() - hyperplane.origin
    P = hyperplane.basis.to_dense()
    assert relative_error(P @ (P.T @ moved), moved) < 1e-12
    assert float(hyperplane.at(model.theta).loss()) < before


def test_weights_frozen_or_not_selected_stay():
    case = CASES["mlp"]
    x, y = case.data()
    network = case.model()
    network[2].requires_grad_(False)
    selections = {
        "frozen": ls.Problem(network, (x, y)),
        "selected": ls.Problem(case.model(), (x, y), params=["0", "4"]),
    }
    for problem in selections.values():
        hyperplane = ls.AffineHyperplane(problem, dim=5)
        theta = normal(5)
        model = at(hyperplane, theta)
        first, last = (hyperplane.origin + hyperplane.basis.to_dense() @ theta).split([42, 28])
        expected = case.model()
        vector_to_parameters(first, expected[0].parameters())
        vector_to_parameters(last, expected[4].parameters())
        assert relative_error(model(x), expected(x)) < 1e-13
        step(model, torch.optim.SGD(model.parameters(), lr=0.5), x, y)
        merged = model.merged()
        kept = case.model()[2].state_dict()
        assert all(torch.equal(merged[2].state_dict()[name], kept[name]) for name in kept)
        assert not torch.equal(merged[0].weight, case.model()[0].weight)


def test_tied_weights_stay_tied():
    x, y = CASES["tied"].data()
    hyperplane = hyperplane_of("tied")
    model = hyperplane.model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for _ in range(3):
        step(model, optimizer, x, y)
    merged = model.merged()
    assert merged.head.weight is merged.embedding.weight
    assert torch.equal(merged(x), model(x))
    assert relative_error(merged(x), plain("tied", hyperplane.point(model.theta))(x)) < 1e-13
    assert not torch.equal(merged.head.weight, CASES["tied"].model().head.weight)


def test_a_frozen_tied_weight():
    network = CASES["tied"].model()
    network.head.weight.requires_grad_(False)
    x, y = CASES["tied"].data()
    hyperplane = ls.AffineHyperplane(ls.Problem(network, (x, y)), dim=4)
    model = at(hyperplane, normal(4))
    expected = CASES["tied"].model()
    vector_to_parameters(hyperplane.point(normal(4)), expected.hidden.parameters())
    assert relative_error(model(x), expected(x)) < 1e-13
    assert relative_error(model.merged()(x), expected(x)) < 1e-13


def test_an_lstm_after_other_passes_over_it():
    # An LSTM keeps a list of its weights, which a pass with others put in replaces.
    x, y = CASES["lstm"].data()
    hyperplane = hyperplane_of("lstm")
    hyperplane.gradient()
    model = hyperplane.model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for _ in range(3):
        step(model, optimizer, x, y)
        hyperplane.curvature("gauss_newton", theta=model.theta)
    expected = plain("lstm", hyperplane.point(model.theta))(x)
    assert relative_error(model(x), expected) < 1e-13
    assert relative_error(model.merged()(x), expected) < 1e-13
    assert relative_error(hyperplane.model()(x), CASES["lstm"].model()(x)) < 1e-13


def test_batch_norm_in_training_updates_its_buffers():
    x, _ = CASES["batch_norm"].data()
    hyperplane = hyperplane_of("batch_norm")
    P, theta = hyperplane.basis.to_dense(), normal(5)
    model = at(hyperplane, theta).train()
    network = plain("batch_norm", hyperplane.origin + P @ theta).train()
    before = states(model)
    for batch in (x[:6], x[4:]):
        output, expected = model(batch), network(batch)
        assert relative_error(output, expected) < 1e-13
    expected_state = network.state_dict()
    names = [name for name, _ in network.named_buffers()]
    assert len(names) == 6
    for name in names:
        assert relative_error(model.state_dict()[f"module.{name}"], expected_state[name]) < 1e-13
        assert not torch.equal(model.state_dict()[f"module.{name}"], before[f"module.{name}"])
    assert relative_error(model.eval()(x), network.eval()(x)) < 1e-13
    # Statistics are the model's own: neither the problem's nor another model's.
    fresh = CASES["batch_norm"].model()
    assert torch.equal(hyperplane.model().module[1].running_mean, fresh[1].running_mean)
    assert torch.equal(hyperplane.problem.state()["1.running_mean"], fresh[1].running_mean)


def with_dropout():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        net = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 4))
        net[1].running_mean.normal_()
    return net.double().eval()


@pytest.mark.parametrize("mode", ["as built", "train", "eval"])
def test_merged_is_in_the_mode_of_the_model(mode):
    x, y = CASES["mlp"].data()
    model = at(ls.AffineHyperplane(ls.Problem(with_dropout(), (x, y)), dim=4), normal(4))
    if mode != "as built":
        model.train(mode == "train")
    merged = model.merged()
    assert [part.training for part in merged.modules()] == [
        part.training for part in model.module.modules()
    ]
    torch.manual_seed(0)
    output = model(x)
    torch.manual_seed(0)
    assert torch.equal(merged(x), output)


@pytest.mark.parametrize("name", CASES)
def test_merged_is_an_ordinary_module(name):
    x, _ = CASES[name].data()
    hyperplane = hyperplane_of(name)
    model = at(hyperplane, normal(5)).eval()
    before, origin = states(model), CASES[name].model()
    merged = model.merged()
    assert type(merged) is type(origin)
    assert [n for n, _ in merged.named_parameters()] == [n for n, _ in origin.named_parameters()]
    assert all(parameter.is_leaf for parameter in merged.parameters())
    assert relative_error(merged(x), model(x)) < 1e-14
    merged.load_state_dict(merged.state_dict())
    # It trains on its own, and nothing else follows.
    optimizer = torch.optim.SGD(merged.parameters(), lr=0.1)
    some_loss(merged(x)).backward()
    optimizer.step()
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert torch.equal(hyperplane.point(), parameters_to_vector(origin.parameters()))
    assert relative_error(model(x), plain(name, hyperplane.point(normal(5)))(x)) < 1e-13


def test_merged_takes_the_statistics_along():
    x, _ = CASES["batch_norm"].data()
    model = at(hyperplane_of("batch_norm"), normal(5)).train()
    model(x)
    model.eval()
    merged = model.merged()
    assert torch.equal(merged[1].running_mean, model.module[1].running_mean)
    assert torch.equal(merged(x), model(x))
    merged.train()(x)  # its statistics are its own
    assert not torch.equal(merged[1].running_mean, model.module[1].running_mean)


def test_a_copy_lives_on_its_own():
    x, y = CASES["tied"].data()
    model = at(hyperplane_of("tied"), normal(5))
    model(x).sum().backward()
    twin = copy.deepcopy(model)
    assert torch.equal(twin(x), model(x))
    expected = model(x).detach()
    step(twin, torch.optim.SGD(twin.parameters(), lr=1.0), x, y)
    assert torch.equal(model(x), expected)
    assert not torch.equal(twin(x), expected)


def through_safetensors(state, folder):
    save_file(state, folder / "state.safetensors")
    return load_file(folder / "state.safetensors")


def through_torch(state, folder):
    torch.save(state, folder / "state.pt")
    return torch.load(folder / "state.pt", weights_only=True)


@pytest.mark.parametrize("kind", ["dense", "gaussian", "sparse", "fastfood"])
@pytest.mark.parametrize("through", [through_safetensors, through_torch])
def test_training_goes_on_from_a_saved_state_bit_for_bit(tmp_path, through, kind):
    x, y = CASES["batch_norm"].data()

    def fresh():
        model = hyperplane_of("batch_norm", kind=kind).model().train()
        return model, torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    model, optimizer = fresh()
    for _ in range(2):
        step(model, optimizer, x, y)
    saved = through(model.state_dict(), tmp_path)
    torch.save(optimizer.state_dict(), tmp_path / "optimizer.pt")
    other, its_optimizer = fresh()
    other.load_state_dict(saved)
    its_optimizer.load_state_dict(torch.load(tmp_path / "optimizer.pt", weights_only=True))
    assert torch.equal(other.eval()(x), model.eval()(x))
    model.train()
    other.train()
    for _ in range(5):
        step(model, optimizer, x, y)
        step(other, its_optimizer, x, y)
    assert all(torch.equal(states(model)[n], value) for n, value in states(other).items())
    assert not torch.equal(saved["theta"], model.theta)


def other_states():
    """Models whose θ has the same shape and another meaning."""
    case = CASES["mlp"]
    problem = ls.Problem(case.model(), case.data())
    vectors = torch.linalg.qr(normal(118, 5)).Q
    return {
        "another seed": ls.AffineHyperplane(problem, dim=5, seed=4),
        "another kind": ls.AffineHyperplane(problem, dim=5, seed=3, kind="sparse"),
        "another origin": ls.AffineHyperplane(problem, dim=5, seed=3, origin=normal(118)),
        "given vectors": ls.AffineHyperplane(problem, vectors=vectors),
    }


@pytest.mark.parametrize(
    "which", ["another seed", "another kind", "another origin", "given vectors"]
)
def test_a_state_of_another_hyperplane_is_refused(which):
    other = at(other_states()[which], normal(5))
    model = at(hyperplane_of("mlp"), torch.ones(5))
    with pytest.raises(ValueError, match=r"the state is of the hyperplane .*; this one is"):
        model.load_state_dict(other.state_dict())


def test_a_state_over_other_frozen_weights_is_refused():
    # W₀ is more than what moves: the same θ gives another network.
    case = CASES["mlp"]
    other = case.model()
    with torch.no_grad():
        other[0].weight.add_(1.0)
    heads = [
        ls.AffineHyperplane(ls.Problem(network, case.data(), params=["4"]), dim=5).model()
        for network in (case.model(), other)
    ]
    with pytest.raises(ValueError, match="the state is of the hyperplane"):
        heads[1].load_state_dict(heads[0].state_dict())


def test_a_state_that_is_refused_changes_nothing():
    model = at(hyperplane_of("mlp"), torch.ones(5))
    with pytest.raises(ValueError, match="the state is of the hyperplane"):
        model.load_state_dict(at(hyperplane_of("mlp", seed=4), normal(5)).state_dict())
    assert torch.equal(model.theta, torch.ones(5, dtype=torch.float64))


def test_a_state_of_another_dimension_is_refused():
    state = hyperplane_of("mlp", dim=6).model().state_dict()
    model = hyperplane_of("mlp", dim=5).model()
    with pytest.raises((ValueError, RuntimeError), match=r'"dim": 6|size mismatch'):
        model.load_state_dict(state)


def test_given_vectors_are_known_again():
    problem = hyperplane_of("mlp").problem
    vectors = torch.linalg.qr(normal(118, 5)).Q
    model = at(ls.AffineHyperplane(problem, vectors=vectors), normal(5))
    again = ls.AffineHyperplane(problem, vectors=vectors.clone()).model()
    again.load_state_dict(model.state_dict())
    assert torch.equal(again.theta, model.theta)
    turned = ls.AffineHyperplane(problem, vectors=vectors.flip(1)).model()
    with pytest.raises(ValueError, match="the state is of the hyperplane"):
        turned.load_state_dict(model.state_dict())


def test_a_function_as_model_is_refused():
    x, y = normal(9, 4), torch.arange(9) % 3
    problem = ls.Problem(function_logits, (x, y), params=function_parameters())
    hyperplane = ls.AffineHyperplane(problem, dim=4)
    with pytest.raises(TypeError, match=r"problem has a function as its model; .* nn\.Module"):
        hyperplane.model()
