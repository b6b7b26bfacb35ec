"""Where data files lie: the folder named by the caller or by LANDSCOPE_DATA, then the cache."""

import http.client
import os
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

_TIMEOUT_SECONDS = 10.0


class DataNotFoundError(FileNotFoundError):
    """The files of a data set are neither on this machine nor to be had over the network."""


def cache_folder() -> Path:
    """Return the folder downloads go to: `landscope` in $XDG_CACHE_HOME, or in ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "landscope"


def data_folders(data_root: str | os.PathLike[str] | None = None) -> tuple[Path, ...]:
    """Return the folders to look in, in order; none of them needs to exist or to be writable.

    Parameters
    ----------
    data_root : path, optional
        Replaces the environment variable LANDSCOPE_DATA.

    Returns
    -------
    tuple of Path
        `data_root` or else LANDSCOPE_DATA, where either is given; then the cache folder.

    Examples
    --------
    >>> data_folders("/data")[0].as_posix()
    '/data'
    """
    root = data_root or os.environ.get("LANDSCOPE_DATA")
    return (*([Path(root).expanduser()] if root else []), cache_folder())


def find(folders: Sequence[Path], *names: str) -> Path | None:
    """Return the first of `names` (relative paths) that is a file in one of `folders`."""
    candidates = (folder / name for folder in folders for name in names)
    return next((path for path in candidates if path.is_file()), None)


def fetch(
    title: str,
    download: Callable[[Path], object],
    wanted: str,
    folders: Sequence[Path],
    *,
    allowed: bool,
) -> None:
    """Download a data set to the cache, or say in one sentence that it is not to be had.

    Parameters
    ----------
    title : str
        Name of the data set, for the message.
    download : callable
        Puts the files of the data set into the folder it is given.
    wanted : str
        What was looked for in each of `folders`.
    folders : sequence of Path
        Where it was looked for.
    allowed : bool
        False refuses to use the network.

    Raises
    ------
    DataNotFoundError
        If downloading is not allowed, or fails.
    """
    if not allowed:
        raise not_found(title, wanted, folders, "downloading was switched off")
    try:
        cache_folder().mkdir(parents=True, exist_ok=True)
        # torchvision prints its mirrors' failures; standard output belongs to results.
        with _network_timeout(_TIMEOUT_SECONDS), redirect_stdout(sys.stderr):
            download(cache_folder())
    except (OSError, RuntimeError, http.client.HTTPException) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise not_found(title, wanted, folders, f"downloading failed ({reason})") from error


def not_found(title: str, wanted: str, folders: Sequence[Path], reason: str) -> DataNotFoundError:
    """Return the error that says what was looked for, where, and how to provide it."""
    where = " and ".join(str(folder) for folder in folders)
    return DataNotFoundError(
        f"{title} is not here: looked for {wanted} in {where}, and {reason}; put the files there, "
        "or name the folder that holds them with --data-root, data_root= or LANDSCOPE_DATA."
    )


@contextmanager
def _network_timeout(seconds: float) -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
