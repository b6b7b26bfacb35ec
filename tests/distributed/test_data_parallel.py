"""Problems whose data are spread over processes, against one process with all of them."""

import copy
from contextlib import contextmanager
from unittest import mock

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import nn

import landscope as ls
from landscope.distributed import RankError
from tests.distributed.processes import FailedProcessError, on_ranks

SIZES = (1, 2, 4)
CUTS = {1: [40], 2: [27, 13], 4: [17, 3, 12, 8]}
"""How many of 40 examples each process has where their numbers differ."""


def setting(dtype=torch.float64):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4)).to(dtype)
    inputs = torch.randn(40, 6, dtype=dtype)
    return model, inputs, torch.randint(4, (40,))


def problem_of(group, split, dtype=torch.float64, **options):
    """The same problem in one process (group None), or its data cut evenly or unevenly."""
    model, inputs, targets = setting(dtype)
    options = {"weight_decay": 0.01, "batch_size": 16} | options
    if group is None:
        return ls.Problem(model, (inputs, targets), **options)
    if split == "equal":
        return ls.Problem(model, (inputs, targets), group=group, shard=True, **options)
    lengths = CUTS[dist.get_world_size(group)]
    mine = dist.get_rank(group)
    own = [part.split(lengths)[mine] for part in (inputs, targets)]
    return ls.Problem(model, tuple(own), group=group, **options)


def as_numbers(found):
    """All tensors and floats of a result, by name."""
    numbers = {}
    for name, value in vars(found).items():
        if isinstance(value, torch.Tensor):
            numbers[name] = value.double().numpy()
        elif isinstance(value, int | float):
            numbers[name] = float(value)
            if isinstance(value, ls.Estimate):
                numbers[f"{name}_stderr"] = value.stderr
    return numbers


def products(group, split):
    p = problem_of(group, split)
    generator = torch.Generator().manual_seed(1)
    V = torch.randn(p.num_params, 3, generator=generator, dtype=torch.float64)
    u = torch.randn(160, generator=generator, dtype=torch.float64)
    operators = {
        name: getattr(ls, name)(p)
        for name in ("Hessian", "GaussNewton", "LogitCurvature", "EmpiricalFisher")
    }
    found = {"loss": p.loss(), "gradient": p.gradient(), "logits": p.logits()}
    found |= {f"{name} v": A @ V[:, 0] for name, A in operators.items()}
    found |= {f"{name} V": A @ V for name, A in operators.items()}
    J, K = ls.LogitJacobian(p), ls.TangentKernel(p)
    found |= {"J v": J @ V[:, 0], "J V": J @ V, "Jᵀ u": J.T @ u, "K u": K @ u}
    found |= {"J": J.to_dense(), "targets": p.targets()}
    assert (p.num_examples, p.normalizer) == (40, 40)
    return {name: value.double().numpy() for name, value in found.items()}


def spectra(group, split):
    p = problem_of(group, split, batch_size=40)
    H, G = ls.Hessian(p), ls.GaussNewton(p)
    top = ls.eigsh(H, k=2, tol=1e-10)
    both = ls.eigsh(H, k=2, which="BE", tol=1e-10)
    density = ls.spectral_density(H, num_probes=2, num_steps=8)
    deflated = ls.spectral_density(G, num_probes=1, num_steps=8, deflate="converged")
    traces = ls.block_traces(G, num_probes=4)
    return {
        "values": top.values.numpy(),
        "space": (top.vectors @ top.vectors.T).numpy(),
        "both ends": both.values.numpy(),
        "density": density.density.numpy(),
        "stderr": density.stderr.numpy(),
        "moments": np.array(
            [float((density.nodes**n * density.weights).sum()) for n in range(1, 5)]
        ),
        "deflated": deflated.density.numpy(),
        "trace": float(ls.trace(H, num_probes=6)),
        "hutch++": float(ls.trace(H, num_probes=6, method="hutch++")),
        "norm": float(ls.frobenius_norm(H, num_probes=6)),
        "diagonal": ls.diagonal(H, num_probes=4).values.double().numpy(),
        "blocks": np.array([float(t) for t in traces.values()]),
        "gram": ls.gram_spectrum(p).numpy(),
        "low rank": ls.low_rank_spectrum(p, 2, tol=1e-10).remainder,
    }


