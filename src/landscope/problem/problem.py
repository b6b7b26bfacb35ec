"""A model, a loss and data at one point of weight space."""

import copy
import math
import sys
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Float, Int64, Shaped
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from landscope import arguments as check
from landscope.arguments import shown
from landscope.distributed import Ranks
from landscope.problem import checks
from landscope.problem.batch import Batch, unit
from landscope.problem.batch_logits import BatchLogits
from landscope.problem.data import as_batches, rows, rows_in_batches, split
from landscope.problem.fingerprint import (
    Fingerprinted,
    data_digest,
    loss_digest,
    model_digest,
    tensors_digest,
)
from landscope.problem.forward import Forward, default_forward, unwrapped
from landscope.problem.losses import (
    CrossEntropy,
    LossArgument,
    check_derivatives,
    describe_outputs,
    is_hand_written,
    moved,
    normalizer,
    read_outputs,
    resolve_loss,
    total,
)
from landscope.problem.measuring import measuring
from landscope.problem.named_state import fitted, tied_names
from landscope.problem.network import (
    ChosenLogits,
    FunctionNetwork,
    ModuleNetwork,
    Network,
    OtherHead,
    floating_to,
)
from landscope.problem.objective import Objective, OutputItself
from landscope.problem.own_loss import find_reading
from landscope.problem.parameters import Layout, Selection, select_parameters
from landscope.problem.reverse_mode import gradient_at
from landscope.problem.terms import flatten_logits
from landscope.problem.unsharded import unsharded
from landscope.problem.written_out import padding_rows, shorten_rows

LOGIT_BYTES = 32 * 2**20
"""Logits that exist at a time, where one example has fewer."""

WHEREVER = {"model", "loss", "data"}
"""Parts of the fingerprint that are the same at other weights."""


