"""Senseless input by the thousand: `python -m torture.fuzz --cases 10000 --out FILE`.

None may end in a traceback, take more than ten seconds, or be accepted; sensible input must be.
"""

import argparse
import json
import platform
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from hypothesis import HealthCheck, Phase, settings
from hypothesis import given as tried_with
from hypothesis.strategies import SearchStrategy

from torture import commands, configurations, python_input
from torture.case import Case, Outcome, attempt
from torture.imports import import_everything

ADDRESS_SPACE = 24 * 2**30
"""Bytes: what asks for more fails rather than the machine."""


@dataclass(frozen=True)
class Campaign:
    """One kind of input.

    Attributes
    ----------
    cases : strategy
        What is tried.
    call : callable
        How.
    share : float
        Of all cases.
    """

    cases: SearchStrategy[Case]
    call: Callable[[Case], str | None]
    share: float


def campaigns(sensible_commands: bool) -> dict[str, Campaign]:
    """Every kind of input by its name."""
    return {
        "Python": Campaign(python_input.cases(), python_input.call, 0.5),
        "configuration files": Campaign(configurations.cases(), configurations.call, 0.3),
        "commands": Campaign(commands.cases(sensible_commands), commands.call, 0.2),
    }


def try_cases(
    campaign: Campaign, count: int, tell: Callable[[str], None] = lambda line: None
) -> list[Outcome]:
    """Try so many cases, always the same, and tell of each fault as it comes."""
    outcomes: list[Outcome] = []

    @settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @tried_with(campaign.cases)
    def one(case: Case) -> None:
        outcome = attempt(case, lambda: campaign.call(case))
        outcomes.append(outcome)
        if outcome.fault:
            tell(str(outcome))

    one()
    return outcomes


def faults(outcomes: Sequence[Outcome]) -> list[str]:
    """What went wrong, a line for each."""
    return [str(outcome) for outcome in outcomes if outcome.fault]


def summarize(outcomes: Sequence[Outcome]) -> dict[str, object]:
    """The numbers of a campaign, as JSON can hold them."""
    slowest = max(outcomes, key=lambda outcome: outcome.seconds)
    return {
        "cases": len(outcomes),
        "refused": sum(outcome.refusal is not None for outcome in outcomes),
        "accepted": sum(outcome.refusal is None and not outcome.fault for outcome in outcomes),
        "slowest_seconds": round(slowest.seconds, 2),
        "slowest": str(slowest.case)[:200],
        "faults": faults(outcomes),
    }


def main() -> None:
    """Try as many cases as were asked for, and write what came of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000, help="how many, of all kinds")
    parser.add_argument("--only", help="one kind: Python, configuration files, commands")
    parser.add_argument("--out", type=Path, default=Path("docs/reliability/fuzz.json"))
    chosen = parser.parse_args()
    import_everything()
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    made_with = {"python": platform.python_version(), "torch": str(torch.__version__)}
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    before = json.loads(chosen.out.read_text(encoding="utf-8")) if chosen.out.exists() else {}
    found = before.get("kinds", {})  # of other kinds it is kept
    for name, campaign in campaigns(sensible_commands=True).items():
        if chosen.only in (None, name):
            start = time.perf_counter()
            count = round(chosen.cases * campaign.share)
            outcomes = try_cases(campaign, count, partial(print, flush=True))
            found[name] = summarize(outcomes) | {"seconds": round(time.perf_counter() - start)}
            print(f"{name}: {len(outcomes)} cases, {len(faults(outcomes))} faults", flush=True)
            text = json.dumps({"versions": made_with, "kinds": found}, indent=1, ensure_ascii=False)
            chosen.out.write_text(text + "\n", encoding="utf-8")
    sys.exit(any(one["faults"] for one in found.values()))


if __name__ == "__main__":
    main()
