"""The small convolutional network that most measurements use."""

from collections.abc import Sequence

from torch import Tensor, nn

from landscope.zoo.networks.nonlinearity import make_nonlinearity
from landscope.zoo.networks.normalization import make_normalization
from landscope.zoo.networks.sizes import checked_image_shape, checked_num_classes, scaled

_CHANNELS = (16, 32, 32)


class SmallCNN(nn.Module):
    """Three 3×3 convolutions of 16, 32 and 32 channels, then a linear layer.

    Each convolution (padding 1) is followed by normalisation, nonlinearity and 2×2 max pooling.

    Parameters
    ----------
    input_shape : (channels, height, width)
        Shape of one image, at least 8×8 pixels.
    num_classes : int
        Number of logits C.
    nonlinearity : str
        A key of `NONLINEARITIES`.
    normalization : {"none", "batch", "layer", "group"}
        Before each nonlinearity; "layer" is GroupNorm with one group.
    width : float
        Multiplies the numbers of channels.

    Raises
    ------
    ValueError
        If an argument is none of those accepted.

    Notes
    -----
    Weights start from PyTorch's default initialisation.

    Examples
    --------
    >>> net = SmallCNN((3, 32, 32))
    >>> sum(p.numel() for p in net.parameters())
    19466
    """

    def __init__(
        self,
        input_shape: Sequence[int] = (3, 32, 32),
        num_classes: int = 10,
        *,
        nonlinearity: str = "relu",
        normalization: str = "none",
        width: float = 1.0,
    ) -> None:
        super().__init__()
        num_inputs, height, width_px = checked_image_shape(input_shape, smallest=8)
        num_classes = checked_num_classes(num_classes)
        layers: list[nn.Module] = []
        for num_outputs in scaled(_CHANNELS, width):
            layers += [
                nn.Conv2d(num_inputs, num_outputs, kernel_size=3, padding=1),
                make_normalization(normalization, num_outputs, spatial=True),
                make_nonlinearity(nonlinearity),
                nn.MaxPool2d(2),
            ]
            num_inputs = num_outputs
        num_features = num_inputs * (height // 8) * (width_px // 8)
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(num_features, num_classes))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the logits (N, C) of images (N, channels, height, width)."""
        logits: Tensor = self.layers(inputs)
        return logits
