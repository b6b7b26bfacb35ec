"""A fully connected network."""

import math
from collections.abc import Sequence

from torch import Tensor, nn

from landscope.zoo.networks.nonlinearity import make_nonlinearity
from landscope.zoo.networks.normalization import make_normalization
from landscope.zoo.networks.sizes import checked_input_shape, checked_num_classes, scaled


class FullyConnected(nn.Module):
    """Linear layers, each hidden one followed by normalisation and nonlinearity.

    Parameters
    ----------
    input_shape : sequence of int
        Shape of one example; it is flattened.
    num_classes : int
        Number of logits C.
    hidden : sequence of int
        Sizes of the hidden layers; none gives multinomial logistic regression.
    nonlinearity : str
        A key of `NONLINEARITIES`.
    normalization : {"none", "batch", "layer", "group"}
        Before each nonlinearity; "layer" is LayerNorm over the features.
    width : float
        Multiplies the hidden sizes.

    Raises
    ------
    ValueError
        If an argument is none of those accepted.

    Notes
    -----
    Weights start from PyTorch's default initialisation.

    Examples
    --------
    >>> net = FullyConnected((3, 32, 32), 10, nonlinearity="tanh")
    >>> sum(p.numel() for p in net.parameters())
    855050
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        num_classes: int = 10,
        *,
        hidden: Sequence[int] = (256, 256),
        nonlinearity: str = "relu",
        normalization: str = "none",
        width: float = 1.0,
    ) -> None:
        super().__init__()
        num_inputs = math.prod(checked_input_shape(input_shape))
        num_classes = checked_num_classes(num_classes)
        layers: list[nn.Module] = [nn.Flatten()]
        for num_outputs in scaled(hidden, width):
            layers += [
                nn.Linear(num_inputs, num_outputs),
                make_normalization(normalization, num_outputs, spatial=False),
                make_nonlinearity(nonlinearity),
            ]
            num_inputs = num_outputs
        self.layers = nn.Sequential(*layers, nn.Linear(num_inputs, num_classes))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the logits (N, C) of inputs (N, *input_shape)."""
        logits: Tensor = self.layers(inputs)
        return logits
