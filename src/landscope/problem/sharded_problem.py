"""A sharded model, a loss and data at one point of weight space, where no process holds it all."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from landscope.distributed import Ranks
from landscope.identity import changed_by_training, structure
from landscope.linalg.sharded import ShardedSpace
from landscope.problem import checks
from landscope.problem.batch import Batch, unit
from landscope.problem.data import as_batches, num_rows, rows
from landscope.problem.fingerprint import (
    Fingerprinted,
    data_digest,
    loss_digest,
    model_digest,
    tensors_digest,
)
from landscope.problem.forward import Forward, default_forward, unwrapped
from landscope.problem.fully_sharded import FullySharded
from landscope.problem.losses import (
    CrossEntropy,
    LossArgument,
    check_derivatives,
    describe_outputs,
    moved,
    normalizer,
    read_outputs,
    resolve_loss,
    total,
)
from landscope.problem.measuring import measuring
from landscope.problem.network import floating_to, methods_called_by
from landscope.problem.own_loss import find_reading
from landscope.problem.terms import flatten_logits


class ShardedProblem(Fingerprinted):
    """A model that ``fully_shard`` has cut up, a loss and data at one point of weight space.

    For models that no process can hold: parameters and all vectors of weight space stay cut, each
    process keeps its own part. A vector consists of the rows that this process holds of each
    parameter that requires a gradient, flattened, in the model's order. All processes of the mesh
    call the same methods.

    The model is used in place. While a measurement lasts it has the weights of the problem's
    point; afterwards its weights, gradients, buffers and modes are as before, bit by bit, also
    after an error.

    Parameters
    ----------
    model : nn.Module
        On whose blocks, and then on itself, `fully_shard` was called, over a one-dimensional mesh.
    data : pair of tensors, Dataset, re-iterable loader, or list of batches
        This process's own, as for `Problem`. Processes may have different numbers of batches:
        those with fewer take part in the passes of the others with weight 0.
    loss : str, loss of torch.nn, callable (outputs, targets) → values, or an object
        As for `Problem`.
    batch_size : int, optional
        Largest batch that is evaluated at once on each process.
    forward : callable (model, batch) → (logits, targets), optional
        For batches or models of another form.
    weight_decay : float
        λ of the ridge λ/2 ‖W‖², part of loss, gradient and Hessian.
    shard : bool
        Whether ``data`` is the same on all processes, and each takes its part.

    Attributes
    ----------
    ranks : Ranks
        The processes of the model's mesh.
    shards : Shards
        Which rows of each parameter are held here.
    num_examples : int
        N, the number of loss terms of all processes.
    num_classes : int
        C, the number of logits.
    normalizer : float
        What sums over loss terms are divided by.

    Raises
    ------
    TypeError, ValueError
        For a model that is not sharded, or sharded in another way (tensor parallelism, HSDP).
    RankError
        On all processes, where one of them was given what cannot be measured.

    See Also
    --------
    FiniteDifferenceHessian : the Hessian of such a problem.
    Problem : gathers a sharded model whole on each process, and has exact products.

    Examples
    --------
    >>> import tempfile, torch, torch.distributed as dist, landscope as ls
    >>> from torch.distributed.fsdp import fully_shard
    >>> where = "file://" + tempfile.mktemp()
    >>> dist.init_process_group("gloo", init_method=where, rank=0, world_size=1)
    >>> mesh = dist.device_mesh.init_device_mesh("cpu", (1,))
    >>> model = fully_shard(torch.nn.Linear(2, 2), mesh=mesh)
    >>> ls.ShardedProblem(model, (torch.eye(2), torch.tensor([0, 1])))
    ShardedProblem(6 parameters, 2 examples, 2 classes, float32 on cpu, rank 0 of 1)
    >>> dist.destroy_process_group()
    """

    def __init__(
        self,
        model: nn.Module,
        data: Any,
        loss: LossArgument = "cross_entropy",
        *,
        batch_size: int | None = None,
        forward: Forward | None = None,
        weight_decay: float = 0.0,
        shard: bool = False,
    ) -> None:
        self._model = FullySharded(unwrapped(model))
        self.ranks: Ranks = self._model.ranks
        with self.ranks.together():
            self.weight_decay = checks.checked_options(weight_decay, forward)
            checks.check_surroundings()
            checks.check_modes(dict(self._model.module.named_modules()), batch_statistics=False)
            self.shards, self.dtype = self._model.shards, self._model.dtype
            self.device = self._model.device
            self.forward = forward or default_forward
            self.loss_terms = resolve_loss(loss)
            self.loss_terms = moved(self.loss_terms, self.device, self.dtype)
            with self._same_random_numbers():
                data = as_batches(data, batch_size, self.ranks if shard else None)
        self._vector = self._model.vector()
        self._num_passes = int(self.ranks.largest(self._number(len(data))))
        with self._measuring(), torch.no_grad():
            if forward is None and isinstance(self.loss_terms, CrossEntropy):
                self._read_as_own_loss(data[0], must_fit=loss == "cross_entropy")
            self.batches = tuple(self._read(data))
            own_terms = sum(len(batch.targets) for batch in self.batches)
            own_share = sum(normalizer(self.loss_terms, batch.targets) for batch in self.batches)
        self.num_examples = int(self.ranks.total(self._number(own_terms)))
        self.normalizer = float(self.ranks.total(self._number(own_share)))
        if self.num_examples == 0:
            raise ValueError("data has no loss term: every target is ignored")

    def __repr__(self) -> str:
        dtype = str(self.dtype).removeprefix("torch.")
        return (
            f"ShardedProblem({self.num_params:,} parameters, {self.num_examples:,} "
            f"{unit(self.batches)}, {describe_outputs(self.loss_terms, self.num_classes)}, "
            f"{dtype} on {self.device}, "
            f"rank {self.ranks.rank} of {self.ranks.size})"
        )

    @property
    def num_params(self) -> int:
        """D, the dimension of weight space."""
        return self.shards.dim

    @property
    def local_params(self) -> int:
        """d, the entries of each vector that are held here."""
        return self.shards.local_dim

    @property
    def space(self) -> ShardedSpace:
        """Where vectors lie."""
        return ShardedSpace(self.shards, self.dtype, self.device, self.ranks)

    @property
    def rounding(self) -> float:
        """Relative rounding of the coarsest dtype in which FSDP computes: its mixed precision."""
        return max(torch.finfo(dtype).eps for dtype in self._model.compute_dtypes)

    def digest_of(self, part: str) -> str:
        """SHA-256 of a part of the `fingerprint`: as of a `Problem` that is not sharded.

        Of the weights, one parameter after the other is gathered on all processes.
        """
        module, called = self._model.module, methods_called_by(self.forward)
        if part == "model":
            shapes = {shard.name: shard.shape for shard in self.shards.tensors}
            network = [structure(module, called), self.forward]
            return model_digest(network, shapes, self.dtype)
        if part == "loss":
            return loss_digest(self.loss_terms, self.weight_decay)
        if part == "data":
            return data_digest(self.batches, self.loss_terms, self.dtype, self.ranks)
        changing = changed_by_training(module, called) | {s.name for s in self.shards.tensors}
        wanted = [name for name in self._model.names if (name in changing) == (part == "weights")]
        return tensors_digest(self._model.gathered(wanted, self._vector))

    def parameters_vector(self) -> Float[Tensor, " d"]:
        """The part held here of the point of weight space (a copy)."""
        return self._vector.clone()

    def at(self, where: Float[Tensor, " d"] | nn.Module) -> "ShardedProblem":
        """The same problem at other weights.

        Parameters
        ----------
        where : Tensor, shape (d,), or nn.Module
            This process's part of a point of weight space, or the measured model, whose present
            weights are taken.

        Raises
        ------
        ValueError
            For a vector of another length, or another model.
        """
        moved = copy.copy(self)
        if isinstance(where, nn.Module):
            if unwrapped(where) is not self._model.module:
                raise ValueError(
                    "where is another model than the measured one, which is used in place"
                )
            moved._vector = self._model.vector()
            return moved
        if not isinstance(where, Tensor) or where.shape != (self.local_params,):
            came = tuple(where.shape) if isinstance(where, Tensor) else type(where).__name__
            raise ValueError(
                f"where is {came}; it must be this process's part of a vector, a tensor of shape "
                f"({self.local_params},)"
            )
        moved._vector = where.detach().to(self.device, self.dtype).clone()
        return moved

    @torch.no_grad()
    def loss(self) -> Float[Tensor, ""]:
        """Mean loss over the terms of all processes: L = (1/N) Σ_μ L^μ + λ/2 ‖W‖²."""
        total = self._number(0.0)
        with self._measuring():
            for batch, weight in self._passes():
                total += weight * self._sum_of_terms(batch).double()
        total = self.ranks.total(total)
        ridge = 0.5 * self.weight_decay * self.space.norms(self._vector[:, None])[0] ** 2
        return (total / self.normalizer + ridge.to(self.device)).to(self.dtype)

    def gradient(self) -> Float[Tensor, " d"]:
        """The part held here of g = (1/N) Σ_μ ∂L^μ/∂W + λ W, over the terms of all processes."""
        return self.gradient_of_terms() + self.weight_decay * self._vector

    def gradient_of_terms(self) -> Float[Tensor, " d"]:
        """The same without the ridge."""
        wide = torch.float64 if self.device.type == "cpu" else self.dtype
        total = torch.zeros(self.local_params, dtype=wide, device=self.device)
        with self._measuring():
            for batch, weight in self._passes():
                with torch.enable_grad():
                    (weight * self._sum_of_terms(batch)).backward()
                total += self._model.taken_gradient()
        return (total / self.normalizer).to(self.dtype)

    # --- passes through the model, in which all processes take part -------------------------------

    @contextmanager
    def _measuring(self) -> Iterator[None]:
        """The model at this point, and an error on one process ends all."""
        with (
            measuring(),
            self._same_random_numbers(),
            self._model.at(self._vector),
            self.ranks.together(self._model.mesh_device),
        ):
            yield

    def _passes(self) -> Iterator[tuple[Batch, float]]:
        """Batches and their weights: 0 where only other processes have one left."""
        for index in range(self._num_passes):
            own = index < len(self.batches)
            yield self.batches[index if own else 0], float(own)

    def _sum_of_terms(self, batch: Batch) -> Float[Tensor, ""]:
        z, _ = self._logits(batch.data)
        kept = batch.is_term.nonzero()[:, 0].to(z.device)
        targets = floating_to(batch.targets, z.device, z.dtype)
        return total(self.loss_terms, z.index_select(0, kept), targets)

    def _logits(self, data: Any) -> tuple[Float[Tensor, "R C"], Shaped[Tensor, "R ..."]]:
        """Flat logits and targets of some data, by one pass of all processes."""
        return flatten_logits(*self._outputs(data))

    def _outputs(self, data: Any) -> tuple[Float[Tensor, "..."], Shaped[Tensor, "..."]]:
        """Outputs and targets of some data, by one pass of all processes."""
        data = tree_map(lambda x: floating_to(x, self.device, self.dtype), data)
        output = self.forward(self._model.module, data)
        checks.check_forward_output(output)
        return output[0].to(self.dtype), output[1]

    def _read(self, data: list[Any]) -> Iterator[Batch]:
        """Run the model once over the data, refusing what cannot be measured."""
        for index in range(self._num_passes):
            own = index < len(data)
            part = data[index] if own else data[0]
            checks.check_batch_data(part, index)
            output = self._outputs(part)
            z, targets = flatten_logits(*output)
            checks.check_finite_logits(z, index)
            self.loss_terms = read_outputs(self.loss_terms, *output)
            if index == 0:
                self.num_classes = z.shape[1]
                self._check_passes(part, z)
            if not own:
                continue
            batch = Batch.of(part, targets.cpu(), self.loss_terms)
            checks.check_targets(batch.targets, self.loss_terms, self.num_classes, index)
            if index == 0:
                kept = batch.is_term.to(z.device)
                check_derivatives(self.loss_terms, z[kept], targets[kept])
            yield batch

    def _read_as_own_loss(self, data: Any, must_fit: bool) -> None:
        """Read logits and targets as the loss that the model computes itself does."""
        few = tree_map(lambda x: floating_to(x, self.device, self.dtype), rows(data, 0, 2))
        exact = self.rounding < 1e-6  # mixed precision computes no loss twice the same
        run = lambda forward, batch: forward(self._model.module, batch)  # noqa: E731
        self.forward = find_reading(run, few, must_fit and exact) or self.forward

    def _check_passes(self, data: Any, z: Float[Tensor, "R C"]) -> None:
        """Refuse randomness and coupled examples; the same passes on all processes."""
        checks.check_same_logits(z, self._logits(data)[0])
        count = num_rows(data)
        middle = count // 2 or 1
        halves = [rows(data, 0, middle), rows(data, middle, count) if count > 1 else data]
        parts = [self._logits(half)[0] for half in halves]
        if count > 1:
            checks.check_same_in_halves(z, torch.cat(parts))

    def _same_random_numbers(self) -> Any:
        """Leave torch's global generator as it was."""
        return torch.random.fork_rng([self.device] if self.device.type == "cuda" else [])

    def _number(self, value: int | float) -> Float[Tensor, ""]:
        return torch.tensor(value, dtype=torch.float64, device=self._model.mesh_device)
