"""A folder of checkpoints, measured as a trajectory."""

import re
from functools import partial
from pathlib import Path

from landscope import geometry
from landscope.experiments.progress import Progress, silent
from landscope.experiments.target import Target, at_weights
from landscope.runs import Run
from landscope.runs.weights import SUFFIXES, shards
from landscope.training import Recorder

# What trainers, and runs of Landscope, keep beside the weights of a step.
_NOT_A_STEP = (
    ".", "optimizer", "scheduler", "scaler", "sampler", "dl_state_dict", "rng_state",
    "training_args", "reference",
)  # fmt: skip


def measure_checkpoints(
    target: Target,
    folder: str | Path,
    out: str | Path,
    *,
    seed: int = 0,
    trust: bool = False,
    progress: Progress = silent,
) -> Run | None:
    """Measure a target at each checkpoint of a folder, in ascending order of steps.

    Parameters
    ----------
    target : Target
        What to measure, and how; its own weights have no part.
    folder : path
        Where the checkpoints are, see `find_checkpoints`.
    out : path
        Run folder. Steps that it has are not measured again; checkpoints that are new are added.
    seed : int
        Seed of the measurements.
    trust : bool
        Unpickle files that hold more than plain weights, see `landscope.runs.read_weights`.
    progress : callable
        Called as progress(done, total, doing).

    Returns
    -------
    Run
        With a snapshot of each step; drifts are taken from the first one measured. None but on
        rank 0 of several processes.

    Raises
    ------
    FileNotFoundError, ValueError
        If the folder is not right, a checkpoint cannot be read or is of another architecture, or
        `out` holds another run. What was measured before is kept.
    """
    files = find_checkpoints(folder)
    # Not the files: training goes on, and old checkpoints are deleted.
    config = {
        "target": target.description,
        "checkpoints": str(folder),
        "problem": target.problem.identity(weights=False),
        "measure": target.measure.model_dump(mode="json"),
        "seed": seed,
    }
    with target.problem.together():
        run = Run.create(out, config) if target.problem.leads else None
    measure = partial(geometry.measure, seed=seed, **target.measure.model_dump())
    with Recorder(target.problem, run, list(files), measure) as recorder:
        for done, (step, path) in enumerate(files.items()):
            progress(done, len(files), f"step {step}")
            if recorder.due(step):
                recorder.step(at_weights(target.problem, path, trust).state(), step)
        progress(len(files), len(files), "measured")
    if run:
        run.close()
    return run


def find_checkpoints(folder: str | Path) -> dict[int, Path]:
    """Find files of weights in a folder and one level down, by step.

    Parameters
    ----------
    folder : path
        Holds ``step=100.ckpt``, ``00000100.safetensors``, ``checkpoint-100/model.safetensors`` and
        the like. Files that hold no weights of the model (optimizer.pt, training_args.bin, …) are
        passed over; of shards the first is given.

    Returns
    -------
    dict of int to Path
        In ascending order. The step is the number after "step" or else the last one in the name of
        the file, or where it has none, of the folder that it lies in.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such folder or no checkpoint in it, a name has no number, or two have the
        same.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name in ("epoch=1-step=200.ckpt", "epoch=0-step=100.ckpt", "optimizer.pt"):
    ...     (folder / name).touch()
    >>> {step: path.name for step, path in find_checkpoints(folder).items()}
    {100: 'epoch=0-step=100.ckpt', 200: 'epoch=1-step=200.ckpt'}
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"checkpoints {folder} is no folder")
    weights = {
        shards(file)[0]
        for pattern in ("*", "*/*")
        for file in folder.glob(pattern)
        if file.suffix in SUFFIXES and not file.name.startswith(_NOT_A_STEP)
    }
    if not weights:
        accepted = ", ".join(SUFFIXES)
        raise ValueError(f"checkpoints {folder} holds no file of weights; accepted are {accepted}")
    found: dict[int, Path] = {}
    for path in sorted(weights):
        step = _step(path, folder)
        if step in found:
            raise ValueError(
                f"checkpoints {folder} holds two of step {step}: "
                f"{found[step].relative_to(folder)} and {path.relative_to(folder)}; keep one"
            )
        found[step] = path
    return dict(sorted(found.items()))


def _step(path: Path, folder: Path) -> int:
    # The numbers of a shard are none of a step.
    names = [re.sub(r"-\d{5}-of-\d{5}$", "", path.stem)]
    if path.parent != folder:
        names.append(path.parent.name)
    for name in names:
        if numbers := re.findall(r"step\D?(\d+)", name) or re.findall(r"\d+", name):
            return int(numbers[-1])
    raise ValueError(
        f"checkpoint {path} has no step in its name; accepted is a number, such as "
        f"step-100{path.suffix} or checkpoint-100/{path.name}"
    )
