"""How many runs side by side are worth most on this machine: measured once, and remembered beside its experience.

On a GPU it is one: runs share it, and none is promised to come back bit by bit. On a CPU each run has one thread, and
what they share is memory: some machines do most with a run a core, others with fewer.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from agent.tree import Tree
from bench import clock, files
from bench.data import Dataset
from bench.errors import RunFailed
from bench.job import Job, Progress
from bench.machine import Fingerprint
from bench.profiles import profile
from bench.rig import Rig
from bench.slots import Slots

MEASURED = "slots.json"
"""Where it is remembered, beside the experience: one line a machine."""
MOST_UNMEASURED = 4
"""Where nobody measured it: memory is shared, and a look needs champion and candidate under two seeds at the most."""


class Best(BaseModel):
    """What was found on a machine."""

    model_config = ConfigDict(frozen=True)

    machine: str
    """The processor and its cores."""
    slots: int
    hourly: dict[int, float]
    """Smoke runs an hour, by how many were side by side."""


def here(fingerprint: Fingerprint) -> str:
    """What tells this machine from another."""
    return f"{fingerprint.processor}, {os.cpu_count()} cores"


def best_slots(
    path: Path, fingerprint: Fingerprint, tree: Tree, data: Dataset | Rig, say: Callable[[str], None], *, short: bool
) -> int:
    """How many do most here, as is remembered in `path`. A short night does not wait for a measurement, nor a script's.

    Raises Interrupted and DiskError.
    """
    if known := remembered(path, fingerprint):
        return known
    if short or isinstance(data, Rig):
        return unmeasured()
    return measure(path, fingerprint, tree, data, say)


def unmeasured() -> int:
    """How many are taken on a CPU where nobody measured."""
    return min(os.cpu_count() or 1, MOST_UNMEASURED)


def remembered(path: Path, fingerprint: Fingerprint) -> int | None:
    """How many are best here, where that needs no measuring; None where it does."""
    if not fingerprint.repeatable:
        return 1
    found = [Best.model_validate_json(line) for line in path.read_text().splitlines()] if path.exists() else []
    return next((one.slots for one in found if one.machine == here(fingerprint)), None)


def measure(path: Path, fingerprint: Fingerprint, tree: Tree, data: Dataset, say: Callable[[str], None]) -> int:
    """Run smoke of `tree` side by side, 1, 2, 4 … up to the cores; the most runs an hour win, and are remembered.

    Where it does not run nothing is: then the baseline says why. Raises Interrupted and DiskError.
    """
    say(f"how many slots are best here is measured once, with up to {os.cpu_count()} smoke runs side by side")
    try:
        _runs_an_hour(1, tree, data, path.parent)  # compiles kernels, which all others are lent
        hourly = {count: _runs_an_hour(count, tree, data, path.parent) for count in _counts()}
    except RunFailed:
        return 1
    best = Best(machine=here(fingerprint), slots=max(hourly, key=hourly.__getitem__), hourly=hourly)
    others = path.read_text().splitlines() if path.exists() else []
    kept = [line for line in others if Best.model_validate_json(line).machine != best.machine]
    files.write_atomic(path, "".join(f"{line}\n" for line in (*kept, best.model_dump_json())).encode())
    told = ", ".join(f"{each:.0f} an hour with {count}" for count, each in hourly.items())
    say(f"{told}: {best.slots} slots from now on; --slots asks for another number")
    return best.slots


def _counts() -> Iterator[int]:
    cores = os.cpu_count() or 1
    count = 1
    while count < cores:
        yield count
        count *= 2
    yield cores


def _runs_an_hour(count: int, tree: Tree, data: Dataset, folder: Path) -> float:
    with Slots(count, data, folder / "bench", _nothing) as bench:
        began = clock.monotonic()
        runs = [bench.submit(Job(tree, profile("smoke"), seed, label="slots")) for seed in range(1, count + 1)]
        for run in runs:
            run.result()
        return 3600 * count / (clock.monotonic() - began)


def _nothing(job: Job, word: Progress) -> None:
    """Nobody is shown these runs."""
