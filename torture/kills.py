"""Kill runs at random moments, go on with the same call, and compare with runs left alone."""

import argparse
import json
import random
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch

from torture.attacks import ATTACKS, Attempt, memory_folder
from torture.imports import import_everything
from torture.subjects import SUBJECTS, Numbers, Subject

ATTACKS_PER_RUN = 5
LATEST = 0.5  # moment of an attack, in times that a run takes alone: five of them get to its end
LONGEST_RUN = 900.0
RTOL = 1e-6  # what measurements of the same command agree to; float32 products and threads


def attack_runs(
    subject: Subject, num_attacks: int, chance: random.Random, scratch: Path
) -> dict[str, Any]:
    """Attack runs of one subject until so many attacks have hit, and count what went wrong.

    Parameters
    ----------
    subject : Subject
        What is run.
    num_attacks : int
        Attacks that struck a run before its end.
    chance : Random
        Which attacks, and when.
    scratch : Path
        Where folders are made.

    Returns
    -------
    dict
        Hits by attack, runs, faults in words, and the seconds that a run takes alone.
    """
    said = scratch / "said.txt"
    with memory_folder(scratch / "alone") as place:
        began = time.monotonic()
        alone = Attempt(subject, place / "run", said)
        assert alone.wait(LONGEST_RUN) == 0, alone.text()[-2000:]
        seconds = time.monotonic() - began
        expected = subject.finished(place / "run")
    hits: Counter[str] = Counter()
    faults: list[str] = []
    num_runs = 0
    while sum(hits.values()) < num_attacks:
        num_runs += 1
        with memory_folder(scratch / f"run{num_runs}") as place:
            before: Numbers = {}
            for _ in range(ATTACKS_PER_RUN):
                name = chance.choice(list(ATTACKS))
                blow = ATTACKS[name](subject, place / "run", LATEST * seconds, chance)
                hits[name] += blow.hit
                if blow.fault:
                    faults.append(f"{name}: {blow.fault}")
                after = _numbers(subject, place / "run", faults)
                if lost := before.keys() - after.keys():
                    faults.append(f"{name}: lost {sorted(lost)[:3]}")
                faults += [f"{name}: {text}" for text in _deviations(after, expected)]
                before = after
            last = Attempt(subject, place / "run", said)
            if last.wait(LONGEST_RUN) != 0:
                faults.append(f"after {name} it did not go on: {last.last_words()}")
                continue
            found = subject.finished(place / "run")
            faults += [f"at the end: {text}" for text in _deviations(found, expected)]
            if missing := expected.keys() - found.keys():
                faults.append(f"at the end: without {sorted(missing)[:3]}")
    return {
        "subject": subject.name,
        "seconds_alone": round(seconds, 2),
        "runs": num_runs,
        "hits": {name: hits[name] for name in ATTACKS},
        "faults": faults,
    }


def _numbers(subject: Subject, folder: Path, faults: list[str]) -> Numbers:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # of files that are left out
            return subject.numbers(folder) if folder.exists() else {}
    except Exception as error:
        faults.append(f"what it left cannot be read: {type(error).__name__}: {error}")
        return {}


def _deviations(found: Numbers, expected: Numbers) -> list[str]:
    """Say which numbers differ from those of a run left alone by more than rounding."""
    return [
        f"{name} is {values} and not {expected.get(name)}"
        for name, values in found.items()
        if name not in expected or not _agree(values, expected[name])
    ][:3]


def _agree(found: np.ndarray, expected: np.ndarray) -> bool:
    """Whether two arrays are equal to rounding, relative to their largest entry."""
    if found.shape != expected.shape:
        return False
    largest = float(np.abs(expected[np.isfinite(expected)]).max(initial=0.0))
    return bool(np.allclose(found, expected, rtol=RTOL, atol=RTOL * largest, equal_nan=True))


def main() -> None:
    """Run the campaign and write what it found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--attacks", type=int, default=200, help="hits in all")
    parser.add_argument("--subjects", nargs="*", default=[s.name for s in SUBJECTS])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("docs/reliability/kills.json"))
    options = parser.parse_args()
    torch.set_num_threads(1)  # a process that is forked must have no threads
    import_everything()
    chosen = [subject for subject in SUBJECTS if subject.name in options.subjects]
    shares = sum(subject.share for subject in chosen)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    found = json.loads(options.out.read_text(encoding="utf-8")) if options.out.exists() else []
    results = {result["subject"]: result for result in found}  # of others they are kept
    for subject in chosen:
        share = -(-options.attacks * subject.share // shares)
        with tempfile.TemporaryDirectory() as scratch:
            chance = random.Random(f"{options.seed} {subject.name}")
            results[subject.name] = attack_runs(subject, share, chance, Path(scratch))
        print(json.dumps(results[subject.name], indent=1), flush=True)
        kept = [results[one.name] for one in SUBJECTS if one.name in results]
        text = json.dumps(kept, indent=1, ensure_ascii=False)
        options.out.write_text(text + "\n", encoding="utf-8")
    if any(results[subject.name]["faults"] for subject in chosen):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