class Problem(Fingerprinted):
    """A model, a loss and data at one point of weight space.

    Everything the project measures starts here. All sums run over loss terms and are divided by
    their true number, so that how the data are cut into batches never changes a result beyond
    rounding.

    Parameters
    ----------
    model : nn.Module or callable (parameters, inputs) → logits
        Copied, so that the caller's is never changed. A callable needs ``params`` as a mapping of
        names to tensors, its point of weight space.
    data : pair of tensors, Dataset, re-iterable loader, or list of batches
        Batches are (inputs, targets), or mappings with the targets under ``labels``. The data are
        read at construction and kept in host memory in one fixed order.
    loss : str, loss of torch.nn, callable (outputs, targets) → values, or an object
        By name: "cross_entropy", "nll", "mse" (½‖z − y‖² per example, a vector along the last
        axis), "l1", "huber", "smooth_l1", "bce_with_logits", "bce", "kl_div", "poisson_nll",
        "soft_margin", "multilabel_soft_margin". A module of torch is its value on all data as one
        batch with its options, for any reduction the mean (with class weights, over their sum). A
        callable gives a value for each term, or one mean for the batch (see
        `landscope.problem.losses.FunctionLoss`); autograd takes its derivatives. An object gives
        ``terms``, ``gradient`` and ``hessian_vector_product`` (see `landscope.problem.Loss`), which
        are compared with one another.
    objective : callable (model, batch) → (sum, count), or a mean over the batch's examples
        In place of a loss of logits: a number of the whole model and batch (contrastive, preference
        and physics-informed losses, losses of several heads). The loss is Σ sum / Σ count over the
        batches of the data, which are cut only where ``batch_size`` is given: a pair of tensors is
        one batch. Loss, gradient and Hessian are measured; what needs logits (G, R, clustering) is
        refused.
    params : names, predicate on the name, mapping, or None
        The parameters that span weight space: names of parameters or modules, patterns such as
        ``"transformer.h.*.attn"`` included; None takes all that require a gradient.
    batch_size : int, optional
        Largest batch that is evaluated at once.
    device : torch.device, optional
        Where to compute; by default where the model is.
    dtype : torch.dtype, optional
        Floating dtype to compute in; by default the model's own, and float32 for half precision.
    forward : callable (model, batch) → (logits, targets), optional
        For batches or models of another form.
    weight_decay : float
        λ of the ridge λ/2 ‖W‖² over the selected parameters, part of loss, gradient and Hessian.
    batch_statistics : bool
        False: BatchNorm layers normalise with their running statistics (``model.eval()``), as in
        use. True: with those of the data, as in training on one full batch; the examples are then
        coupled, and the data must come in one batch, which is never cut: products take the memory
        of the whole, and what is measured of single examples (clustering) one backward pass for
        each logit of each of them.
    group : torch.distributed.ProcessGroup, optional
        The processes that measure together, such as ``dist.group.WORLD``: each gives its own data,
        and every sum over loss terms runs over those of all, by one all-reduce for each product.
        All processes call the same methods and get the same numbers. None, the default, is local
        even where a group exists, so that one process may measure alone.
    shard : bool
        Whether ``data`` is the same on all processes of ``group``, and each takes its part.

    Raises
    ------
    ValueError, TypeError
        For input that cannot be measured: random or batch-coupled models, data that change
        between passes, labels out of range, non-finite numbers, mixed devices. The sentence names
        the culprit.
    RankError
        On all processes of ``group``, where one of them was given what cannot be measured, or no
        data; it names that one.

    See Also
    --------
    landscope.measure : everything at this point.

    Examples
    --------
    >>> import torch, landscope as ls
    >>> _ = torch.manual_seed(0)
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))
    >>> problem = ls.Problem(model, (torch.randn(20, 4), torch.arange(20) % 3))
    >>> problem
    Problem(67 parameters, 20 examples, 3 classes, float32 on cpu)
    >>> problem.gradient().shape
    torch.Size([67])
    """

    num_examples: int
    """N, the number of loss terms: images, or predicted tokens."""
    num_classes: int
    """C, the number of logits."""
    normalizer: float
    """What sums over loss terms are divided by: N, or the sum of the terms' class weights."""
    rounding: float
    """Relative rounding of the coarsest dtype in which the model computes."""
    _all_batches: tuple[Batch, ...] | None
    own_terms: slice
    """Which of the N loss terms are those of this process's data."""

    def __init__(
        self,
        model: nn.Module | Callable[..., Any],
        data: Any,
        loss: LossArgument = "cross_entropy",
        *,
        objective: Objective | None = None,
        params: Selection | Mapping[str, Tensor] = None,
        batch_size: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        forward: Forward | None = None,
        weight_decay: float = 0.0,
        batch_statistics: bool = False,
        group: dist.ProcessGroup | None = None,
        shard: bool = False,
    ) -> None:
        model = unsharded(unwrapped(model))  # by all processes, before one of them may fail
        self.ranks = None if group is None else Ranks(group)
        if check.flag("shard", shard) and self.ranks is None:
            raise ValueError("shard is True without a group; give group=dist.group.WORLD with it")
        with self.together(), measuring():
            if objective is not None:
                loss, forward = checks.checked_objective(objective, loss, forward)
            self._build(
                model, data, loss, params, batch_size, device, dtype, forward, weight_decay,
                batch_statistics, shard,
            )  # fmt: skip
        self._agree()

    def _build(
        self,
        model: nn.Module | Callable[..., Any],
        data: Any,
        loss: LossArgument,
        params: Selection | Mapping[str, Tensor],
        batch_size: int | None,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
        forward: Forward | None,
        weight_decay: float,
        batch_statistics: bool,
        shard: bool,
    ) -> None:
        """What this process knows alone."""
        self.weight_decay = checks.checked_options(weight_decay, forward)
        self.batch_statistics = check.flag("batch_statistics", batch_statistics)
        self._digests: dict[str, str] = {}
        self.loss_terms = resolve_loss(loss)

        self.forward = forward or default_forward
        checks.check_surroundings()
        if isinstance(model, nn.Module):
            checks.check_modes(dict(model.named_modules()), batch_statistics)
            if isinstance(params, Mapping):
                raise TypeError("params is a mapping; for an nn.Module give names or a predicate")
            parameters: dict[str, Tensor] = dict(model.named_parameters())
            buffers: dict[str, Tensor] = dict(model.named_buffers())
            checks.check_initialized(parameters | buffers)
            selection: Selection = params
            network: ModuleNetwork | FunctionNetwork = ModuleNetwork(
                model, self.forward, batch_statistics
            )
        elif callable(model):
            if not isinstance(params, Mapping):
                raise TypeError(
                    f"params is a {type(params).__name__}; for a function as model it must map "
                    "the names of its parameters to tensors"
                )
            parameters, buffers, selection = {**params}, {}, list(params)
            network = FunctionNetwork(model, self.forward)
        else:
            raise TypeError(
                f"model is a {type(model).__name__}; accepted are an nn.Module and a function "
                "(parameters, inputs) -> logits"
            )

        self._network: Network = network
        if not parameters:
            raise ValueError("model has no parameters; there is no weight space to measure in")
        home = checks.check_one_device(parameters | buffers, "model")
        # "cuda" is the present one: its vectors say which.
        self.device = home if device is None else checks.checked_device(device)
        checks.check_real(parameters)
        selected = select_parameters(parameters, selection)
        self.dtype = _working_dtype(dtype, list(parameters.values()))
        self.loss_terms = moved(self.loss_terms, self.device, self.dtype)

        state = {
            name: floating_to(value.detach(), self.device, self.dtype).clone()
            for name, value in (parameters | buffers).items()
        }
        if isinstance(model, nn.Module):
            state = shorten_rows(model, state)
        self._layout = Layout({name: state[name].shape for name in selected})
        self._vector = self._layout.flatten({name: state.pop(name) for name in selected})
        self.graphs: dict[
            Hashable, Any
        ] = {}  # of products; shared with the problem at other weights
        self._fixed = state
        self._trained = {name for name, value in parameters.items() if value.requires_grad}
        checks.check_finite_state(self._layout.unflatten(self._vector), state)
        # Loaders and random modules draw from torch's global generator: leave it as it was.
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            if self._couples and batch_size is None:
                batch_size = sys.maxsize  # not cut
            before = {name: value._version for name, value in self.state().items()}
            in_batches = as_batches(data, batch_size, self.ranks if shard else None)
            if forward is None and isinstance(network, ModuleNetwork):
                self._read_as_own_loss(network, in_batches[0], loss == "cross_entropy")
            self.batches = tuple(self._read(in_batches))
            network.evaluation.learned()
            checks.check_unchanged(before, self.state())
        self._count()

    def __repr__(self) -> str:
        dtype = str(self.dtype).removeprefix("torch.")
        where = "" if self.ranks is None else f", rank {self.ranks.rank} of {self.ranks.size}"
        return (
            f"Problem({self.num_params:,} parameters, {self.num_examples:,} {unit(self.batches)}, "
            f"{describe_outputs(self.loss_terms, self.num_classes)}, "
            f"{dtype} on {self.device}{where})"
        )

    @property
    def num_params(self) -> int:
        """D, the dimension of weight space."""
        return self._layout.size

    @property
    def has_logits(self) -> bool:
        """Whether the loss is one of logits, and no objective of the whole model."""
        return not isinstance(self.loss_terms, OutputItself)

    @property
    def _couples(self) -> bool:
        """Whether the examples of a batch belong together, so that none is cut."""
        return self.batch_statistics or not self.has_logits

    @property
    def module(self) -> nn.Module | None:
        """The measured module, a copy whose own weights have no part; None for a function."""
        return self._network.module

    def state(self) -> dict[str, Tensor]:
        """All parameters and buffers of the model at this point, by name."""
        return self._layout.unflatten(self._vector) | self._fixed

    def digest_of(self, part: str) -> str:
        """SHA-256 of a part of the `fingerprint`, found once."""
        if part not in self._digests:
            self._digests[part] = self._digest_of(part)
        return self._digests[part]

    def _digest_of(self, part: str) -> str:
        if part == "model":
            shapes, network = self._layout.shapes, self._network.identity()
            return model_digest(network, shapes, self.dtype, self.batch_statistics)
        if part == "loss":
            return loss_digest(self.loss_terms, self.weight_decay)
        if part == "data":
            return data_digest(self.batches, self.loss_terms, self.dtype, self.ranks)
        frozen = self._fixed.keys() - self._trained - self._network.changed_by_training()
        wanted = frozen if part == "frozen" else self.state().keys() - frozen
        return tensors_digest((name, self.state()[name]) for name in wanted)

    def with_head(self, head: nn.Linear, function: Callable[[Tensor], Tensor]) -> "Problem":
        """The same with a function of the features that the last layer takes, in its place."""
        other = copy.copy(self)
        other._network = OtherHead(self._network, head, function)
        other.graphs, other._digests = {}, {}
        return other

    def without_head(self, head: nn.Linear) -> "Problem":
        """The same with the features that the last layer takes in place of the logits."""
        body = self.with_head(head, lambda features: features)
        body.num_classes = head.in_features
        return body

    def with_logits(self, logits: Int64[Tensor, " K"]) -> "Problem":
        """The same with these logits in place of all; the targets stay: it has no loss."""
        some = copy.copy(self)
        some._network = ChosenLogits(self._network, logits.to(self.device))
        some.graphs, some._digests = {}, {}
        some.num_classes = len(logits)
        return some

    def widened(self) -> "Problem":
        """The same in float64, with nothing kept.

        Raises
        ------
        RuntimeError
            If the model computes in one dtype only.
        """
        wide = copy.copy(self)
        wide.dtype, wide.graphs, wide._digests = torch.float64, {}, {}
        wide._vector = self._vector.double()
        wide._fixed = {
            name: floating_to(value, self.device, torch.float64)
            for name, value in self._fixed.items()
        }
        wide.loss_terms = moved(self.loss_terms, self.device, torch.float64)
        example = wide._on_device(next(self.batches[0].pieces(1)).data)
        with torch.no_grad():
            wide.rounding = checks.rounding_of(self._network, wide.state(), example)
        return wide

    def without_padding(self, v: Float[Tensor, " D"], tied: bool = False) -> Float[Tensor, " D"]:
        """A direction with zeros for the rows to which embeddings give no gradient.

        Of weights that another layer uses too, only where ``tied`` says so.
        """
        rows = {} if self.module is None else padding_rows(self.module, tied)
        named = self.unflatten(v.clone())
        if not rows.keys() & named.keys():
            return v
        for name, row in rows.items():
            if name in named:
                named[name][row] = 0
        return self.flatten(named)

    @property
    def weights(self) -> Float[Tensor, " D"]:
        """The point of weight space itself: not a copy, and not to be changed."""
        return self._vector

    def parameters_vector(self) -> Float[Tensor, " D"]:
        """The point of weight space, as one flat vector (a copy)."""
        return self._vector.clone()

    def flatten(self, named: Mapping[str, Tensor]) -> Float[Tensor, " D"]:
        """One flat vector from tensors named as the selected parameters."""
        return self._layout.flatten(named)

    def unflatten(self, vector: Float[Tensor, " D"]) -> dict[str, Tensor]:
        """Named tensors, views into a flat vector.

        Raises
        ------
        ValueError
            When the vector has another length than D.
        """
        return self._layout.unflatten(self._point(vector, "vector"))

    def at(self, where: Float[Tensor, " D"] | nn.Module | Mapping[str, Tensor]) -> "Problem":
        """The same problem at other weights.

        Parameters
        ----------
        where : Tensor, shape (D,), nn.Module, or mapping of names to tensors
            A point of weight space; a model with the same parameters and buffers, whose values
            are copied (the measured model's own mode is kept); or those by name, such as a
            ``state_dict``. In a mapping, buffers and all but one of tied parameters may be
            missing.

        Raises
        ------
        ValueError
            For a vector of another length, other parameters or other shapes, or non-finite
            values.
        """
        checks.check_surroundings()
        moved = copy.copy(self)
        moved._digests = {part: self._digests[part] for part in WHEREVER & self._digests.keys()}
        if isinstance(where, nn.Module | Mapping):
            state = {
                name: floating_to(value.detach(), self.device, self.dtype).clone()
                for name, value in self._named_state(where).items()
            }
            moved._vector = self._layout.flatten({n: state.pop(n) for n in self._layout.shapes})
            moved._fixed = state
        else:
            moved._vector = self._point(where, "where").detach().to(self.device, self.dtype).clone()
        checks.check_finite_state(self._layout.unflatten(moved._vector), moved._fixed)
        return moved

    @measuring()
    @torch.no_grad()
    def loss(self) -> Float[Tensor, ""]:
        """Mean loss over all terms, with its ridge: L = (1/N) Σ_μ L^μ + λ/2 ‖W‖²."""
        w = self._vector

        def total_here() -> Tensor:
            return torch.stack([self.batch_loss(p)(w).double() for _, p in self._pieces()]).sum()

        total = self.over_ranks(total_here, like=w.new_empty((), dtype=torch.float64))
        ridge = 0.5 * self.weight_decay * w.double().square().sum()
        return (total / self.normalizer + ridge).to(self.dtype)

    @measuring()
    def gradient(self) -> Float[Tensor, " D"]:
        """Gradient of the mean loss: g = (1/N) Σ_μ Σ_k (p_k^μ − y_k^μ) J_k^μ + λ W."""
        w = self._vector

        def part() -> Tensor:
            pieces = list(self._pieces())
            sums = (gradient_at(self.batch_loss(piece), w) for _, piece in pieces)
            return self.mean_over_terms(sums, [index for index, _ in pieces])

        return self.over_ranks(part, like=w) + self.weight_decay * w

    @measuring()
    def logits(self) -> Float[Tensor, "N C"]:
        """Logits of every loss term, in the order of the data (of the processes, then theirs)."""
        problem_with_logits(self, "Problem.logits")
        return self.rows_over_ranks(lambda: torch.cat(list(self.logits_in_chunks())))

    @torch.no_grad()
    def logits_in_chunks(self) -> Iterator[Float[Tensor, "n C"]]:
        """The same of this process's data, for some loss terms after the others."""
        for _, piece in self._pieces():
            with measuring():
                z = self.batch_logits(piece)(self._vector)
            yield z

    def targets(self) -> Shaped[Tensor, "N ..."]:
        """Targets of every loss term, in the order of the data."""
        return self.rows_over_ranks(
            lambda: torch.cat([self._on_device(batch.targets) for batch in self.batches])
        )

    def raw_logits(self, data: Any) -> Callable[[Tensor], Float[Tensor, "R C"]]:
        """The function W ↦ flat logits (R, C) of a batch's data, ignored targets included."""
        of_named = self.named_logits(data)
        return lambda w: of_named(self._layout.unflatten(w))

    def named_logits(self, data: Any) -> Callable[[Mapping[str, Tensor]], Float[Tensor, "R C"]]:
        """The same function of named parameters; those not given stay at the problem's point."""
        checks.check_surroundings()
        data = self._on_device(data)
        state = self.state()
        return lambda named: flatten_logits(*self._network(state | dict(named), data))[0]

    def batch_logits(self, batch: Batch) -> Callable[[Tensor], Float[Tensor, "T C"]]:
        """The function W ↦ logits (T, C) of one batch's loss terms."""
        raw = self.raw_logits(batch.data)
        if bool(batch.is_term.all()):
            return raw
        kept = batch.is_term.nonzero()[:, 0].to(self.device)
        return lambda w: raw(w).index_select(0, kept)

    def batch_loss(self, batch: Batch) -> Callable[[Tensor], Float[Tensor, ""]]:
        """The function W ↦ sum of one batch's loss terms."""
        logits, targets = self.batch_logits(batch), self._on_device(batch.targets)
        return lambda w: total(self.loss_terms, logits(w), targets)

    def logits_of(self, batch: Batch) -> BatchLogits:
        """A batch's logits as a function of all the tensors that they depend on."""
        return BatchLogits(
            self._network, self.unflatten(self._vector), self._fixed, self._on_device(batch.data),
            None if bool(batch.is_term.all()) else batch.is_term.nonzero()[:, 0].to(self.device),
        )  # fmt: skip

    def sum_over_batches(
        self, parts: Iterable[Float[Tensor, "*n"]], batch_of_part: Sequence[int] | None = None
    ) -> Float[Tensor, "*n"]:
        """Σ over batches, or parts of batches, of their own sums; in float64 on a CPU.

        Raises
        ------
        NonFiniteError
            Naming the batch and the parameter where a sum is NaN or infinite.
        """
        wide = torch.float64 if self.device.type == "cpu" else self.dtype
        total: Tensor | None = None
        for index, part in enumerate(parts):
            # One pass over the entries; the sum alone may overflow.
            if not bool(part.sum().isfinite()) and not bool(part.isfinite().all()):
                entry = int((~part.isfinite()).nonzero()[0, 0])
                raise checks.NonFiniteError(
                    f"a derivative has NaN or infinity in parameter {self._layout.name_of(entry)!r}"
                    f" on batch {batch_of_part[index] if batch_of_part else index}"
                )
            part = part.detach()
            if total is None:
                total = part  # one part alone needs no wider sum
            else:
                total = total.to(wide) + part if index == 1 else total.add_(part)
        assert total is not None, "a problem has at least one batch"
        return total.to(self.dtype)

    def mean_over_terms(
        self, parts: Iterable[Float[Tensor, "*n"]], batch_of_part: Sequence[int] | None = None
    ) -> Float[Tensor, "*n"]:
        """(1/N) Σ_μ from the sums of batches, or of parts of batches, of this process."""
        return self.sum_over_batches(parts, batch_of_part) / self.normalizer

    # --- several processes ------------------------------------------------------------------------

    def together(self) -> AbstractContextManager[None]:
        """A block of work on this process's data; an error in it ends all processes."""
        return nullcontext() if self.ranks is None else self.ranks.together()

    def over_ranks(
        self, part: Callable[[], Float[Tensor, "*n"]], like: Float[Tensor, "*n"]
    ) -> Float[Tensor, "*n"]:
        """Σ over the processes of the group of what each computes, of the form of ``like``."""
        return part() if self.ranks is None else self.ranks.sum(part, like)

    def rows_over_ranks(self, rows: Callable[[], Shaped[Tensor, "n *k"]]) -> Shaped[Tensor, "N *k"]:
        """Rows of the loss terms of all processes, in the order of the data."""
        return rows() if self.ranks is None else self.ranks.rows(rows)

    def agreed(self, act: Callable[[], Any]) -> Any:
        """What rank 0 finds where processes might decide otherwise: on clocks, files, memory."""
        if self.ranks is None:
            return act()
        return self.ranks.objects(lambda: act() if self.leads else None)[0]

    @property
    def leads(self) -> bool:
        """Whether this process writes what all have measured: rank 0, or the only one."""
        return self.ranks is None or self.ranks.rank == 0

    @property
    def local(self) -> "Problem":
        """The data of this process alone, divided by their own number of loss terms."""
        if self.ranks is None:
            return self
        alone = copy.copy(self)
        alone.ranks, alone._digests = None, {}
        alone.own_terms = slice(0, self.own_terms.stop - self.own_terms.start)
        alone.num_examples = alone.own_terms.stop
        alone.normalizer = self._own_normalizer
        return alone

    def gathered(self) -> "Problem":
        """The data of all processes in each of them: for what takes N·C numbers at a time."""
        if self.ranks is None:
            return self
        if self._all_batches is None:
            parts = self.ranks.objects(lambda: self.batches)
            self._all_batches = tuple(batch for part in parts for batch in part)
        whole = copy.copy(self)
        whole.ranks, whole.batches = None, self._all_batches
        whole.own_terms = slice(0, self.num_examples)
        return whole

    def across(self, group: dist.ProcessGroup) -> "Problem":
        """The same with its data, which are the same on all processes of a group, split over them.

        Raises
        ------
        RankError
            On all processes, where one of them gets no data.
        """
        split_up = copy.copy(self.gathered())
        split_up.ranks = Ranks(group)
        with split_up.together():
            lengths = [batch.num_rows for batch in split_up.batches]
            split_up.batches = tuple(
                split_up.batches[i].examples(start, stop)
                for i, start, stop in rows_in_batches(lengths, split_up.ranks.share(sum(lengths)))
            )
            split_up._count()
        split_up._agree()
        return split_up

    def _count(self) -> None:
        """Loss terms of this process."""
        self.num_examples = sum(len(batch.targets) for batch in self.batches)
        if self.num_examples == 0:
            raise ValueError("data has no loss term: every target is ignored")
        self.normalizer = sum(
            normalizer(self.loss_terms, batch.targets.to(self.device)) for batch in self.batches
        )
        if not self.normalizer > 0:
            raise ValueError("loss gives every term the weight 0; some class that occurs needs one")

    def _agree(self) -> None:
        """Count the loss terms of all processes, and refuse other models or weights on some."""
        self.own_terms = slice(0, self.num_examples)
        self._own_normalizer, self._all_batches = self.normalizer, None
        if self.ranks is None:
            return
        if self.batch_statistics:
            raise ValueError(
                "batch_statistics is True with a group of processes, whose batches would not have "
                "one another's statistics; give one of the two"
            )
        norm = float(self._vector.double().norm())
        model = {"parameters": self.num_params, "logits": self.num_classes, "weights of norm": norm}
        found = self.ranks.objects(lambda: (self.num_examples, self.normalizer, model))
        for rank, (_, _, other) in enumerate(found):
            for name, value in found[0][2].items():
                if not math.isclose(other[name], value, rel_tol=1e-6):
                    raise ValueError(
                        f"model has {name} {other[name]:.9g} on rank {rank} but {value:.9g} on "
                        "rank 0; all processes of group must give the same model and weights"
                    )
        counts = [count for count, _, _ in found]
        start = sum(counts[: self.ranks.rank])
        self.own_terms = slice(start, start + self.num_examples)
        self.num_examples, self.normalizer = sum(counts), sum(share for _, share, _ in found)

    def _pieces(self) -> Iterator[tuple[int, Batch]]:
        """The data in pieces whose logits can exist at a time, each with the index of its batch."""
        row_bytes = self.num_classes * self.dtype.itemsize
        for index, batch in enumerate(self.batches):
            size = max(1, LOGIT_BYTES // (row_bytes * batch.rows_per_example))
            yield from ((index, piece) for piece in batch.pieces(size))

    def _read(self, batches: list[Any]) -> Iterator[Batch]:
        """Run the model once over the data, refusing what cannot be measured."""
        one_by_one = compared = False
        if self.batch_statistics and len(batches) > 1:
            raise ValueError(
                f"data has {len(batches)} batches; batch_statistics=True couples the examples of a "
                "batch and takes all data in one"
            )
        for index, data in enumerate(batches):
            checks.check_batch_data(data, index)
            if index == 0 and not self._couples:
                width, targets = self._checked_output(rows(data, 0, 2), index)
                one_by_one = len(targets) * width * self.dtype.itemsize > LOGIT_BYTES // 4
            outputs = [
                self._checked_output(part, index) for part in split(data, 1 if one_by_one else None)
            ]
            num_classes = outputs[0][0]
            targets = torch.cat([part for _, part in outputs])
            batch = Batch.of(data, targets, self.loss_terms, not self._couples)
            checks.check_targets(batch.targets, self.loss_terms, num_classes, index)
            every = self.has_logits and is_hand_written(self.loss_terms)
            if len(batch.targets) and (every or not compared):
                size = 2 if one_by_one else batch.num_rows if every else 16
                for some in batch.pieces(size) if every else [next(batch.pieces(size))]:
                    z = self.batch_logits(some)(self._vector)
                    check_derivatives(self.loss_terms, z, self._on_device(some.targets))
                    compared = compared or len(z) > 1  # a single one broadcasts with nothing
            if index == 0:
                self.num_classes = num_classes
                few = next(batch.pieces(2)) if one_by_one else batch
                state = self.state()
                first = self._on_device(few.data)
                checks.check_deterministic(self._network, state, first)
                self.rounding = checks.rounding_of(self._network, state, first)
                if not self._couples:
                    checks.check_examples_independent(self.batch_logits, self._vector, few)
            yield batch

    @torch.no_grad()
    def _read_as_own_loss(self, network: ModuleNetwork, data: Any, must_fit: bool) -> None:
        """Read logits and targets as the loss that the model computes itself does."""
        if not isinstance(self.loss_terms, CrossEntropy):
            return
        checks.check_batch_data(data, 0)
        state, few = self.state(), self._on_device(rows(data, 0, 2))
        reading = find_reading(lambda f, batch: network.run(f, state, batch), few, must_fit)
        if reading is not None:
            self.forward = network.forward = reading

    @torch.no_grad()
    def _checked_output(self, data: Any, index: int) -> tuple[int, Tensor]:
        """Number of logits and flat targets of some data; the logits themselves are let go."""
        output = checks.taken_by_model(
            lambda: self._network(self.state(), self._on_device(data)), data, index
        )
        checks.check_forward_output(output)
        z, targets = flatten_logits(*output)
        checks.check_finite_logits(z, index)
        self.loss_terms = read_outputs(self.loss_terms, *output)
        return z.shape[1], targets

    def _named_state(self, where: nn.Module | Mapping[str, Tensor]) -> dict[str, Tensor]:
        """All parameters and buffers that a model or a mapping has, named as this model's."""
        if isinstance(where, nn.Module):
            plain = unsharded(unwrapped(where))
            own = dict(plain.named_parameters()) | dict(plain.named_buffers())
            return fitted(shorten_rows(plain, own), self.state())
        module = self.module
        buffers = {} if module is None else dict(module.named_buffers())
        aliases = {} if module is None else tied_names(module)
        return fitted(where, self.state(), buffers, aliases)

    def _on_device(self, data: Any) -> Any:
        return tree_map(lambda x: floating_to(x, self.device, self.dtype), data)

    def _point(self, vector: Any, argument: str) -> Float[Tensor, " D"]:
        if not isinstance(vector, Tensor) or vector.shape != (self.num_params,):
            came = tuple(vector.shape) if isinstance(vector, Tensor) else type(vector).__name__
            raise ValueError(
                f"{argument} is {came}; it must be a tensor of shape ({self.num_params},)"
            )
        return vector


def checked_problem(problem: Any, name: str = "problem") -> Problem:
    """Return an argument that is a `Problem`.

    Raises
    ------
    TypeError
        For anything else.
    """
    if not isinstance(problem, Problem):
        raise TypeError(f"{name} is {shown(problem)}; it must be a Problem(model, data, ...)")
    return problem


def problem_with_logits(problem: Any, what: str) -> Problem:
    """Return an argument that is a `Problem` with a loss of logits.

    Raises
    ------
    ValueError
        For one with an objective.
    """
    if not checked_problem(problem).has_logits:
        raise ValueError(
            f"problem has an objective of the whole model, and {what} needs logits; give "
            "Problem(model, data, loss=...) for it"
        )
    return problem


def _working_dtype(dtype: torch.dtype | None, parameters: list[Tensor]) -> torch.dtype:
    if dtype is not None:
        if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
            raise ValueError(f"dtype is {dtype!r}; it must be a floating torch.dtype")
        return dtype
    own = parameters[0].dtype
    for parameter in parameters[1:]:
        own = torch.promote_types(own, parameter.dtype)
    return own if own.itemsize >= 4 else torch.float32
