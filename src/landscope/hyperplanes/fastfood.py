"""A structured basis: blocks of randomised Hadamard transforms, in O(D log d)."""

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int8
from torch import Tensor

from landscope.hyperplanes.basis import Basis, rounding, wide
from landscope.hyperplanes.seeding import generator_of
from landscope.hyperplanes.walsh_hadamard import walsh_hadamard

_SMALLEST_BLOCK = 64
_ENTRIES_AT_ONCE = 2**18


class FastfoodBasis(Basis):
    r"""Blocks U_b = H S H S H S of random signs S, one above the other: exactly orthonormal.

    Parameters
    ----------
    num_params, dim : int
        D and d; the order n of a block, the power of two from d on, must not exceed D.
    seed : int
        Of the signs, three for each weight.
    dtype, device
        Of P.

    Raises
    ------
    ValueError
        If n > D.

    Notes
    -----
    Fastfood [1]_ stacks blocks of Hadamard transforms with diagonal Gaussians between them; with
    signs alone [2]_ each block is orthogonal, so that m blocks have VᵀV = mI. D is seldom a
    multiple of n: of a last block only r rows U_r are left, and

    .. math:: V^⊤V = mI + U_r^⊤U_r, \qquad P = V (V^⊤V)^{-1/2} E_d,

    has orthonormal columns, with E_d the first d coordinates of R^n and

    .. math:: (V^⊤V)^{-1/2} = m^{-1/2}\Big[I + \Big(\sqrt{\tfrac{m}{m+1}} − 1\Big)U_r^⊤U_r\Big].

    Where blocks begin is drawn at random, so that all weights are alike in the mean.

    References
    ----------
    .. [1] Q. Le, T. Sarlos and A. Smola, "Fastfood: approximating kernel expansions in loglinear
       time" (2013), arXiv:1408.3060.
    .. [2] F. X. Yu et al., "Orthogonal random features" (2016), arXiv:1610.09072.

    Examples
    --------
    >>> P = FastfoodBasis(1000, 5, seed=0, dtype=torch.float64, device=torch.device("cpu"))
    >>> (P.T @ P.to_dense()).round(decimals=12).diagonal().tolist()
    [1.0, 1.0, 1.0, 1.0, 1.0]
    """

    def __init__(
        self, num_params: int, dim: int, seed: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        super().__init__((num_params, dim), dtype, device)
        n = _block_order(num_params, dim)
        if n > num_params:
            raise ValueError(
                f"dim is {dim}; a fastfood basis has blocks of {n} rows, more than the "
                f"{num_params} parameters: take the kind dense"
            )
        self._whole, self._rows_left = divmod(num_params, n)
        blocks = self._whole + (self._rows_left > 0)
        generator = generator_of(seed)
        signs = torch.randint(0, 2, (blocks, 3, n), generator=generator, dtype=torch.int8)
        self._signs = signs.mul_(2).sub_(1).to(device)
        self._shift = int(torch.randint(num_params, (), generator=generator))
        self.orthonormality_bound = rounding(dtype)

    def matmat(self, V: Float[Tensor, "n k"]) -> Float[Tensor, "m k"]:
        """P Θ."""
        n, k = self._signs.shape[2], V.shape[1]
        padded = V.new_zeros(k, n)
        padded[:, : self.shape[1]] = V.T
        x = self._balanced(padded)
        out = V.new_empty(k, self.shape[0])
        for some in self._stretches(k):
            mixed = _mixed(x[:, None, :], self._signs[some]).reshape(k, -1)
            for rows, weights in self._places(some):
                out[:, weights] = mixed[:, rows]
        return out.T

    def rmatmat(self, U: Float[Tensor, "m k"]) -> Float[Tensor, "n k"]:
        """Pᵀ U."""
        n, k = self._signs.shape[2], U.shape[1]
        sums = torch.zeros(k, n, dtype=wide(self.device, self.dtype), device=self.device)
        for some in self._stretches(k):
            y = U.new_zeros(k, (some.stop - some.start) * n)
            for rows, weights in self._places(some):
                y[:, rows] = U[weights].T
            unmixed = _unmixed(y.view(k, -1, n), self._signs[some])
            sums += unmixed.sum(1, dtype=sums.dtype)
        return self._balanced(sums.to(self.dtype))[:, : self.shape[1]].T

    def _places(self, some: slice) -> Iterator[tuple[slice, slice]]:
        """Rows of these blocks and the weights they are for: the first follows the last."""
        D, n = self.shape[0], self._signs.shape[2]
        count = min(some.stop * n, D) - some.start * n
        start = (some.start * n + self._shift) % D
        before = min(count, D - start)
        yield slice(0, before), slice(start, start + before)
        yield slice(before, count), slice(0, count - before)

    def _balanced(self, x: Float[Tensor, "k N"]) -> Float[Tensor, "k N"]:
        """(VᵀV)^{-1/2} x, which weighs what the last, incomplete block sees."""
        m, r = self._whole, self._rows_left
        if r:
            seen = _mixed(x, self._signs[-1])
            seen[:, r:] = 0
            x = x + ((m / (m + 1)) ** 0.5 - 1) * _unmixed(seen, self._signs[-1])
        return x / m**0.5

    def _stretches(self, count: int) -> Iterator[slice]:
        """Blocks, as many at a time as stay in the cache."""
        blocks, _, n = self._signs.shape
        step = max(1, _ENTRIES_AT_ONCE // (count * n))
        return (slice(start, min(start + step, blocks)) for start in range(0, blocks, step))


def _block_order(num_params: int, dim: int) -> int:
    """The power of two from d on; at least 64, where there are as many weights."""
    least = min(_SMALLEST_BLOCK, 2 ** (num_params.bit_length() - 1))
    return int(max(2 ** (dim - 1).bit_length(), least))


def _mixed(x: Float[Tensor, "... n"], signs: Int8[Tensor, "... 3 n"]) -> Float[Tensor, "... n"]:
    """H S H S H S x."""
    for place in range(3):
        x = walsh_hadamard(x * signs[..., place, :])
    return x


def _unmixed(y: Float[Tensor, "... n"], signs: Int8[Tensor, "... 3 n"]) -> Float[Tensor, "... n"]:
    """S H S H S H y, the inverse."""
    for place in reversed(range(3)):
        y = walsh_hadamard(y) * signs[..., place, :]
    return y
