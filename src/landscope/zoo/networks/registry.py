"""Networks by name, built reproducibly."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import nn

from landscope.arguments import choice
from landscope.arguments import seed as check_seed
from landscope.random_model.memory import refuse_beyond_memory
from landscope.zoo.networks.fully_connected import FullyConnected
from landscope.zoo.networks.resnet20 import ResNet20
from landscope.zoo.networks.small_cnn import SmallCNN

VECTORS = 60
"""As many vectors of weight space training and measuring hold together: 40 span a Krylov space."""

NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "fully_connected": FullyConnected,
    "small_cnn": SmallCNN,
    "resnet20": ResNet20,
}


def make_network(
    name: str,
    input_shape: Sequence[int],
    num_classes: int = 10,
    *,
    nonlinearity: str = "relu",
    normalization: str = "none",
    width: float = 1.0,
    seed: int = 0,
) -> nn.Module:
    """Return the network called `name` with weights drawn from `seed`.

    Parameters
    ----------
    name : {"fully_connected", "small_cnn", "resnet20"}
        Architecture.
    input_shape : sequence of int
        Shape of one example, without the batch dimension.
    num_classes : int
        Number of logits C.
    nonlinearity, normalization, width
        As the architectures take them.
    seed : int
        The same seed gives the same weights. The global random state is left as it was.

    Returns
    -------
    nn.Module
        On the CPU, in float32, in training mode.

    Raises
    ------
    ValueError
        If an argument is none of those accepted.
    MemoryError
        If the network, its gradient, and the vectors of its size that a measurement holds, do not
        fit into memory.

    Examples
    --------
    >>> net = make_network("small_cnn", (1, 8, 8), 10, nonlinearity="gelu", seed=1)
    >>> net(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 10])
    """
    build = partial(
        NETWORKS[choice("network name", name, NETWORKS)],
        input_shape,
        num_classes,
        nonlinearity=nonlinearity,
        normalization=normalization,
        width=width,
    )
    with torch.device("meta"):  # its size alone, in no memory
        size = sum(tensor.numel() * tensor.itemsize for tensor in build().parameters())
    refuse_beyond_memory(VECTORS * size, f"a network of width {width:g}, trained and measured,")
    # The generator is seeded itself: torch.manual_seed would reach those of other devices too.
    with torch.device("cpu"), torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(check_seed(seed))
        return build()
