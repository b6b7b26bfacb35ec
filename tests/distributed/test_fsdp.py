"""Models under FSDP2: sharded ones by finite differences, gathered ones exactly."""

import copy
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest
import torch
from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.nn import functional as F

import landscope as ls
from landscope.distributed import RankError
from landscope.problem.unsharded import unsharded
from tests.distributed.processes import SIZES, on_ranks
from tests.distributed.sharded_models import (
    differentiate_twice,
    held,
    joined,
    perceptron,
    points,
    sentences,
    shard,
    transformer,
)


def _own(data, group):
    """Unequal shards of data: half of the rest for each process, all of the rest for the last."""
    rank, size = group.rank(), group.size()
    count = len(data[0])
    start = count - count // 2**rank
    stop = count - count // 2 ** (rank + 1) if rank < size - 1 else count
    return tuple(part[start:stop] for part in data)


MODELS = {"perceptron": (perceptron, points), "transformer": (transformer, sentences)}
LOSS = {
    "perceptron": lambda: nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 0.5])),
    "transformer": lambda: "cross_entropy",
}


# --- loss and gradient ----------------------------------------------------------------------------


def _first_order(group, name, split):
    build, data = MODELS[name]
    model, data = shard(build(), group), data()
    problem = ls.ShardedProblem(
        model, data if split else _own(data, group), LOSS[name](), batch_size=4, shard=split,
        weight_decay=0.1,
    )  # fmt: skip
    assert repr(problem).startswith(f"ShardedProblem({problem.num_params:,} parameters, ")
    gradient, weights = problem.gradient(), problem.parameters_vector()
    assert len(gradient) == problem.local_params == problem.space.local_dim
    return {
        "counts": (problem.num_params, problem.num_examples, problem.num_classes),
        "loss": problem.loss(),
        "moved": problem.at(0.5 * weights).loss(),
        "gradient": (problem.shards.ranges, gradient),
        "weights": (problem.shards.ranges, weights),
    }


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("size", SIZES)
def test_loss_and_gradient_are_those_of_one_process(size, name, split):
    build, data = MODELS[name]
    whole = ls.Problem(build(), data(), LOSS[name](), weight_decay=0.1)
    found = on_ranks(size, _first_order, name, split)
    for here in found:
        assert here["counts"] == (whole.num_params, whole.num_examples, whole.num_classes)
        torch.testing.assert_close(here["loss"], whole.loss(), rtol=1e-12, atol=0)
        moved = whole.at(0.5 * whole.parameters_vector()).loss()
        torch.testing.assert_close(here["moved"], moved, rtol=1e-12, atol=0)
    assert torch.equal(joined([here["weights"] for here in found]), whole.parameters_vector())
    gradient = joined([here["gradient"] for here in found])
    torch.testing.assert_close(gradient, whole.gradient(), rtol=1e-10, atol=1e-15)


def _divided(group):
    """FSDP told to divide sums of gradients by another number."""
    model = shard(perceptron(), group)
    model.set_gradient_divide_factor(3.0)
    problem = ls.ShardedProblem(model, points(), shard=True)
    return problem.shards.ranges, problem.gradient()


def test_gradients_do_not_depend_on_what_fsdp_divides_by():
    gradient = joined(on_ranks(2, _divided))
    exact = ls.Problem(perceptron(), points()).gradient()
    torch.testing.assert_close(gradient, exact, rtol=1e-10, atol=1e-15)


# --- products by finite differences ---------------------------------------------------------------


def _products(group, dtype, width, scale, lengths):
    """True and stated errors along several directions, and the products along one."""
    model = perceptron(dtype, width, scale)
    data = points(dtype)
    gradient, exact = differentiate_twice(
        copy.deepcopy(model).double(), (data[0].double(), data[1])
    )
    problem = ls.ShardedProblem(shard(model, group), data, shard=True)
    H, space = ls.FiniteDifferenceHessian(problem), problem.space
    random = torch.randn(len(gradient), generator=torch.Generator().manual_seed(5))
    sharp = exact(exact(random.double()))
    errors = []
    for direction in (random.double(), sharp, gradient):
        for length in lengths:
            v = (length / direction.norm() * direction).to(dtype)
            true = held(problem, exact(v.double()))
            error = space.norms(((H @ held(problem, v)).double() - true)[:, None])
            size = space.norms(true[:, None])
            errors.append((float(error / size), H.error_bound(held(problem, v))))
    v = held(problem, random.to(dtype))
    block = H @ torch.stack([v, torch.zeros_like(v), 2 * v], dim=1)
    return errors, block, str(H.explain())


