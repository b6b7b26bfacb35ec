"""What runs import on their way, imported before."""

import importlib
import pkgutil

import landscope

LATE = (
    "torch._dynamo",
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_svg",
)
"""What others import when they first need it."""


def import_everything() -> None:
    """Import what runs import on their way, so that none has to."""
    for module in pkgutil.walk_packages(landscope.__path__, "landscope."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name in LATE:
        importlib.import_module(name)
