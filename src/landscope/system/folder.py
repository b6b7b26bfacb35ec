"""Folders that are written to, found out before anything is measured."""

import tempfile
from pathlib import Path

_PROBE = 4096  # bytes: one block


def make_writable(folder: str | Path, what: str) -> Path:
    """Make a folder where it is absent, and write to it once.

    Parameters
    ----------
    folder : path
        The folder; its parents are made too.
    what : str
        What it is to the user, such as "run folder".

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    OSError
        If it cannot be made or written to: no permission, a read-only or full disk, a file in its
        place, a name that is empty or too long.

    Examples
    --------
    >>> file = Path(tempfile.mkdtemp()) / "file"
    >>> file.touch()
    >>> make_writable(file / "run", "run folder")
    Traceback (most recent call last):
    ...
    OSError: run folder ... cannot be written: ... is a file; name another folder
    """
    if not str(folder):
        raise OSError(f"{what} has an empty name; name a folder")
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(_PROBE))
            probe.flush()
    except (OSError, ValueError) as error:  # a ValueError for what no name can hold
        raise OSError(
            f"{what} {_shown(folder)} cannot be written: {_reason(folder, error)}; "
            "name another folder"
        ) from error
    return folder


def _reason(folder: Path, error: OSError | ValueError) -> str:
    if isinstance(error, (FileExistsError, NotADirectoryError)):
        for place in (folder, *folder.parents):
            if place.is_file():
                return f"{place} is a file"
    return getattr(error, "strerror", None) or str(error)


def _shown(folder: Path) -> str:
    name = str(folder)
    return name if len(name) <= 300 else f"{name[:100]}… ({len(name)} characters)"
