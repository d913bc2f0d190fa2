"""How long the journal of a hundred thousand experiments takes to open, beside a plain `json.loads` of every line.

    python -m scripts.measure_journal [EXPERIMENTS]

The experiments are the committed history's own, over and over, under new numbers: nothing is as long as a real line.
"""

import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path
from statistics import median

import pydantic
import pydantic_core

from agent.history import HISTORY
from agent.journal import encode, open_journal, read_journal

ROOT = Path(__file__).parents[1]
EXPERIMENTS = 100_000
TIMES = 5
TARGET_S = 2.0


def main(count: int = EXPERIMENTS) -> None:
    """Print it all."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "autoresearch.jsonl"
        write(path, count)
        size = path.stat().st_size
        opened = median_s(lambda: open_journal(path))
        lines = path.read_bytes().splitlines()
        plain = median_s(lambda: parse(lines))
    print(f"{platform.platform()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"Python {platform.python_version()}, pydantic {pydantic.VERSION}, pydantic-core {pydantic_core.__version__}")
    print(f"{count:,} experiments, {size / 1e6:,.0f} MB, {size / (count + 1):,.0f} bytes a line")
    print(
        f"open_journal   {opened:6.2f} s, median of {TIMES} ({'within' if opened <= TARGET_S else 'over'} {TARGET_S} s)"
    )
    print(f"json.loads     {plain:6.2f} s, of each line, nothing kept")
    print(f"ratio          {opened / plain:6.2f}")


def write(path: Path, count: int) -> None:
    """A journal of one segment with `count` experiments."""
    history = read_journal(ROOT / HISTORY)
    with path.open("w", encoding="utf-8") as file:
        file.write(f"{encode(history.headers[0])}\n")
        for number, one in enumerate(islice(cycle(history.experiments), count), 1):
            file.write(f"{encode(one.model_copy(update={'run': number, 'id': f'lineage-{number:04d}'}))}\n")


def parse(lines: list[bytes]) -> None:
    """Parse each line, and keep nothing of it."""
    for line in lines:
        json.loads(line)


def median_s(work: Callable[[], object]) -> float:
    """Seconds that `work` takes: the median of some times."""
    taken = []
    for _ in range(TIMES):
        before = time.perf_counter()
        made = work()
        taken.append(time.perf_counter() - before)
        del made  # letting go of it is no part of the work
    return median(taken)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