@pytest.mark.parametrize(
    ("dtype", "width", "scale", "lengths"),
    [
        (torch.float32, 7, 1.0, (1e-3, 1e3)),
        pytest.param(torch.float32, 400, 0.1, (1.0,), marks=pytest.mark.slow),
        pytest.param(torch.float32, 400, 1.0, (1e-3, 1e3), marks=pytest.mark.slow),
        (torch.float32, 400, 10.0, (1.0,)),
        (torch.float64, 7, 1.0, (1e-3, 1e3)),
        pytest.param(torch.float64, 400, 10.0, (1.0,), marks=pytest.mark.slow),
    ],
)
def test_products_are_as_exact_as_they_say(dtype, width, scale, lengths):
    for errors, block, sentence in on_ranks(2, _products, dtype, width, scale, lengths):
        for error, bound in errors:
            assert error <= bound
            if scale <= 1:
                assert bound < (1e-2 if dtype == torch.float32 else 1e-7)
        assert torch.equal(block[:, 1], torch.zeros_like(block[:, 1]))
        torch.testing.assert_close(block[:, 2], 2 * block[:, 0])
        assert sentence.startswith("central differences over ±")


def _mixed(group):
    """Forward passes in bfloat16: the step is longer, and the error that is stated larger."""
    model, data = perceptron(torch.float32), points(torch.float32)
    exact = ls.Hessian(ls.Problem(copy.deepcopy(model), data, dtype=torch.float64))
    policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    problem = ls.ShardedProblem(shard(model, group, mp_policy=policy), data, shard=True)
    H = ls.FiniteDifferenceHessian(problem)
    v = ls.eigsh(exact, k=1).vectors[:, 0].float()
    true = held(problem, exact @ v.double())
    error = problem.space.norms(((H @ held(problem, v)).double() - true)[:, None])
    size = float(problem.space.norms(true[:, None]))
    return problem.rounding, float(error) / size, H.error_bound(held(problem, v)), H.step


def test_mixed_precision_takes_a_longer_step_and_says_so():
    for rounding, error, bound, step in on_ranks(2, _mixed):
        assert rounding == torch.finfo(torch.bfloat16).eps
        assert error <= bound
        assert step > 0.02


def _spectra(group):
    problem = ls.ShardedProblem(shard(perceptron(), group), points(), shard=True, weight_decay=0.1)
    H = ls.FiniteDifferenceHessian(problem)
    top = ls.eigsh(H, k=1, tol=1e-6)
    density = ls.spectral_density(H, num_probes=1, num_steps=6, deflate=0)
    return {
        "values": top.values,
        "converged": top.converged,
        "bound": max(H.error_bound(v) for v in top.vectors.T),
        "density": (density.nodes, density.weights),
        "trace": float(ls.trace(H, num_probes=6)),
        "norm": float(ls.frobenius_norm(H, num_probes=6)),
    }


@pytest.mark.parametrize("size", SIZES)
def test_spectra_are_those_of_one_process(size):
    exact = ls.Hessian(ls.Problem(perceptron(), points(), weight_decay=0.1))
    top = ls.eigsh(exact, k=1, tol=1e-6)
    density = ls.spectral_density(exact, num_probes=1, num_steps=6, deflate=0)
    trace, norm = ls.trace(exact, num_probes=6), ls.frobenius_norm(exact, num_probes=6)
    for here in on_ranks(size, _spectra):
        assert here["converged"]
        assert here["bound"] < 1e-8
        torch.testing.assert_close(
            here["values"], top.values, rtol=2 * here["bound"] + 1e-11, atol=0
        )
        nodes, weights = here["density"]
        for power in (1, 2, 3, 4):
            moment = (weights * nodes**power).sum()
            expected = (density.weights * density.nodes**power).sum()
            torch.testing.assert_close(moment, expected, rtol=1e-7, atol=0)
        assert here["trace"] == pytest.approx(float(trace), rel=1e-7)
        assert here["norm"] == pytest.approx(float(norm), rel=1e-7)


