"""What visits weight space: the trainer, and the Recorder for any training loop."""

from landscope.training.config import MeasureConfig, TrainConfig
from landscope.training.recorder import Recorder
from landscope.training.schedule import measuring_steps
from landscope.training.trainer import Progress, train

__all__ = ["MeasureConfig", "Progress", "Recorder", "TrainConfig", "measuring_steps", "train"]
