"""Does a long run leak or slow down? Trains for a while and watches its memory and its CPU seconds a step.

    python scripts/soak.py tiny --steps 10000 --tokens 512
    python scripts/soak.py small --minutes 60

Prints one line for each tenth of the run and ends with 1 where, from the second tenth to the last, memory grew by more
than 2 % or a step came to cost more than 1.1 times as much. CPU seconds are compared, and not the clock's, because the
clock also shows what else the machine had to do.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import psutil

from agent.cli_bench import working_tree
from bench import files, kernels, machine
from bench.data import open_dataset
from bench.errors import NightshiftError

ROOT = Path(__file__).resolve().parents[1]
MOST_GROWTH, MOST_SLOWING = 1.02, 1.10
PARTS = 10


class Sight(NamedTuple):
    """What a line of progress found: steps done, seconds since the start, CPU seconds, resident bytes."""

    step: int
    elapsed_s: float
    cpu_s: float
    resident: int


def main() -> None:
    """Run, print, judge."""
    parser = argparse.ArgumentParser(description="Does a long run leak or slow down?")
    parser.add_argument("size", choices=["tiny", "small", "golf"])
    parser.add_argument("--steps", type=int, default=2000, help="stop after so many steps (%(default)s)")
    parser.add_argument("--minutes", type=float, default=24 * 60, help="or after so many minutes")
    parser.add_argument("--tokens", type=int, help="tokens a step; the size's own where it is left out")
    asked = parser.parse_args()
    found = machine.fingerprint()
    print(f"{found.processor}; MLX {found.mlx}; {found.blas}; {found.compiler}; {asked.size}, seed 1", flush=True)
    sights = []
    try:
        for sight in watch(asked.size, asked.steps, asked.minutes, asked.tokens):
            sights.append(sight)
            if sys.stderr.isatty():
                print(f"\rstep {sight.step:,}, {sight.resident / 1e6:,.0f} MB", end="", file=sys.stderr)
    except NightshiftError as error:
        sys.exit(str(error))
    if len(sights) < 2 * PARTS:
        sys.exit("too few lines of progress to judge by: ask for more steps or minutes")
    sys.exit(judge(sights))


def watch(size: str, steps: int, minutes: float, tokens: int | None) -> Iterator[Sight]:
    """Train, with one thread and the bench's environment, and look at the process at every line of its progress."""
    tree = files.tree_key(working_tree(ROOT))
    here = machine.fingerprint().model_dump_json()
    with TemporaryDirectory() as home:
        kernels.lend([tree], here, Path(home))
        environment = machine.environment() | {
            "TMPDIR": home,
            "HOME": home,
            "DATA_DIR": str(open_dataset(ROOT / "data").train_dir),
            "RUN_DIR": home,
            "SEED": "1",
            "SIZE": size,
            "ITERATIONS": str(steps),
            "MAX_WALLCLOCK_SECONDS": str(minutes * 60),
            **({"TRAIN_BATCH_TOKENS": str(tokens)} if tokens else {}),
        }
        command = [*machine.launcher("train"), str(ROOT)]
        with subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            seen = psutil.Process(process.pid)
            assert process.stdout is not None
            for line in process.stdout:
                word = json.loads(line)
                if word["phase"] == "train":
                    times = seen.cpu_times()
                    yield Sight(word["step"], word["elapsed_s"], times.user + times.system, seen.memory_info().rss)
        if process.returncode:
            sys.exit(f"the trainer ended with code {process.returncode}")
        kernels.keep(tree, here, Path(home))


def judge(sights: list[Sight]) -> int:
    """Print a line for each tenth of the run; 0 where neither memory nor the cost of a step grew, else 1."""
    print(f"{'steps':>13} {'minutes':>8} {'resident':>10} {'CPU ms/step':>12}")
    resident, cost = [], []
    for part in range(PARTS):
        sliced = sights[len(sights) * part // PARTS : len(sights) * (part + 1) // PARTS + 1]
        first, last = sliced[0], sliced[-1]
        resident.append(statistics.median(sight.resident for sight in sliced))
        cost.append((last.cpu_s - first.cpu_s) / (last.step - first.step))
        steps = f"{first.step:,}–{last.step:,}"
        print(f"{steps:>13} {last.elapsed_s / 60:8.1f} {resident[-1] / 1e6:7,.0f} MB {cost[-1] * 1e3:12.1f}")
    grown, slowed = resident[-1] / resident[1], cost[-1] / cost[1]
    print(f"from the second tenth to the last: memory × {grown:.3f}, a step's cost × {slowed:.3f}")
    return int(grown > MOST_GROWTH or slowed > MOST_SLOWING)


if __name__ == "__main__":
    main()