def _float32_transformer(group):
    problem = ls.ShardedProblem(shard(transformer(torch.float32), group), sentences(), shard=True)
    H = ls.FiniteDifferenceHessian(problem)
    top = ls.eigsh(H, k=1, tol=1e-3)
    return top.values, H.error_bound(top.vectors[:, 0]), top.converged


def test_a_float32_transformer_within_its_stated_error():
    exact = ls.Hessian(ls.Problem(transformer(), sentences()))
    value = ls.eigsh(exact, k=1, tol=1e-4).values  # its error is of second order
    for found, bound, converged in on_ranks(2, _float32_transformer):
        assert converged
        assert bound < 1e-3
        torch.testing.assert_close(found, value, rtol=bound + 1e-5, atol=0)


# --- gathered on each process ---------------------------------------------------------------------


def _gathered(group, name):
    build, data = MODELS[name]
    data = data()
    plain, model = build(), shard(build(), group)
    with torch.no_grad():
        model(data[0])  # leaves gathered parameters registered at the root
    copied = unsharded(model)
    assert [type(m) for m in copied.modules()] == [type(m) for m in plain.modules()]
    assert list(copied.state_dict()) == list(plain.state_dict())
    for (name_here, here), there in zip(copied.named_parameters(), plain.parameters(), strict=True):
        assert type(here) is nn.Parameter, name_here
        assert torch.equal(here, there)
    for module in copied.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
        assert not module._load_state_dict_post_hooks
    torch.testing.assert_close(copied(data[0]), plain(data[0]), rtol=1e-12, atol=1e-12)
    with torch.no_grad():
        next(copied.parameters()).zero_()
    torch.testing.assert_close(model(data[0]), plain(data[0]), rtol=1e-12, atol=1e-12)
    F.cross_entropy(model(data[0]).flatten(0, -2), data[1].flatten()).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("size", SIZES)
def test_an_unsharded_copy_is_the_plain_model(size, name):
    on_ranks(size, _gathered, name)


class _Doubled(nn.Linear):
    """A module with hooks of its own, which names another one, as FSDP's classes are dynamic."""

    def __init__(self):
        super().__init__(3, 3)
        self.register_forward_hook(lambda module, inputs, output: 2 * output)


def _with_hooks(group):
    torch.manual_seed(0)
    plain = nn.Sequential(_Doubled(), nn.BatchNorm1d(3), nn.Sequential(_Doubled())).eval()
    model = shard(copy.deepcopy(plain), group)
    x = torch.randn(4, 3)
    assert torch.equal(unsharded(model)(x), plain(x))
    assert unsharded(plain) is plain


def test_hooks_and_buffers_of_the_user_are_kept():
    on_ranks(2, _with_hooks)


def _exact(group):
    model = shard(perceptron(), group)
    problem = ls.Problem(model, _own(points(), group), group=group)
    H = ls.Hessian(problem)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(0.5)
    return _measured(problem, H), problem.at(model).loss()


def _measured(problem, H):
    density = ls.spectral_density(H, num_probes=2, num_steps=6)
    clustering = ls.logit_clustering(problem)
    return {
        "eigenvalues": ls.eigsh(H, k=2, tol=1e-7).values,
        "gradient": problem.gradient(),
        "moments": torch.stack([density.nodes**n @ density.weights for n in range(1, 5)]),
        "trace": torch.tensor(float(ls.trace(H, num_probes=6)), dtype=torch.float64),
        "clustering": torch.tensor(
            [clustering.q_slsc, clustering.q_sl, clustering.q_dl], dtype=torch.float64
        ),
        "table": clustering.table,
    }


@pytest.mark.parametrize("size", SIZES)
def test_gathered_models_have_exact_products(size):
    whole = ls.Problem(perceptron(), points())
    expected = _measured(whole, ls.Hessian(whole))
    halved = whole.at(0.5 * whole.parameters_vector()).loss()
    for found, loss in on_ranks(size, _exact):
        for name, value in expected.items():
            scale = 1e-10 * float(value.abs().nan_to_num().max())
            torch.testing.assert_close(
                found[name], value, rtol=1e-10, atol=scale, equal_nan=True, msg=name
            )
        torch.testing.assert_close(loss, halved, rtol=1e-12, atol=0)


