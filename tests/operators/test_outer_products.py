"""Tiled sums of outer products against the whole product."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from landscope.operators import outer_products
from landscope.operators.outer_products import add_outer_product, add_rank_one_gram, fill_lower


@given(n=st.integers(1, 23), p=st.integers(0, 9), tile=st.integers(1, 25), strip=st.integers(1, 25))
def test_any_tiles(n, p, tile, strip):
    kept = outer_products.TILE, outer_products.STRIP
    outer_products.TILE, outer_products.STRIP = tile, strip
    try:
        factor = torch.randn(n, p, dtype=torch.float64, generator=torch.Generator().manual_seed(n))
        total = torch.zeros(n, n, dtype=torch.float64)
        add_outer_product(total, factor)
        assert torch.allclose(total.triu(), (factor @ factor.T).triu(), rtol=0, atol=1e-13)
        assert torch.allclose(fill_lower(total), factor @ factor.T, rtol=0, atol=1e-13)
    finally:
        outer_products.TILE, outer_products.STRIP = kept


@given(N=st.integers(1, 7), K=st.integers(1, 3), tile=st.integers(1, 9))
def test_rank_one_rows(N, K, tile):
    outer_products.TILE, kept = tile, outer_products.TILE
    try:
        generator = torch.Generator().manual_seed(N)
        x = torch.randn(N, 4, dtype=torch.float64, generator=generator)
        g = torch.randn(N, K, 5, dtype=torch.float64, generator=generator)
        rows = torch.einsum("nko,ni->nkoi", g, x).reshape(N * K, -1)
        total = torch.zeros(N * K, N * K, dtype=torch.float64)
        add_rank_one_gram(total, x, g)
        assert torch.allclose(total.triu(), (rows @ rows.T).triu(), rtol=0, atol=1e-12)
    finally:
        outer_products.TILE = kept


@given(depth=st.integers(1, 50), seed=st.integers(0, 99))
def test_single_precision_is_added_up_in_double(depth, seed):
    outer_products.DEPTH, kept = depth, outer_products.DEPTH
    try:
        factor = torch.randn(4, 40, generator=torch.Generator().manual_seed(seed))
        total = torch.zeros(4, 4, dtype=torch.float64)
        add_outer_product(total, factor)
        exact = factor.double() @ factor.double().T
        assert float((total - exact).triu().abs().max()) < 1e-6 * float(exact.diagonal().max())
    finally:
        outer_products.DEPTH = kept
