"""What visits weight space: the trainer, and the Recorder for any training loop."""

from landscope.training.adam_descent import AdamDescent
from landscope.training.config import HyperplaneConfig, MeasureConfig, TrainConfig
from landscope.training.goldilocks import ScaleInvarianceWarning, goldilocks
from landscope.training.intrinsic_dimension import IntrinsicDimension, intrinsic_dimension
from landscope.training.recorder import Recorder
from landscope.training.schedule import measuring_steps
from landscope.training.trainer import Progress, train

__all__ = [
    "AdamDescent",
    "HyperplaneConfig",
    "IntrinsicDimension",
    "MeasureConfig",
    "Progress",
    "Recorder",
    "ScaleInvarianceWarning",
    "TrainConfig",
    "goldilocks",
    "intrinsic_dimension",
    "measuring_steps",
    "train",
]