def _second_derivatives(group):
    model, (x, y) = shard(perceptron(), group), points()
    F.cross_entropy(model(x), y).backward(create_graph=True)
    return any(parameter.grad.requires_grad for parameter in model.parameters())


@pytest.mark.filterwarnings("ignore:Using backward")
def test_fsdp_has_no_second_derivatives():
    """Why there are finite differences at all: its gradients have no graph."""
    assert on_ranks(2, _second_derivatives) == [False, False]


# --- the user's model is left as it was -----------------------------------------------------------


def _trained(group, measured):
    torch.manual_seed(4)
    model = perceptron(torch.float32)
    model.append(nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(0.3)))
    model = shard(model, group)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)
    x, y = points(torch.float32)
    problem = None

    def measure():
        nonlocal problem
        if not measured:
            return
        before = [(m, m.training) for m in model.modules()]
        model[4].eval()
        problem = problem or ls.ShardedProblem(model, (x, y), shard=True, batch_size=8)
        here = problem.at(model)
        H = ls.FiniteDifferenceHessian(here, step=0.01)
        here.loss(), H @ here.gradient()
        for module, training in before:
            module.train(training)

    for _ in range(2):
        measure()
        F.cross_entropy(model(x), y).backward()
        measure()  # gradients that were not used so far are kept
        optimizer.step()
        optimizer.zero_grad()
    model.reshard()
    weights = [parameter.detach().to_local().clone() for parameter in model.parameters()]
    return weights, [value.clone() for value in model.buffers()], [torch.random.get_rng_state()]


@pytest.mark.parametrize("size", SIZES)
def test_training_goes_on_bit_for_bit(size):
    for with_it, without in zip(
        on_ranks(size, _trained, True), on_ranks(size, _trained, False), strict=True
    ):
        for here, there in zip(with_it, without, strict=True):
            for one, other in zip(here, there, strict=True):
                assert torch.equal(one, other)


class _Fails(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        raise ValueError("no way back")


def _failing(group, where):
    model, (x, y) = shard(perceptron(), group), points()
    fails = False

    def forward(model, batch):
        if fails and where == "outside":
            raise ValueError("no such batch")
        z = model(batch[0])
        return (_Fails.apply(z) if fails and where == "backward" else z), batch[1]

    def hook(module, inputs):
        if fails and where == "inside":
            raise ValueError("no such layer")

    model[2][2].register_forward_pre_hook(hook)
    problem = ls.ShardedProblem(model, (x, y), forward=forward, shard=True, batch_size=3)
    before, weights = problem.gradient(), problem.parameters_vector()
    fails = group.rank() == 1
    with pytest.raises(RankError) as caught:
        problem.at(2 * weights).gradient()
    fails = False
    assert torch.equal(problem.at(model).parameters_vector(), weights)
    assert torch.equal(problem.gradient(), before)  # nobody is left behind in a collective
    return str(caught.value)


@pytest.mark.parametrize(
    ("where", "why"),
    [("outside", "no such batch"), ("inside", "no such layer"), ("backward", "no way back")],
)
@pytest.mark.parametrize("size", SIZES[1:])
def test_a_rank_that_fails_in_a_pass_ends_all(size, where, why):
    for message in on_ranks(size, _failing, where):
        assert message == f"rank 1 of {size} failed: ValueError: {why}"


def _bad_data(group, what):
    x, y = points()
    if group.rank() == 1:
        x, y = {"label": (x, y + 1), "nan": (x * torch.nan, y), "none": (x[:0], y[:0])}[what]
    with pytest.raises(RankError) as caught:
        ls.ShardedProblem(shard(perceptron(), group), (x, y))
    return str(caught.value)


@pytest.mark.parametrize(
    ("what", "why"),
    [("label", "data has the label 3"), ("nan", "data has NaN"), ("none", "data is empty")],
)
def test_what_cannot_be_measured_on_one_rank_is_refused_on_all(what, why):
    for message in on_ranks(2, _bad_data, what):
        assert message.startswith("rank 1 of 2 failed: ")
        assert why in message


# --- what is refused ------------------------------------------------------------------------------


def _refused(group, what):
    from torch.distributed.tensor.parallel import ColwiseParallel, parallelize_module

    mesh, data = DeviceMesh.from_group(group, "cpu"), points()
    model = perceptron()
    if what == "blocks":
        fully_shard(model[2], mesh=mesh)
    elif what == "tensor":
        parallelize_module(model, mesh, {"0": ColwiseParallel()})
    elif what == "columns":
        from torch.distributed.tensor import Shard

        fully_shard(model[2][0], mesh=mesh, shard_placement_fn=lambda p: Shard(p.ndim - 1))
        fully_shard(model, mesh=mesh)
    elif what == "accumulating":
        shard(model, group).set_requires_gradient_sync(False)
    elif what == "half":
        shard(model.half(), group)
    with pytest.raises((TypeError, ValueError)) as caught:
        ls.ShardedProblem(model, data)
    said = [str(caught.value)]
    if what == "tensor":
        with pytest.raises(ValueError) as caught:
            ls.Problem(model, data)
        said.append(str(caught.value))
    return said


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("plain", "model is not sharded: no parameter was cut by fully_shard; call Problem("),
        ("blocks", "model has the parameter '0.weight', which is whole on each process"),
        ("tensor", "model has the DTensor parameter '0.weight' placed (Shard(dim=0),)"),
        ("accumulating", "model accumulates gradients without summing them over processes"),
        ("half", "model has the parameter '0.weight' in torch.float16"),
    ],
)
def test_other_models_are_refused(what, why):
    for sentences_of_one in on_ranks(2, _refused, what):
        for sentence in sentences_of_one:
            assert sentence.startswith(why)


