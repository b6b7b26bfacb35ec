"""Experiments by name: each trains or measures into a run folder."""

from collections.abc import Callable

from landscope.experiments.demo import demo
from landscope.runs import Run

EXPERIMENTS: dict[str, Callable[..., Run]] = {"demo": demo}
