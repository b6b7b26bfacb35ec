"""Three sizes of the same experiments."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from landscope.experiments.networks.cell import STAGES
from landscope.training import TrainConfig
from landscope.zoo import DataNotFoundError, load_dataset

FULLY_CONNECTED, SMALL_CNN, RESNET20 = "fully_connected", "small_cnn", "resnet20"
_SUBSET = "cifar10_subset"
NETWORK_TITLES = {
    FULLY_CONNECTED: "FullyConnected",
    SMALL_CNN: "SmallCNN",
    RESNET20: "ResNet-20",
}
DATA_TITLES = {
    "digits": "Digits (8 x 8)",
    "mnist": "MNIST",
    "fashion_mnist": "Fashion-MNIST",
    "cifar10": "CIFAR-10",
    _SUBSET: "CIFAR-10 (7,897-image subset)",
    "cifar100": "CIFAR-100",
    "gaussian_mixture": "Gaussian mixture",
}
_OF_HYPERPLANES = (
    ("mnist", FULLY_CONNECTED),
    ("fashion_mnist", FULLY_CONNECTED),
    ("fashion_mnist", SMALL_CNN),
    ("digits", FULLY_CONNECTED),
    ("digits", SMALL_CNN),
)


@dataclass(frozen=True)
class Scale:
    """How large the experiments are.

    Attributes
    ----------
    datasets : tuple of str
        Of Fig. 1.
    colour : str
        Of Figs. 2, 3a and 4: the paper's is CIFAR-10.
    grey : str
        Of the four properties, along training and along the weight radius.
    wide : str
        Of the networks of several widths.
    steps : mapping
        Updates of each network.
    num_seeds : int
        Networks trained alike.
    num_examples : int
        Training examples that are measured.
    few_examples : int
        As many where many networks or radii are measured.
    wide_examples : int
        As many where networks are wide.
    num_measurements : int
        Steps measured where a quantity is followed along training.
    class_counts : tuple of int
        Numbers of classes C of the four properties.
    many_classes : tuple of int
        More of them, of CIFAR-100, where its files are there.
    learning_rates : tuple of float
        Of the transient of the largest eigenvalue.
    transient_steps : int
        Updates that it is followed for.
    widths : tuple of float
        Multiples of the networks' widths.
    num_radii : int
        Weight radii.
    dims : tuple of int
        Dimensions of hyperplanes that are trained in.
    hyperplane_networks : tuple of pairs
        Data set and network of each.
    hyperplane_steps : int
        Updates of training in a hyperplane.
    hyperplane_seeds : int
        Networks and hyperplanes trained alike.
    test_examples : int, optional
        That accuracy is taken on; all if absent.
    """

    datasets: tuple[str, ...]
    colour: str
    grey: str
    wide: str
    steps: Mapping[str, int]
    num_seeds: int
    num_examples: int
    few_examples: int
    wide_examples: int
    num_measurements: int
    class_counts: tuple[int, ...]
    many_classes: tuple[int, ...]
    learning_rates: tuple[float, ...]
    transient_steps: int
    widths: tuple[float, ...]
    num_radii: int
    dims: tuple[int, ...]
    hyperplane_networks: tuple[tuple[str, str], ...]
    hyperplane_steps: int
    hyperplane_seeds: int
    test_examples: int | None = None

    def seeds(self, first: int) -> range:
        """Seeds of networks trained alike."""
        return range(first, first + self.num_seeds)

    def hyperplane_seeds_from(self, first: int) -> range:
        """Seeds of hyperplanes trained alike."""
        return range(first, first + self.hyperplane_seeds)

    def of_files(self, data_root: Path | None) -> "Scale":
        """Take all of CIFAR-10, which can be downloaded, where the file of its subset is absent."""
        if _SUBSET not in (*self.datasets, self.colour) or is_at_hand(_SUBSET, data_root):
            return self
        names = {_SUBSET: "cifar10"}
        datasets = tuple(names.get(name, name) for name in self.datasets)
        return replace(self, datasets=datasets, colour=names.get(self.colour, self.colour))

    def training(self, data: str, network: str = SMALL_CNN, **choices: Any) -> TrainConfig:
        """How a network is trained; any choice of `TrainConfig` replaces the one made here.

        ResNet-20 has BatchNorm, as its authors have it. Nothing has weight decay.
        """
        return TrainConfig(
            data=data,
            network=network,
            **{
                "normalization": "batch" if network == RESNET20 else "none",
                "steps": self.steps[network],
                "learning_rate": 0.02,
                "momentum": 0.9,
                "num_measurements": len(STAGES),
                "measure_examples": self.num_examples,
                "test_examples": self.test_examples,
            }
            | choices,
        )


def is_at_hand(data: str, data_root: Path | None) -> bool:
    """Whether the files of a data set are there, without a download."""
    try:
        load_dataset(data, data_root, max_examples=1, max_test_examples=1, download=False)
    except DataNotFoundError:
        return False
    return True


SCALES = {
    "smoke": Scale(
        datasets=("digits",),
        colour="digits",
        grey="digits",
        wide="digits",
        steps={FULLY_CONNECTED: 30, SMALL_CNN: 30, RESNET20: 8},
        num_seeds=1,
        num_examples=40,
        few_examples=20,
        wide_examples=12,
        num_measurements=3,
        class_counts=(2, 3),
        many_classes=(),
        learning_rates=(0.05, 0.1),
        transient_steps=40,
        widths=(0.5, 1),
        num_radii=3,
        dims=(8, 64),
        hyperplane_networks=(("digits", FULLY_CONNECTED),),
        hyperplane_steps=20,
        hyperplane_seeds=2,
        test_examples=100,
    ),
    "quick": Scale(
        datasets=("mnist", "fashion_mnist", _SUBSET),
        colour=_SUBSET,
        grey="fashion_mnist",
        wide="digits",
        steps={FULLY_CONNECTED: 400, SMALL_CNN: 400, RESNET20: 100},
        num_seeds=2,
        num_examples=200,
        few_examples=100,
        wide_examples=50,
        num_measurements=6,
        class_counts=(2, 3, 5, 10),
        many_classes=(20,),
        learning_rates=(0.02, 0.05, 0.1, 0.2),
        transient_steps=1000,
        widths=(1, 2, 4, 8),
        num_radii=7,
        dims=(12, 25, 50, 100, 200, 400, 800, 1600),
        hyperplane_networks=_OF_HYPERPLANES,
        hyperplane_steps=600,
        hyperplane_seeds=3,
        test_examples=500,
    ),
    "full": Scale(
        datasets=("mnist", "fashion_mnist", "cifar10"),
        colour="cifar10",
        grey="fashion_mnist",
        wide="cifar10",
        steps={FULLY_CONNECTED: 20_000, SMALL_CNN: 20_000, RESNET20: 20_000},
        num_seeds=5,
        num_examples=1000,
        few_examples=500,
        wide_examples=200,
        num_measurements=16,
        class_counts=(2, 3, 5, 10),
        many_classes=(20, 100),
        learning_rates=(0.02, 0.05, 0.1, 0.2),
        transient_steps=20_000,
        widths=(1, 2, 4, 8),
        num_radii=13,
        dims=(12, 25, 50, 100, 200, 400, 800, 1600, 3200, 6400),
        hyperplane_networks=(*_OF_HYPERPLANES, ("mnist", SMALL_CNN)),
        hyperplane_steps=20_000,
        hyperplane_seeds=5,
    ),
}
"""`smoke` in minutes, `quick` in an hour and a half, `full` for a GPU or a night."""