def _replicated(group):
    """Rows over two processes, replicated over two: gathered, but not measured in place."""
    mesh = torch.distributed.init_device_mesh("cpu", (2, 2), mesh_dim_names=("copies", "rows"))
    plain = perceptron()
    model = fully_shard(copy.deepcopy(plain), mesh=mesh)
    x = points()[0]
    assert torch.equal(unsharded(model)(x), plain(x))
    with pytest.raises(ValueError) as caught:
        ls.ShardedProblem(model, points())
    return str(caught.value)


def test_replicated_shards_are_gathered_but_not_measured_in_place():
    for sentence in on_ranks(4, _replicated):
        assert "parameter '0.weight' placed (Replicate(), Shard(dim=0))" in sentence


def _arguments(group):
    model, data = shard(perceptron(), group), points()
    problem = ls.ShardedProblem(model, data)
    for wrong, why in (
        (lambda: problem.at(torch.zeros(3)), "where is (3,)"),
        (lambda: problem.at(perceptron()), "where is another model"),
        (lambda: ls.FiniteDifferenceHessian(problem, step=-1.0), "step is -1.0"),
    ):
        with pytest.raises((TypeError, ValueError)) as caught:
            wrong()
        assert str(caught.value).startswith(why)
    fixed = ls.FiniteDifferenceHessian(problem, step=0.01)
    assert fixed.step == 0.01


def test_bad_arguments_are_refused():
    on_ranks(1, _arguments)


@pytest.mark.slow
def test_a_killed_rank_ends_a_pass_long_before_the_timeout(tmp_path):
    script = tmp_path / "ranks.py"
    script.write_text(
        textwrap.dedent("""
        import sys
        from datetime import timedelta
        import torch, torch.distributed as dist, landscope as ls
        from landscope.distributed import RankError
        from tests.distributed.sharded_models import perceptron, points, shard
        torch.set_num_threads(1)
        rank = int(sys.argv[1])
        dist.init_process_group("gloo", init_method="file://" + sys.argv[2], rank=rank,
                                world_size=3, timeout=timedelta(minutes=10))
        problem = ls.ShardedProblem(shard(perceptron(), dist.group.WORLD), points(), shard=True)
        problem.gradient()
        print("ready", flush=True)
        try:
            while True:
                problem.gradient()
        except RankError as error:
            print(error, flush=True)
            sys.stdin.readline()
        """)
    )
    processes = [
        subprocess.Popen(
            [sys.executable, str(script), str(rank), str(tmp_path / "store")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        for rank in range(3)
    ]  # fmt: skip
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    killed = time.monotonic()
    processes[1].send_signal(signal.SIGKILL)
    for rank in (0, 2):
        assert processes[rank].stdout.readline().startswith("rank 1 of 3 was lost: ")
    assert time.monotonic() - killed < 120  # the timeout is 600 s
    for process in processes:
        process.kill()
        process.wait()
