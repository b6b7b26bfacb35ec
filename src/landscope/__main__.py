"""The command line as `python -m landscope`, such as under torchrun."""

from landscope.cli import app

app(prog_name="landscope")