def geometry(group, split):
    p = problem_of(group, split, weight_decay=0.0)
    found = {}
    found |= as_numbers(ls.logit_clustering(p))
    found |= as_numbers(ls.logit_clustering(p, logits=[0, 2]))
    one_layer = ls.logit_clustering(p, memory_limit=2 * 8 * 16 * 20)  # layer after layer
    found |= {f"by layers: {name}": value for name, value in as_numbers(one_layer).items()}
    found |= as_numbers(ls.class_probabilities(p))
    p = problem_of(group, split, weight_decay=0.0, batch_size=40)
    for measured in (
        ls.curvature(p, k=2, tol=1e-7),
        ls.gradient_overlap(p, k=2, tol=1e-10),
        ls.hessian_split(p, k=2, tol=1e-7),
        ls.tangent_kernel(p),
        ls.class_decomposition(p),
    ):
        numbers = as_numbers(measured)
        found |= {f"{type(measured).__name__}: {name}": x for name, x in numbers.items()}
    fit = ls.fit_random_model(p)
    found["fit"] = np.array([fit.model.sigma_c, fit.model.sigma_e, fit.model.sigma_z])
    # Signs of vectors, and the step at which a search has converged, are what rounding decides.
    undecided = ("vectors", "num_products")
    return {name: np.abs(x) for name, x in found.items() if not name.endswith(undecided)}


CASES = [(1, "equal"), (2, "unequal"), (4, "equal"), (4, "unequal")]
SOME = [
    pytest.param(*case, marks=[] if case == (2, "unequal") else pytest.mark.slow) for case in CASES
]


def assert_those_of_one_process(measure, size, split):
    expected = measure(None, split)
    for found in on_ranks(size, measure, split):
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            scale = max(float(np.max(np.nan_to_num(np.abs(value)), initial=0)), 1e-3)
            np.testing.assert_allclose(
                found[name], value, rtol=1e-8, atol=1e-10 * scale, err_msg=name
            )


@pytest.mark.parametrize(("size", "split"), [*SOME[:3], CASES[3]])
def test_every_product_is_that_of_one_process(size, split):
    assert_those_of_one_process(products, size, split)


@pytest.mark.parametrize(("size", "split"), SOME)
@pytest.mark.parametrize("measure", [spectra, geometry])
def test_every_number_is_that_of_one_process(measure, size, split):
    assert_those_of_one_process(measure, size, split)


def _in_float32(group, split):
    p = problem_of(group, split, dtype=torch.float32)
    top = ls.eigsh(ls.Hessian(p), k=3, tol=1e-5)
    return {"gradient": p.gradient().numpy(), "values": top.values.numpy()}


@pytest.mark.slow
def test_in_float32_to_its_rounding():
    expected = _in_float32(None, "equal")
    for found in on_ranks(4, _in_float32, "unequal"):
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-6, err_msg=name)


def _sharded(group, split):
    p = problem_of(group, split, batch_size=40)
    H = ls.Sharded(ls.Hessian(p)) if group else ls.Hessian(p)
    joined = H.ranks.joined if group else lambda vectors, dim: vectors
    top = ls.eigsh(H, k=2, tol=1e-10)
    density = ls.spectral_density(H, num_probes=2, num_steps=8)
    if group:
        assert len(top.vectors) == H.columns == H.space.local_dim
    vectors = joined(top.vectors, dim=p.num_params)
    return {
        "values": top.values.numpy(),
        "space": (vectors @ vectors.T).numpy(),
        "density": density.density.numpy(),
        "trace": float(ls.trace(H, num_probes=6)),
        "norm": float(ls.frobenius_norm(H, num_probes=6)),
    }


