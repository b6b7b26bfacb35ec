"""docs/reliability.md from the counts of the campaigns, so that no figure in it is by hand."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

DOCS = Path("docs")
RESULTS = DOCS / "reliability"
"""One JSON file for each campaign."""

HEAD = """# Reliability

What was done to the instrument on purpose, and what came of it. `make torture` does it again and
writes this page; short seeds of it are in the default suite."""


def page(results: Mapping[str, Any]) -> str:
    """The page of the campaigns whose results are there."""
    parts = [HEAD, *(SECTIONS[name](results[name]) for name in SECTIONS if name in results)]
    return "\n\n".join(parts) + "\n"


def _fuzz(found: Mapping[str, Any]) -> str:
    return "\n".join(_lines_of_fuzz(found))


def _lines_of_fuzz(found: Mapping[str, Any]) -> Iterator[str]:
    versions = found["versions"]
    yield "## Senseless input"
    yield ""
    yield (
        "Arguments of Python, options of commands and entries of configuration files are drawn, "
        "each known to be sensible or senseless. A fault is a traceback, an error of more "
        "sentences than faults or one that does not name the argument, more than ten seconds of "
        "processor time, senseless input that is accepted or measured before it is refused, and "
        "sensible input that is refused. Commands that train or reproduce are given senseless "
        "options alone, and reports have no pictures. "
        f"Python {versions['python']}, torch {versions['torch']}; "
        "`python -m torture.fuzz --cases 10000`."
    )
    yield ""
    yield "| input | cases | refused | accepted | faults | slowest |"
    yield "|---|---|---|---|---|---|"
    for kind, counts in found["kinds"].items():
        yield (
            f"| {kind} | {counts['cases']:,} | {counts['refused']:,} | {counts['accepted']:,} | "
            f"{len(counts['faults'])} | {counts['slowest_seconds']:.1f} s |"
        )
    for kind, counts in found["kinds"].items():
        for fault in counts["faults"]:
            yield f"\n- {kind}: `{fault}`"


def _kills(found: Sequence[Mapping[str, Any]]) -> str:
    names = list(found[0]["hits"])
    lines = [
        "## Runs that are killed",
        "",
        "Each run is struck up to five times, at random moments or by a disk that is full or "
        "read-only, and then goes on with the same call. Its report has no pictures but for that "
        "of `model`. A fault is anything measured that is "
        "lost, a number that differs by more than 1e-6 from that of a run left alone, a file that "
        "cannot be read, an end without a sentence, and a process that goes on for a minute "
        "after a polite signal; `python -m torture.kills`.",
        "",
        f"| run | {' | '.join(names)} | runs | faults |",
        f"|---|{'---|' * (len(names) + 2)}",
    ]
    for one in found:
        hits = " | ".join(str(one["hits"][name]) for name in names)
        lines.append(f"| {one['subject']} | {hits} | {one['runs']} | {len(one['faults'])} |")
    total = sum(sum(one["hits"].values()) for one in found)
    lines += ["", f"{total} blows in all."]
    for one in found:
        lines += [f"\n- {one['subject']}: `{' '.join(fault.split())}`" for fault in one["faults"]]
    return "\n".join(lines)


def _coverage(found: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        "## Intervals",
        "",
        "The share of seeds with which intervals of 95 % cover what the spectrum says, where one "
        "estimate has several intervals the mean, least and largest share; all where the estimate "
        "is exact. `python -m torture.coverage`.",
        "",
        "| spectrum | estimate | intervals | seeds | mean | least | largest |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in found:
        shares = " | ".join(f"{one[share]:.1%}" for share in ("mean", "least", "largest"))
        what = f"{one['spectrum']} | {one['estimate']}"
        lines.append(f"| {what} | {one['intervals']} | {one['runs']:,} | {shares} |")
    return "\n".join(lines)


def _environments(found: Mapping[str, Mapping[str, Any]]) -> str:
    columns = ("kernels", "threads", "order", "python", "torch", "passed", "failed", "skipped")
    lines = [
        "## Environments",
        "",
        "The default suite as a whole; `make test-matrix`. The slow tests; `make test-slow`.",
        "",
        f"| environment | {' | '.join(columns)} |",
        f"|---|{'---|' * len(columns)}",
    ]
    for one in found.values():
        row = " | ".join(str(one[column]) for column in ("environment", *columns))
        lines.append(f"| {row} |")
    for one in found.values():
        if one["environment"] == "native":
            lines.append(f"\n`native` took {one['minutes']} min on two cores.")
    return "\n".join(lines)


def _models(found: Mapping[str, Any]) -> str:
    models: Mapping[str, Mapping[str, int]] = found["models"]
    cuts = " and ".join(CUTS[cut] for cut in found["cuts"])
    groups = {"image: ": "of images", "tokens: ": "of tokens", "": "of rows of numbers"}
    lines = [
        "## Models",
        "",
        "Modules and functions of torch, each between two linear layers: products of the Hessian, "
        "the Gauss-Newton matrix and their difference by seven methods in two precisions, with the "
        f"data in {cuts}, zeros and padding in the last. Right is "
        "what agrees with reverse mode twice by hand in float64 (to 1e-9, in float32 to 2e-3; "
        "differences of gradients to 1e-4 and 0.1). What torch has no second derivative of, or one "
        "that is no symmetric map, is to be refused in a sentence, or measured from what has one, "
        "with nothing here to compare it with; "
        "differences of gradients across a kink warn. `python -m torture.models`.",
        "",
        f"| operations | number | products | {' | '.join(ENDS)} | faults |",
        "|---|---|---|---|---|---|---|---|",
    ]
    left = dict(models)
    for prefix, what in groups.items():
        counts: Counter[str] = Counter()
        names = [name for name in left if name.startswith(prefix)]
        for name in names:
            counts.update(left.pop(name))
        del counts[NEEDLESS]
        ends = [counts.pop(end, 0) for end in ENDS]
        columns = " | ".join(f"{n:,}" for n in (sum(ends) + counts.total(), *ends, counts.total()))
        lines.append(f"| {what} | {len(names)} | {columns} |")
    refused = [name for name, ended in models.items() if NEEDLESS in ended]
    lines += [
        "",
        f"Refused although torch has a second derivative: {', '.join(refused) or 'none'}.",
    ]
    for name, ended in models.items():
        faults = [how for how in ended if how not in (*ENDS, NEEDLESS)]
        lines += [f"\n- {name}: `{how}`" for how in faults]
    return "\n".join(lines)


CUTS = {"one": "one piece", "three": "three pieces", "ragged": "ragged pieces"}
ENDS = ("right", "refused", "said to be unsharp", "not compared")
NEEDLESS = "refused where torch has one"

SECTIONS = {
    "environments": _environments,
    "coverage": _coverage,
    "models": _models,
    "kills": _kills,
    "fuzz": _fuzz,
}
"""What the page says of each campaign."""


def main() -> None:
    """Write the page."""
    files = sorted(RESULTS.glob("*.json"))
    results = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in files}
    (DOCS / "reliability.md").write_text(page(results), encoding="utf-8")


if __name__ == "__main__":
    main()
