"""Experiments by name, and the points of weight space they start from."""

from landscope.experiments.checkpoints import measure_checkpoints
from landscope.experiments.config_example import example_config
from landscope.experiments.config_file import read_config
from landscope.experiments.demo import demo
from landscope.experiments.engines import ENGINES, choose_engine
from landscope.experiments.networks.grid import Grid
from landscope.experiments.networks.scale import SCALES
from landscope.experiments.own_hyperplanes import intrinsic_dimension_of, zone_of
from landscope.experiments.point import measure_point
from landscope.experiments.point_config import PointConfig
from landscope.experiments.properties import FourProperties, four_properties
from landscope.experiments.random_model.sampling import sample_model
from landscope.experiments.registry import EXPERIMENTS, REPRODUCTIONS
from landscope.experiments.reproduction import Networks, Reproduction, reproduce
from landscope.experiments.sweep import Swept, said_of_failures, sweep
from landscope.experiments.sweep_config import SweepConfig
from landscope.experiments.target import Target, resolve_target

__all__ = [
    "ENGINES",
    "EXPERIMENTS",
    "REPRODUCTIONS",
    "SCALES",
    "FourProperties",
    "Grid",
    "Networks",
    "PointConfig",
    "Reproduction",
    "SweepConfig",
    "Swept",
    "Target",
    "choose_engine",
    "demo",
    "example_config",
    "four_properties",
    "intrinsic_dimension_of",
    "measure_checkpoints",
    "measure_point",
    "read_config",
    "reproduce",
    "resolve_target",
    "said_of_failures",
    "sample_model",
    "sweep",
    "zone_of",
]