@pytest.mark.parametrize(("size", "split"), SOME)
def test_vectors_in_chunks(size, split):
    expected = _sharded(None, split)
    for found in on_ranks(size, _sharded, split):
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, rtol=1e-8, atol=1e-10, err_msg=name)


@contextmanager
def counted():
    """Bytes of each collective, by its name."""
    calls = []

    def count(name, position):
        real = getattr(dist, name)

        def call(*arguments, **options):
            calls.append((name, arguments[position].nbytes))
            return real(*arguments, **options)

        return mock.patch.object(dist, name, call)

    with (
        count("all_reduce", 0),
        count("broadcast", 0),
        count("all_gather_into_tensor", 0),
        count("reduce_scatter_tensor", 1),
        mock.patch.object(dist, "all_gather_object", side_effect=AssertionError),
    ):
        yield calls


def _communication(group):
    p = problem_of(group, "equal")
    H = ls.Hessian(p)
    v = torch.ones(p.num_params, dtype=torch.float64)
    V = torch.ones(p.num_params, 3, dtype=torch.float64)
    S = ls.Sharded(H)
    acts = {
        "loss": p.loss,
        "gradient": p.gradient,
        "product": lambda: H @ v,
        "block": lambda: H @ V,
        "chunk": lambda: S @ v[S.held],
    }
    found = {}
    for name, act in acts.items():
        with counted() as calls:
            act()
        found[name] = calls
    return p.num_params, found


@pytest.mark.parametrize("size", SIZES)
def test_one_fused_all_reduce_for_each_product(size):
    """Not one for each parameter or batch; the number that failed goes along."""
    for D, found in on_ranks(size, _communication):
        padded = size * -(-D // size)
        assert found == {
            "loss": [("all_reduce", 8 * 2)],
            "gradient": [("all_reduce", 8 * (D + 1))],
            "product": [("all_reduce", 8 * (D + 1))],
            "block": [("all_reduce", 8 * (3 * D + 1))],
            "chunk": [
                ("all_gather_into_tensor", 8 * padded),
                ("reduce_scatter_tensor", 8 * (padded + size)),
            ],
        }


def _alone(group):
    """Rank 0 measures what is its own, while the others do nothing."""
    if dist.get_rank(group) > 0:
        return None
    with counted() as calls:
        top = ls.eigsh(ls.Hessian(problem_of(None, "")), k=2)
        assert ls.measure(problem_of(None, ""), parts=["clustering"])
    return calls, top.values.numpy()


def test_without_a_group_nothing_communicates():
    (calls, values), *others = on_ranks(2, _alone)
    assert calls == []
    assert others == [None]
    np.testing.assert_allclose(values, ls.eigsh(ls.Hessian(problem_of(None, "")), k=2).values)


def _tokens(group, whole):
    """Ragged batches with ignored targets: the loss terms are what counts."""
    torch.manual_seed(1)
    model = nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 5)).double()
    batches = []
    for count, length in ((2, 4), (1, 6), (3, 2)):
        tokens = torch.randint(5, (count, length))
        targets = tokens.roll(1, 1).masked_fill(torch.rand(count, length) < 0.3, -100)
        batches.append((tokens, targets))

    def forward(model, batch):
        return model(batch[0]), batch[1]

    data = batches if whole else batches[:2] if dist.get_rank(group) == 0 else batches[2:]
    p = ls.Problem(model, data, forward=forward, group=group, shard=whole and group is not None)
    v = torch.ones(p.num_params, dtype=torch.float64)
    return p.num_examples, p.loss().item(), (ls.Hessian(p) @ v).numpy()


@pytest.mark.parametrize("whole", [True, False])
def test_sums_count_loss_terms_whatever_the_batches(whole):
    N, loss, product = _tokens(None, True)
    for found in on_ranks(2, _tokens, whole):
        assert found[0] == N
        np.testing.assert_allclose(found[1], loss, rtol=1e-12)
        np.testing.assert_allclose(found[2], product, atol=1e-12)


def _split_afterwards(group):
    alone = problem_of(None, "")
    p = alone.across(group)
    assert alone.ranks is None
    return p.num_examples, p.loss().item(), len(p.local.targets()), p.at(p.gradient()).loss().item()


