"""Run the whole suite in many environments, and the slow tests: ``python -m torture.environments``.

Each run is kept in ``docs/reliability/environments.json`` as soon as it ends; `torture.page` draws
the table. A name chooses one environment, ``--python PATH`` an interpreter other than this one.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "reliability" / "environments.json"


@dataclass(frozen=True)
class Environment:
    """What may decide a rounding, an order or a time; None leaves the kernels to torch."""

    kernels: str | None = None
    threads: int = 1
    shuffle: int | None = None
    busy: bool = False
    slow: bool = False
    python: str = sys.executable
    options: tuple[str, ...] = ()

    def variables(self) -> dict[str, str]:
        kernels = {} if self.kernels is None else {"ATEN_CPU_CAPABILITY": self.kernels}
        threads = {
            "LANDSCOPE_TEST_THREADS": str(self.threads),
            "OMP_NUM_THREADS": str(self.threads),
        }
        paths = [str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
        return os.environ | kernels | threads | {"PYTHONPATH": os.pathsep.join(paths)}

    def arguments(self) -> list[str]:
        slow = ["-m", "slow"] if self.slow else []
        order = (
            [] if self.shuffle is None else ["-p", "randomly", f"--randomly-seed={self.shuffle}"]
        )
        return [*slow, *order, *self.options]


# Each value of each of them once, not all pairs.
ENVIRONMENTS = {
    "native": Environment(),
    "native, 4 threads": Environment(threads=4),
    "default": Environment("default"),
    "random order": Environment(shuffle=1),
    "busy, avx2, 2 threads, random order": Environment("avx2", 2, shuffle=2, busy=True),
    "slow tests": Environment(slow=True),
}

VERSIONS = """
import json, platform, torch
kernels = torch.backends.cpu.get_cpu_capability()
print(json.dumps([platform.python_version(), torch.__version__.split("+")[0], kernels]))
"""


@contextmanager
def cores_busy(busy: bool) -> Iterator[None]:
    """Keep as many processes counting as there are cores."""
    count = (os.cpu_count() or 1) if busy else 0
    counting = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in counting:
            process.kill()
            process.wait()


def run(environment: Environment) -> dict:
    """Run the suite; what came out, with the names of the tests that failed."""
    variables = environment.variables()
    versions = subprocess.run(
        [environment.python, "-c", VERSIONS], env=variables, capture_output=True, text=True,
        check=True,
    ).stdout  # fmt: skip
    python, torch, kernels = json.loads(versions)
    with tempfile.TemporaryDirectory() as folder, cores_busy(environment.busy):
        report = Path(folder) / "report.xml"
        command = [environment.python, "-m", "pytest", "--numprocesses", "auto"]
        command += ["--dist", "worksteal", f"--junitxml={report}", *environment.arguments()]
        start = time.monotonic()
        status = subprocess.run(command, cwd=ROOT, env=variables, check=False).returncode
        minutes = (time.monotonic() - start) / 60
        counts = counted(report)
    order = "of the files" if environment.shuffle is None else f"random, {environment.shuffle}"
    return {
        "python": python,
        "torch": torch,
        "kernels": kernels,
        "threads": environment.threads,
        "order": order,
        "busy": environment.busy,
        **counts,
        "minutes": round(minutes, 1),
        "status": status,
    }


def counted(report: Path) -> dict:
    """Count the tests of a JUnit report; none passed where it was never written."""
    cases = list(ElementTree.parse(report).iter("testcase")) if report.exists() else []
    ended = {"failed": [], "skipped": [], "passed": []}
    for case in cases:
        kinds = {part.tag for part in case}
        how = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else ""
        ended[how or "passed"].append(f"{case.get('classname')}::{case.get('name')}")
    return {how: len(names) for how, names in ended.items()} | {"failures": ended["failed"]}


def measure(named: Sequence[tuple[str, Environment]], results: dict[str, dict]) -> int:
    """Run each environment and keep it at once; the number of those that are not green."""
    failed = 0
    for name, environment in named:
        found = {"environment": name, **run(environment)}
        results[f"{name}; Python {found['python']}; torch {found['torch']}"] = found
        failed += found["status"] != 0
        RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return failed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="environments; all where none is named")
    parser.add_argument("--python", action="append", help="interpreters with torch; this one")
    parser.add_argument("--options", default="", help="more options of pytest, such as paths")
    chosen = parser.parse_args()
    if unknown := [name for name in chosen.names if name not in ENVIRONMENTS]:
        parser.error(f"names has {unknown[0]!r}; accepted are {', '.join(ENVIRONMENTS)}")
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    options = tuple(chosen.options.split())
    named = [
        (name, replace(ENVIRONMENTS[name], python=python, options=options))
        for python in chosen.python or [sys.executable]
        for name in chosen.names or ENVIRONMENTS
    ]
    return measure(named, results)


if __name__ == "__main__":
    sys.exit(main())
