"""The settings of torch under which everything is measured."""

from collections.abc import Iterator
from contextlib import contextmanager

from landscope.problem.precision import full_float32
from landscope.problem.threads import on_free_cores


@contextmanager
def measuring() -> Iterator[None]:
    """Compute in full float32 and on free cores; leave the settings of torch as they were.

    Examples
    --------
    >>> with measuring():
    ...     pass
    """
    with full_float32(), on_free_cores():
        yield
