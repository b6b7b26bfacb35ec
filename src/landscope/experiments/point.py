"""One point of weight space, measured into a run folder."""

from pathlib import Path

from landscope.experiments.target import Target
from landscope.geometry import measure
from landscope.runs import Run
from landscope.training.summary import summarize


def measure_point(target: Target, out: str | Path, *, seed: int = 0) -> Run | None:
    """Measure a target into a run folder, as its step 0.

    Parameters
    ----------
    target : Target
        What to measure, and how.
    out : path
        Run folder. Where it holds this very measurement, nothing is measured again.
    seed : int
        Seed of the measurement.

    Returns
    -------
    Run
        None but on rank 0 of several processes.

    Raises
    ------
    ValueError
        If `out` holds a run of another target, other weights, other data or another seed.
    """
    problem = target.problem
    config = {
        "target": target.description,
        "problem": problem.identity(),
        "measure": target.measure.model_dump(mode="json"),
        "seed": seed,
    }
    with problem.together():
        run = Run.create(out, config) if problem.leads else None
    measured = problem.agreed(lambda: bool(run and run.steps()))
    snapshot = None if measured else measure(problem, seed=seed, **target.measure.model_dump())
    if run:
        if snapshot:
            run.write_snapshot(0, snapshot)
        run.write_summary(summarize(run))
        run.close()
    return run
