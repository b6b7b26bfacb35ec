"""Files that appear whole or not at all."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_SUFFIX = ".partial"


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """Give a temporary path in the same folder; what was written there becomes `path` on leaving.

    The temporary file is flushed to the disk before it is renamed, and its folder after it, so a
    process killed at any moment leaves either the old state of `path` or the new one.

    Parameters
    ----------
    path
        Where the file is to appear. An existing file is replaced.

    Yields
    ------
    Path
        The temporary path to write to.

    Raises
    ------
    OSError
        If it cannot be written, such as on a full disk; the file that was there is kept.
    """
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}{_SUFFIX}")
    try:
        yield beside
        _flush(beside)
        os.replace(beside, path)
    except OSError as error:
        reason = error.strerror or str(error)
        kept = "; the file that was there is kept" if path.exists() else ""
        raise OSError(f"{path} could not be written: {reason}{kept}") from error
    finally:
        with suppress(OSError):  # what keeps it from being written may keep it from being removed
            beside.unlink(missing_ok=True)
    if os.name == "posix":  # elsewhere a folder cannot be opened
        _flush(path.parent)


def remove_partial(folder: Path) -> None:
    """Remove the temporary files that a killed writer left directly in `folder`."""
    for partial in folder.glob(f".*{_SUFFIX}"):
        partial.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
