"""The formulas of docs/scaling.md: cases by hand, limits, and the collectives of real products."""

from dataclasses import replace

import pytest
import torch
from benchmarks.scaling.collectives import Traffic, all_gather, all_reduce, reduce_scatter
from benchmarks.scaling.compared import of_step, traffic
from benchmarks.scaling.counted import counted
from benchmarks.scaling.lanczos import LOCAL_PASSES, Run, density, eigsh
from benchmarks.scaling.machine import H100_NODES
from benchmarks.scaling.plan import STORAGE, plan
from benchmarks.scaling.products import WAYS, Sizes, differences, replicated, sharded
from benchmarks.scaling.transformer import PUBLISHED, Transformer
from benchmarks.scaling.workloads import OPERATORS
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tests.distributed.processes import on_ranks

TINY = Transformer("tiny", 2, 4, 8, 2, 4, 10, tied=True, gated=False)
RANKS = st.integers(1, 2048)
MODELS = st.sampled_from(PUBLISHED)
EVERY_WAY = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


def test_parameters_of_published_models_are_those_of_their_files():
    counts = [1_235_814_400, 6_738_415_616, 70_553_706_496, 405_853_388_800]
    assert [model.num_params for model in PUBLISHED] == counts


def test_a_small_transformer_by_hand():
    block = 4 * 4 * 4 + 2 * 4 * 8  # q, k, v, o of 4 × 4; up and down of 4 × 8
    assert TINY.block == block
    assert TINY.num_params == 10 * 4 + 2 * block + 5 * 4
    # Per token two per weight; per layer 2·3·4 for q·k and as much for the averages of v.
    assert TINY.forward_flops(3, length=3) == 3 * (2 * (40 + 2 * block) + 2 * (24 + 24))


def test_collectives_by_hand():
    assert all_reduce(100, 4) == Traffic(1, 100, 150, 2)
    assert all_gather(100, 4) == reduce_scatter(100, 4) == Traffic(1, 100, 75, 1)
    assert (2 * all_gather(100, 4) + all_reduce(8, 4)).sent == 162


def test_links_and_hops_by_hand():
    machine = replace(H100_NODES, inside=450.0, across=400.0, hop_inside=1.0, hop_across=10.0)
    assert machine.link(8) == 450
    assert machine.link(16) == 400
    assert machine.ring_latency(1) == 0
    assert machine.ring_latency(8) == 7
    assert machine.ring_latency(16) == 14 + 10
    assert machine.tree_latency(1) == 0
    assert machine.tree_latency(16) == 2 * (3 + 10)
    assert Traffic(3, 0, 900, 2).seconds(machine, 8) == 2 + 14


def test_a_lanczos_run_streams_its_basis_twice_for_each_product():
    assert Run("two", 2, 3).streamed() == (2 + LOCAL_PASSES) + (4 + LOCAL_PASSES)
    restarted = Run("two", 2, capacity=4, kept=1)  # full with two: reads both, writes one
    assert restarted.streamed() == 2 + (2 + 1) + 2 + 2 * LOCAL_PASSES
    assert density(10, 80).streamed() == 10 * (80 * 81 + 80 * LOCAL_PASSES)
    assert eigsh(10).capacity == 52


@EVERY_WAY
def test_one_rank_communicates_nothing(way):
    product = way(Sizes(PUBLISHED[0], H100_NODES, ranks=1), 0)
    assert product.traffic == product.step == Traffic()
    assert product.collectives == product.agreements * H100_NODES.tree_latency(1) == 0


def test_exact_products_exchange_as_many_bytes_with_whole_vectors_as_with_chunks():
    sizes = Sizes(PUBLISHED[1], H100_NODES, ranks=64)
    whole, chunks = replicated(sizes).traffic, sharded(sizes).traffic
    assert whole.sent == pytest.approx(2 * 63 / 64 * 4 * 6_738_415_616, rel=1e-8)
    assert chunks.sent == pytest.approx(whole.sent, rel=1e-6)


def test_differences_gather_the_weights_four_times_and_scatter_two_sums():
    sizes = Sizes(PUBLISHED[0], H100_NODES, ranks=1024, sequences=1024)
    weights = 4 * 1_235_814_400
    found = differences(sizes).traffic
    assert found.payload == 6 * weights
    assert found.calls == 6 * 17
    bfloat16 = differences(replace(sizes, factors="bfloat16")).traffic
    assert bfloat16.payload == 4 * weights / 2 + 2 * weights


@given(model=MODELS, ranks=RANKS)
def test_a_basis_in_shards_falls_as_the_number_of_ranks(model, ranks):
    for way in (sharded, differences):
        basis = plan(way, Sizes(model, H100_NODES, ranks), eigsh()).basis
        alone = plan(way, Sizes(model, H100_NODES, 1), eigsh()).basis
        assert alone <= ranks * basis < alone + 52 * 4 * ranks


@given(model=MODELS, ranks=RANKS)
def test_a_whole_basis_does_not(model, ranks):
    assert (
        plan(replicated, Sizes(model, H100_NODES, ranks), eigsh()).basis == 208 * model.num_params
    )


@EVERY_WAY
@given(model=MODELS, ranks=RANKS, more=st.integers(1, 8))
def test_more_ranks_hold_less_and_calculate_less(way, model, ranks, more):
    few, many = (way(Sizes(model, H100_NODES, R), 52) for R in (ranks, more * ranks))
    assert sum(many.memory.values()) <= sum(few.memory.values())
    assert many.arithmetic <= few.arithmetic * (1 + 1e-9)


@EVERY_WAY
@given(model=MODELS, ranks=RANKS, factor=st.integers(1, 8))
def test_more_data_take_longer(way, model, ranks, factor):
    sizes = Sizes(model, H100_NODES, ranks)
    larger = replace(sizes, sequences=factor * sizes.sequences)
    assert way(larger, 52).seconds >= way(sizes, 52).seconds


@given(model=MODELS, ranks=RANKS)
def test_a_basis_elsewhere_spares_the_gpu_and_takes_longer(model, ranks):
    sizes = Sizes(model, H100_NODES, ranks)
    near, host, disk = (plan(sharded, sizes, eigsh(), storage) for storage in STORAGE)
    assert host.on_gpu == disk.on_gpu < near.on_gpu
    assert near.orthogonalisation < host.orthogonalisation < disk.orthogonalisation


def _small():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Sequential(nn.Linear(20, 20, bias=False), nn.Tanh()),
        nn.Sequential(nn.Linear(20, 20, bias=False), nn.Tanh()),
    )
    return model, list(model), (torch.randn(6, 20), torch.randint(20, (6,)))


def _collectives(group, way):
    H = OPERATORS[way](_small, group)
    v = H.space.random(1, torch.Generator().manual_seed(0))[:, 0]
    H @ v
    with counted() as product:
        H @ v
    with counted() as step:
        H.space.basis(1).append(v)
    return len(product.of_vectors), product.payload, product.agreements, step.payload


@pytest.mark.parametrize("way", OPERATORS)
def test_two_ranks_exchange_what_the_formula_says(way):
    row = {"way": way, "workload": "small", "parameters": 800, "ranks": 2, "units": 2}
    expected, step = traffic(row), of_step(row)
    for calls, payload, agreements, of_basis in on_ranks(2, _collectives, way):
        assert (calls, payload) == (expected.calls, expected.payload)
        assert of_basis == step.payload
        if way != "differences":
            assert agreements == 0
