"""What a product takes on one thread and on all, alone and beside two busy programs.

python -m benchmarks.threads [--rounds 5] [--network-batch 512]

`make bench` shows it on its page.

All settings take turns within each round, so that ratios hold on a machine that is busy besides.
"""

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import torch

import landscope as ls
from benchmarks.networks import small_cnn
from benchmarks.setting import setting
from landscope.problem import threads

RESULT = Path(__file__).parent / "results" / "threads.json"
BUSY_PROGRAMS = 2
BUSY = "import torch\nx = torch.randn(1000, 1000)\nwhile True: x = torch.tanh(x @ x)"
SETTLED = 0.5
"""Seconds of products before one is timed: others are looked at every 0.2 s."""


@contextlib.contextmanager
def busy_programs() -> Iterator[list[psutil.Process]]:
    """Programs that multiply matrices as torch does by default, suspended at first."""
    started = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(BUSY_PROGRAMS)]
    try:
        time.sleep(10)  # until they have loaded torch
        found = [psutil.Process(program.pid) for program in started]
        for program in found:
            program.suspend()
        yield found
    finally:
        for program in started:
            program.kill()
            program.wait()


@contextlib.contextmanager
def fixed_threads(count: int) -> Iterator[None]:
    """So many threads, whatever other programs do."""
    before, look = torch.get_num_threads(), threads.others.cores
    torch.set_num_threads(count)
    threads.others.cores = lambda: 0.0  # type: ignore[method-assign]
    try:
        yield
    finally:
        threads.others.cores = look  # type: ignore[method-assign]
        torch.set_num_threads(before)


def measure(rounds: int, batch: int) -> dict:
    """Wall and CPU seconds of one product in each setting, medians over the rounds."""
    workload = small_cnn(batch)
    problem = ls.Problem(workload.model, workload.batches, loss=workload.criterion)
    H, v = ls.Hessian(problem, method="linearized"), workload.vector(0)
    H @ v
    settings: dict[str, Callable[[], contextlib.AbstractContextManager[None]]] = {
        "one thread": lambda: fixed_threads(1),
        "all threads": lambda: fixed_threads(threads.cores),
        "default": contextlib.nullcontext,
    }
    taken: dict[tuple[str, str], list[tuple[float, float]]] = {}
    with busy_programs() as programs:
        for index in range(rounds):
            for around in ("alone", "beside"):
                for program in programs:
                    program.resume() if around == "beside" else program.suspend()
                names = list(settings)[index % 3 :] + list(settings)[: index % 3]
                for name in names:
                    with settings[name]():
                        settled = time.perf_counter() + SETTLED
                        while time.perf_counter() < settled:
                            H @ v
                        wall, cpu = time.perf_counter(), time.process_time()
                        H @ v
                        H @ v
                    spent = (time.perf_counter() - wall) / 2, (time.process_time() - cpu) / 2
                    taken.setdefault((around, name), []).append(spent)
    rows = []
    for (around, name), spent in taken.items():
        ratios = [
            own / one for (own, _), (one, _) in zip(spent, taken[around, "one thread"], strict=True)
        ]
        rows.append(
            {
                "around": around,
                "threads": name,
                "seconds": statistics.median(wall for wall, _ in spent),
                "cpu_seconds": statistics.median(cpu for _, cpu in spent),
                "times_one_thread": statistics.median(ratios),
                "most_times_one_thread": max(ratios),
            }
        )
    return {"rounds": rounds, "batch": batch, "busy_programs": BUSY_PROGRAMS, "rows": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--network-batch", type=int, default=512)
    options = parser.parse_args()
    found = measure(options.rounds, options.network_batch)
    found["setting"] = setting(False, "cpu", {"torch": torch.__version__})
    found["setting"]["load_before"] = psutil.getloadavg()[0]
    RESULT.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    print(json.dumps(found["rows"], indent=1))


if __name__ == "__main__":
    main()
