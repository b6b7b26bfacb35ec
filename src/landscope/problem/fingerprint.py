"""What tells a problem from others, in parts: model, loss, data, frozen tensors, weights."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Shaped
from torch import Tensor
from torch.utils._pytree import tree_map

from landscope.distributed import Ranks
from landscope.identity import digest, tensor_digest
from landscope.problem.batch import Batch
from landscope.problem.example_digests import IGNORED_LABEL, example_digests
from landscope.problem.network import floating_to

PARTS = ("model", "loss", "data", "frozen", "weights")


class Fingerprinted(ABC):
    """What has a model, a loss, data and weights, and with them a fingerprint."""

    num_examples: int
    num_classes: int
    weight_decay: float

    @property
    @abstractmethod
    def num_params(self) -> int:
        """D, the dimension of weight space."""

    @abstractmethod
    def digest_of(self, part: str) -> str:
        """SHA-256 of one of `PARTS`, found once."""

    def fingerprint(self, weights: bool = True) -> str:
        """SHA-256 of all that decides what is measured here.

        Two problems have the same one if they have the same

        - model: the code that runs in a forward pass, layers and their options, names and shapes of
          parameters, which of them span weight space, and the dtype;
        - loss, with its options and the weight decay;
        - examples, each with its target and as often, in any order and any batches, on one process
          or spread over several;
        - frozen parameters and constant buffers;
        - weights: the point of weight space, and what else training changes.

        It does not depend on the device. All processes of a group call it together.

        Parameters
        ----------
        weights : bool
            Whether the point belongs to it. False tells a problem from others wherever it is in
            weight space: parameters that require a gradient, and buffers of layers that act
            otherwise in training mode (statistics of BatchNorm), then do not count.

        Notes
        -----
        A model is known by its structure and code, and not by what it computes, which rounding
        decides. Code of the user's is compared without comments and layout, installed packages by
        their files, torch by names. Attributes of layers count where the code of a pass mentions
        them, and not where it assigns them or fills them; constants of modules and namespaces
        (``argparse.Namespace``) where code reads them. What is beyond: functions that are reached
        through other objects, data that code reads from elsewhere.

        Padding counts as part of an example where no ``attention_mask`` says that it is none.

        Examples
        --------
        >>> import torch, landscope as ls
        >>> x, y = torch.eye(4), torch.arange(4) % 2
        >>> net = torch.nn.Linear(4, 2)
        >>> one, shuffled = ls.Problem(net, (x, y)), ls.Problem(net, (x.flip(0), y.flip(0)))
        >>> one.fingerprint() == shuffled.fingerprint()
        True
        >>> one.fingerprint() == ls.Problem(net, (x, y.flip(0))).fingerprint()
        False
        """
        parts = [self.digest_of(part) for part in (PARTS if weights else PARTS[:-1])]
        return hashlib.sha256("".join(parts).encode()).hexdigest()

    def identity(self, weights: bool = True) -> dict[str, Any]:
        """Sizes and the parts of the `fingerprint`, as the configuration of a run holds them.

        Parameters
        ----------
        weights : bool
            Whether the point of weight space belongs to it.
        """
        sizes = ("num_params", "num_examples", "num_classes", "weight_decay")
        parts = PARTS if weights else PARTS[:-1]
        return {name: getattr(self, name) for name in sizes} | {
            part: f"sha256:{self.digest_of(part)}" for part in parts
        }


def model_digest(
    network: Any,
    shapes: Mapping[str, Sequence[int]],
    dtype: torch.dtype,
    batch_statistics: bool = False,
) -> str:
    """Of code and structure, the parameters that span weight space, and the dtype."""
    named = [[name, list(shape)] for name, shape in shapes.items()]
    return digest([network, named, dtype, batch_statistics])


def loss_digest(loss: object, weight_decay: float) -> str:
    """Of a loss with its options."""
    return digest([loss, weight_decay])


def data_digest(
    batches: Iterable[Batch], loss: object, dtype: torch.dtype, ranks: Ranks | None
) -> str:
    """Of the examples of all processes, as they are computed with: of their sorted digests."""
    ignore_index = getattr(loss, "ignore_index", None)
    ignored = IGNORED_LABEL if ignore_index is None else ignore_index

    def own() -> list[bytes]:
        cpu = torch.device("cpu")
        return [
            one
            for batch in batches
            for one in example_digests(
                tree_map(lambda x: floating_to(x, cpu, dtype), batch.data), ignored
            )
        ]

    parts = [own()] if ranks is None else ranks.objects(own)
    found = hashlib.sha256()
    for one in sorted(one for part in parts for one in part):
        found.update(one)
    return found.hexdigest()


def tensors_digest(named: Iterable[tuple[str, Shaped[Tensor, "..."]]]) -> str:
    """Of tensors by name, in any order."""
    return digest({name: tensor_digest(tensor) for name, tensor in named})
