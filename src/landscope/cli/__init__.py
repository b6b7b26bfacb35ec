"""The command line."""

from landscope.cli.app import app

__all__ = ["app"]
