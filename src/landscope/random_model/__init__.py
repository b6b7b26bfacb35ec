"""The random model of Fort and Ganguli (arXiv:1910.05929): draws, theory, freezing."""

from landscope.random_model.landscape import Landscape
from landscope.random_model.model import RandomModel

__all__ = ["Landscape", "RandomModel"]