def test_a_problem_is_split_over_a_group_afterwards():
    p = problem_of(None, "")
    for rank, (N, loss, own, moved) in enumerate(on_ranks(4, _split_afterwards)):
        assert (N, own) == (40, 10), rank
        np.testing.assert_allclose([loss, moved], [p.loss(), p.at(p.gradient()).loss()], rtol=1e-12)


# --- errors ---------------------------------------------------------------------------------------


def _broken(group, how):
    rank = dist.get_rank(group)
    model, inputs, targets = setting()
    data = (inputs, targets)
    if how == "no data" and rank == 2:
        data = (inputs[:0], targets[:0])
    if how == "too many ranks":
        return ls.Problem(model, (inputs[:3], targets[:3]), group=group, shard=True)
    if how == "labels" and rank == 1:
        data = (inputs, targets + 7)
    if how == "weights" and rank == 3:
        model = copy.deepcopy(model)
        with torch.no_grad():
            model[0].bias += 0.1
    p = ls.Problem(model, data, group=group)
    if how == "clustering" and rank == 1:
        p.batch_logits = mock.Mock(side_effect=FloatingPointError("rank 1 overflows"))
    H = ls.Hessian(p)
    if how == "product" and rank == 1:
        H.share = mock.Mock(side_effect=FloatingPointError("rank 1 overflows"))
    H @ p.gradient()
    return ls.class_probabilities(p)


@pytest.mark.parametrize(
    ("how", "failed", "said"),
    [
        ("no data", [2], "rank 2 of 4 failed: ValueError: data is empty"),
        ("too many ranks", [0], "rank 0 of 4 failed: ValueError: data is empty"),
        ("labels", [1], "rank 1 of 4 failed: ValueError: data"),
        ("product", [1], "rank 1 of 4 failed: FloatingPointError: rank 1 overflows"),
        ("clustering", [1], "rank 1 of 4 failed: FloatingPointError: rank 1 overflows"),
    ],
)
def test_one_rank_that_fails_ends_all_with_an_error_that_names_it(how, failed, said):
    with pytest.raises(FailedProcessError) as caught:
        on_ranks(4, _broken, how)
    assert sorted(caught.value.errors) == [0, 1, 2, 3]
    for error in caught.value.errors.values():
        assert isinstance(error, RankError)
        assert error.ranks == failed
        assert str(error).startswith(said)


def test_other_weights_on_a_rank_are_refused():
    with pytest.raises(FailedProcessError) as caught:
        on_ranks(4, _broken, "weights")
    for error in caught.value.errors.values():
        assert str(error).startswith("model has weights of norm")
        assert "on rank 3" in str(error)


def _coupled(group):
    model, inputs, targets = setting()
    options = {"batch_statistics": True, "group": group, "shard": True}
    with pytest.raises(ValueError, match="batch_statistics is True with a group of processes"):
        ls.Problem(model, (inputs, targets), **options)


def test_batch_statistics_and_a_group_exclude_each_other():
    on_ranks(2, _coupled)


def _in_one_process(group):
    problem = problem_of(group, "equal")
    said = []
    for call in (ls.goldilocks, ls.intrinsic_dimension):
        with pytest.raises(
            ValueError, match="runs in one: give a Problem without a group"
        ) as error:
            call(problem)
        said.append(str(error.value))
    return said


def test_what_trains_in_one_process_says_so():
    for said in on_ranks(2, _in_one_process):
        assert "group of 2 processes; goldilocks runs" in said[0]
        assert "intrinsic_dimension runs" in said[1]


def test_sharded_needs_an_operator_of_a_group():
    problem = problem_of(None, "")
    with pytest.raises(ValueError, match=r"without a group; give Problem\(\.\.\., group="):
        ls.Sharded(ls.Hessian(problem))
    with pytest.raises(ValueError, match="shard is True without a group"):
        ls.Problem(*setting()[:1], setting()[1:], shard=True)
