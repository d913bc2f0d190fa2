"""What a night is doing this moment: kept by the night in a small file beside its journal, for whoever watches.

Nothing depends on the file: it is not forced to disk, and what cannot be written is not shown.
"""

import contextlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from pydantic import ValidationError

from agent.line import Record
from bench import clock, files
from bench.errors import DiskError
from bench.job import Job, Progress
from bench.slots import ENDED, folder_name

NOW = "now.json"
EVERY_S = 1.0
"""A step is told no more often; a phase that begins, at once."""


class Running(Record):
    """A run under way."""

    label: str
    """Whose it is: the experiment's id and title, as a person is shown them."""
    profile: str
    seed: int
    folder: str
    """Name of its folder, in which its losses so far are."""
    phase: str
    since: int
    """Epoch milliseconds at which the phase began."""
    step: int = 0
    steps: int
    """Asked for."""
    loss: float | None = None
    """Nats a token."""


class Now(Record):
    """A night, this moment."""

    pid: int
    at: int
    """Epoch milliseconds at which this was written."""
    until: int
    """Epoch milliseconds at which no experiment begins any more."""
    max_experiments: int
    max_usd: float
    runs: tuple[Running, ...] = ()


@dataclass
class Board:
    """The runs under way, from what the bench shows of them; `show` may be called from any thread.

    A night has them told in the file at `path`; what is measured for no night is told nowhere.
    """

    path: Path | None = None
    until: int = 0
    max_experiments: int = 0
    max_usd: float = 0.0
    runs: dict[tuple[str, str, int], Running] = field(default_factory=dict)
    written: float = -EVERY_S
    lock: Lock = field(default_factory=Lock, repr=False)

    def show(self, job: Job, word: Progress) -> Running | None:
        """Take a run's progress in, and tell it. Returns the run as it stood before; None where it begins."""
        name = (job.label, job.profile.name, job.seed)
        with self.lock:
            before = self.runs.get(name)
            if word.phase == ENDED:
                self.runs.pop(name, None)
            else:
                self.runs[name] = _running(job, word, before)
            if before is None or before.phase != word.phase or clock.monotonic() >= self.written + EVERY_S:
                self.tell()
            return before

    def tell(self) -> None:
        """Write down what is so now."""
        if self.path is None:
            return
        self.written = clock.monotonic()
        now = Now(
            pid=os.getpid(),
            at=clock.now_ms(),
            until=self.until,
            max_experiments=self.max_experiments,
            max_usd=self.max_usd,
            runs=tuple(self.runs.values()),
        )
        with contextlib.suppress(DiskError):
            files.publish(self.path, now.model_dump_json().encode())


def _running(job: Job, word: Progress, before: Running | None) -> Running:
    goes_on = before is not None and before.phase == word.phase
    return Running(
        label=job.label,
        profile=job.profile.name,
        seed=job.seed,
        folder=before.folder if before else folder_name(files.tree_key(job.tree), job.profile.name, job.seed),
        phase=word.phase,
        since=before.since if before and goes_on else clock.now_ms(),
        step=word.step,
        steps=job.profile.steps,
        loss=word.loss,
    )


def read_now(folder: Path) -> Now | None:
    """What the night in `folder` said last, if it said anything that reads; whether it still runs its lock tells."""
    with contextlib.suppress(OSError, ValidationError):
        return Now.model_validate_json((folder / NOW).read_bytes())
    return None
