"""Packages that are not always there."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def extra(package: str) -> Iterator[None]:
    """Say which extra brings a package whose import, in this context, fails for its absence.

    Parameters
    ----------
    package
        Its import name, which is that of the extra and of the module of `landscope.integrations`.

    Raises
    ------
    ImportError
        If `package` is not installed. Any other failed import is left as it is.

    Examples
    --------
    >>> with extra("no_such_tracker"):
    ...     import no_such_tracker
    Traceback (most recent call last):
    ...
    ImportError: landscope.integrations.no_such_tracker needs the package no_such_tracker, which is
    not installed: pip install "landscope[no_such_tracker]"
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise ImportError(
            f"landscope.integrations.{package} needs the package {package}, which is not "
            f'installed: pip install "landscope[{package}]"',
            name=package,
        ) from error
