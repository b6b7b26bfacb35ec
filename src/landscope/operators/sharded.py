"""An operator whose vectors are cut into one chunk for each of several processes."""

from jaxtyping import Float
from torch import Tensor

from landscope.distributed import Shards
from landscope.linalg.sharded import ShardedSpace
from landscope.operators.curvature_operator import CurvatureOperator
from landscope.operators.linear_operator import LinearOperator


class Sharded(LinearOperator):
    """The same D × D map on chunks: each process holds ⌈D/ranks⌉ entries of every vector.

    A Krylov basis then takes 1/ranks of its memory on each process, and orthogonalising 1/ranks of
    its time; a product still has one whole vector and one whole image on each of them.

    Parameters
    ----------
    operator : Hessian, GaussNewton, LogitCurvature or EmpiricalFisher
        Of a problem with a `group`.

    Attributes
    ----------
    space : ShardedSpace
        Where its vectors lie, and which entries of them are here.

    Raises
    ------
    TypeError
        For any other operator.
    ValueError
        For a problem without a group.

    Notes
    -----
    One product is one all-gather of v and one reduce-scatter of the sums of all processes: together
    as many bytes as the all-reduce that the operator itself takes.

    Examples
    --------
    >>> import tempfile, torch, torch.distributed as dist, landscope as ls
    >>> where = "file://" + tempfile.mktemp()
    >>> dist.init_process_group("gloo", init_method=where, rank=0, world_size=1)
    >>> data = (torch.eye(2), torch.tensor([0, 1]))
    >>> problem = ls.Problem(torch.nn.Linear(2, 2), data, group=dist.group.WORLD)
    >>> top = ls.eigsh(ls.Sharded(ls.Hessian(problem)), k=1)
    >>> top.vectors.shape  # of one process
    torch.Size([6, 1])
    >>> dist.destroy_process_group()
    """

    def __init__(self, operator: CurvatureOperator) -> None:
        if not isinstance(operator, CurvatureOperator):
            raise TypeError(
                f"operator is a {type(operator).__name__}; it must be the Hessian, GaussNewton, "
                "LogitCurvature or EmpiricalFisher of a problem"
            )
        ranks = operator.ranks
        if ranks is None:
            raise ValueError(
                f"operator is a {type(operator).__name__} of a problem without a group; give "
                "Problem(..., group=dist.group.WORLD)"
            )
        super().__init__(operator.shape, operator.dtype, operator.device)
        self.operator, self.ranks, self.parts = operator, ranks, (operator,)
        self.symmetric, self.psd = operator.symmetric, operator.psd
        self.held = ranks.chunk(operator.shape[0])
        shards = Shards.of_vector(operator.shape[0], ranks)
        self._space = ShardedSpace(shards, self.dtype, self.device, ranks)

    @property
    def space(self) -> ShardedSpace:
        """Where its vectors lie."""
        return self._space

    @property
    def columns(self) -> int:
        """Length of the chunks here."""
        return self.held.stop - self.held.start

    def fingerprint(self) -> str:
        """That of the operator itself."""
        return self.operator.fingerprint()

    def matvec(self, v: Float[Tensor, " n"]) -> Float[Tensor, " m"]:
        """A chunk of A v from the chunk of v that this process holds."""
        return self._product(v)

    def matmat(self, V: Float[Tensor, "n k"]) -> Float[Tensor, "m k"]:
        """A chunk of A V from the chunk of V that this process holds."""
        return self._product(V)

    def _product(self, chunk: Float[Tensor, "n *k"]) -> Float[Tensor, "n *k"]:
        A, ranks = self.operator, self._space.ranks
        whole = ranks.joined(chunk, dim=self.shape[0])
        share = ranks.scattered_sum(lambda: A.share(whole), like=whole)
        return share.add_(chunk, alpha=A.ridge) if A.ridge else share
