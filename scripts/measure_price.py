"""What the sandbox and the judging cost: a breadth run with both, beside plain execution of the same tree and seed.

    python scripts/measure_price.py [ROUNDS]

In every round the same run is made plain (no sandbox, no probes), shut in, and shut in and probed, one after the other
in an order that changes. Compared is what a run costs in CPU seconds, the bench's own included, and by the clock: the
least of all rounds, as whatever else the machine does only ever adds.
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import NamedTuple

from agent.cli_bench import working_tree
from bench import machine, probes, sandbox
from bench.data import Dataset, open_dataset
from bench.errors import NightshiftError
from bench.job import Job
from bench.measure import measure
from bench.profiles import profile

ROOT = Path(__file__).resolve().parents[1]
PROFILE = "breadth"
ROUNDS = 5


class Taken(NamedTuple):
    """One run: CPU seconds of candidate and bench together, seconds of the clock, and the number."""

    cpu_s: float
    wall_s: float
    val_bpb: float


def main() -> None:
    """Measure and print; ends with 1 where the numbers differ."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    try:
        data, found, box = open_dataset(ROOT / "data"), machine.fingerprint(), sandbox.chosen()
    except NightshiftError as error:
        sys.exit(str(error))
    job = Job(tree=working_tree(ROOT), profile=profile(PROFILE), seed=1)
    ways: dict[str, Callable[[], Taken]] = {
        "plain": lambda: run(job, data, sandbox.Unconfined(), probed=False),
        "shut in": lambda: run(job, data, box, probed=False),
        "shut in and probed": lambda: run(job, data, box, probed=True),
    }
    ways["plain"]()  # makes sure that there are kernels
    taken: dict[str, list[Taken]] = {way: [] for way in ways}
    for turn in range(rounds):
        for way in [*ways][turn % 3 :] + [*ways][: turn % 3]:
            taken[way].append(ways[way]())
    print(f"{found.processor}, {os.cpu_count()} cores; MLX {found.mlx}; {found.blas}; {box.name}; {PROFILE}, seed 1")
    print(f"{'':20} {'CPU s':>8} {'ratio':>7} {'wall s':>8} {'ratio':>7}   val_bpb, of {rounds} rounds")
    plain_cpu, plain_wall = least(taken["plain"])
    for way, runs in taken.items():
        cpu, wall = least(runs)
        scores = ", ".join(sorted({one.val_bpb.hex() for one in runs}))
        print(f"{way:20} {cpu:8.2f} {cpu / plain_cpu:7.3f} {wall:8.2f} {wall / plain_wall:7.3f}   {scores}")
    sys.exit(len({one.val_bpb for runs in taken.values() for one in runs}) != 1)


def least(runs: list[Taken]) -> tuple[float, float]:
    """The least CPU seconds and the least seconds of the clock."""
    return min(one.cpu_s for one in runs), min(one.wall_s for one in runs)


def run(job: Job, data: Dataset, box: sandbox.Sandbox, *, probed: bool) -> Taken:
    """One run under that sandbox, asked again by probes or not."""
    real = sandbox.chosen, probes.draw_probes, probes.draw_prefixes
    sandbox.chosen = lambda: box  # type: ignore[assignment]
    if not probed:
        probes.draw_probes = lambda rng, text, ruler: []
        probes.draw_prefixes = lambda rng, text, ruler: []
    try:
        with TemporaryDirectory() as folder:
            own, began = time.process_time(), time.monotonic()
            found = measure(job, data, Path(folder) / "run", lambda word: None, Event())
            return Taken(found.cpu_s + time.process_time() - own, time.monotonic() - began, found.val_bpb)
    finally:
        sandbox.chosen, probes.draw_probes, probes.draw_prefixes = real


if __name__ == "__main__":
    main()
