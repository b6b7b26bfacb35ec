"""What tells a file of a run from a damaged one, and from that of another run or step."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_HEAD = b'\n{"landscope_seal":'
_LONGEST = 512  # bytes
RUN_ID = "run_id"
_KEYS = {RUN_ID, "step", "sha256"}


class DamagedFileError(ValueError):
    """A file of a run is damaged, or belongs to another run or step."""


@dataclass(frozen=True)
class Seal:
    """The run and the step that a file belongs to.

    Attributes
    ----------
    run_id : str or None
        Of the run; None for one that older versions made, whose files may lack seals.
    step : int or None
        None for what belongs to no step.
    """

    run_id: str | None
    step: int | None = None

    def text(self, sha256: str) -> str:
        """What is written beside content of this digest."""
        return json.dumps({"run_id": self.run_id, "step": self.step, "sha256": sha256})

    def check(self, text: str | None, sha256: str, path: Path) -> None:
        """Compare this seal, and a digest of what was read, with what was written.

        Parameters
        ----------
        text : str or None
            What `Seal.text` gave; None for a file without a seal.
        sha256 : str
            Of what the file holds now.
        path : Path
            Of the file, to name it.

        Raises
        ------
        DamagedFileError
            If anything differs.
        """
        if text is None:
            if self.run_id is not None:
                raise DamagedFileError(f"{path} is damaged: it ends without the seal of its run")
            return
        written = read_seal(text, path)
        if written["sha256"] != sha256:
            raise DamagedFileError(f"{path} is damaged: it does not hold what was written there")
        if written["run_id"] != self.run_id:
            raise DamagedFileError(f"{path} belongs to another run")
        if written["step"] != self.step:
            raise DamagedFileError(f"{path} holds step {written['step']}")


def read_seal(text: str | bytes, path: Path) -> dict[str, Any]:
    """Read what `Seal.text` gave.

    Raises
    ------
    DamagedFileError
        If it is none.
    """
    try:
        written = json.loads(text)
    except ValueError:
        written = None
    if not isinstance(written, dict) or not written.keys() >= _KEYS:
        raise DamagedFileError(f"{path} is damaged: its seal cannot be read")
    return written


def sealed(content: bytes, seal: Seal) -> bytes:
    """Content of a file with a seal after its end, where its readers do not look.

    HDF5 reads as far as the file's own head says, and knows nothing of what comes after.
    """
    text = seal.text(hashlib.sha256(content).hexdigest())
    return content + _HEAD + text.encode() + b"}\n"


def check_appended(path: Path, seal: Seal) -> bool:
    """Compare a file with the seal that `sealed` put after its end.

    Returns
    -------
    bool
        Whether it has one, as it need not in a run that an older version made.

    Raises
    ------
    DamagedFileError
        If it is damaged, of another run or step, or no file.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        reason = "it is a folder" if path.is_dir() else error.strerror
        raise DamagedFileError(f"{path} cannot be read: {reason}") from error
    at = content.rfind(_HEAD, -_LONGEST)
    if at < 0:
        seal.check(None, "", path)
        return False
    text = content[at + len(_HEAD) :]
    if not text.endswith(b"}\n"):
        raise DamagedFileError(f"{path} is damaged: its seal cannot be read")
    digest = hashlib.sha256(memoryview(content)[:at]).hexdigest()
    seal.check(text[:-2].decode(errors="replace"), digest, path)
    return True
