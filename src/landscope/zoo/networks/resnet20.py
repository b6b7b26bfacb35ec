"""ResNet-20 for small images."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from landscope.zoo.networks.nonlinearity import make_nonlinearity
from landscope.zoo.networks.normalization import make_normalization
from landscope.zoo.networks.sizes import checked_image_shape, checked_num_classes, scaled

_CHANNELS = (16, 32, 64)
_BLOCKS_PER_STAGE = 3


class ResNet20(nn.Module):
    """ResNet-20: three stages of three residual blocks with 16, 32 and 64 channels.

    Parameters
    ----------
    input_shape : (channels, height, width)
        Shape of one image, at least 4×4 pixels.
    num_classes : int
        Number of logits C.
    nonlinearity : str
        A key of `NONLINEARITIES`.
    normalization : {"none", "batch", "layer", "group"}
        After each convolution; "layer" is GroupNorm with one group. Convolutions have a bias
        only where this is "none".
    width : float
        Multiplies the numbers of channels.

    Raises
    ------
    ValueError
        If an argument is none of those accepted.

    Notes
    -----
    The CIFAR-10 network of He et al. 2015, arXiv:1512.03385, section 4.2, with shortcuts of
    option A: free of parameters, every second pixel and zeros in the new channels where a stage
    begins. Weights start from PyTorch's default initialisation.

    Examples
    --------
    >>> net = ResNet20((3, 32, 32), normalization="batch")
    >>> sum(p.numel() for p in net.parameters())
    269722
    """

    def __init__(
        self,
        input_shape: Sequence[int] = (3, 32, 32),
        num_classes: int = 10,
        *,
        nonlinearity: str = "relu",
        normalization: str = "batch",
        width: float = 1.0,
    ) -> None:
        super().__init__()
        num_channels, _, _ = checked_image_shape(input_shape, smallest=4)
        num_classes = checked_num_classes(num_classes)
        channels = scaled(_CHANNELS, width)
        self.stem = _NormalizedConv(num_channels, channels[0], 1, normalization)
        self.nonlinearity = make_nonlinearity(nonlinearity)
        blocks: list[nn.Module] = []
        num_inputs = channels[0]
        for stage, num_outputs in enumerate(channels):
            for block in range(_BLOCKS_PER_STAGE):
                stride = 2 if stage > 0 and block == 0 else 1
                blocks.append(
                    ResidualBlock(num_inputs, num_outputs, stride, nonlinearity, normalization)
                )
                num_inputs = num_outputs
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(num_inputs, num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the logits (N, C) of images (N, channels, height, width)."""
        features = self.blocks(self.nonlinearity(self.stem(inputs)))
        logits: Tensor = self.head(features.mean(dim=(2, 3)))
        return logits


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions beside a shortcut without parameters (option A)."""

    def __init__(
        self, num_inputs: int, num_outputs: int, stride: int, nonlinearity: str, normalization: str
    ) -> None:
        super().__init__()
        self.conv_1 = _NormalizedConv(num_inputs, num_outputs, stride, normalization)
        self.nonlinearity_1 = make_nonlinearity(nonlinearity)
        self.conv_2 = _NormalizedConv(num_outputs, num_outputs, 1, normalization)
        self.nonlinearity_2 = make_nonlinearity(nonlinearity)
        self.stride = stride
        self.num_new_channels = num_outputs - num_inputs

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the features (N, num_outputs, height / stride, width / stride)."""
        residual = self.conv_2(self.nonlinearity_1(self.conv_1(inputs)))
        outputs: Tensor = self.nonlinearity_2(self._shortcut(inputs) + residual)
        return outputs

    def _shortcut(self, inputs: Tensor) -> Tensor:
        new = self.num_new_channels
        pixels = inputs[:, :, :: self.stride, :: self.stride]
        return functional.pad(pixels, (0, 0, 0, 0, new // 2, new - new // 2)) if new else pixels


class _NormalizedConv(nn.Sequential):
    def __init__(self, num_inputs: int, num_outputs: int, stride: int, normalization: str) -> None:
        bias = normalization == "none"
        super().__init__(
            nn.Conv2d(num_inputs, num_outputs, 3, stride=stride, padding=1, bias=bias),
            make_normalization(normalization, num_outputs, spatial=True),
        )
