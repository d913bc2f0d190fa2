"""Places where runs happen, a fixed number at a time: `submit(job) → future`."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event, RLock
from types import TracebackType
from typing import Self

from bench import files
from bench.data import Dataset
from bench.errors import Interrupted
from bench.job import Job, Measurement, Progress
from bench.measure import measure
from bench.rig import Rig, run_script

ENDED = "ended"
"""The phase that is shown once a run is over, however it ended."""

Show = Callable[[Job, Progress], None]


def folder_name(tree: str, profile: str, seed: int) -> str:
    """What the folder of a run is called, by the key of its tree (and knobs, where there are any)."""
    return f"{tree[:12]}-{profile}-{seed}"


class Slots:
    """`count` slots on this machine, one thread each; leaving the context stops what still runs.

    `ground` is what a run is made on: data that the bench scores with, or a script that says its score itself.
    """

    def __init__(self, count: int, ground: Dataset | Rig, folder: Path, show: Show) -> None:
        self.capacity, self.ground, self.folder, self.show = count, ground, folder, show
        self.stop, self.closed = Event(), Event()
        self.under_way = 0
        self.lock = RLock()  # a signal's handler takes it wherever its thread is
        self.pool = ThreadPoolExecutor(count, thread_name_prefix="slot")

    def submit(self, job: Job) -> Future[Measurement]:
        """Run `job` as soon as a slot is free; the future raises what `measure` raises."""
        return self.pool.submit(self._run, job)

    def close(self) -> None:
        """Begin no other run; once those under way have ended, whoever waits for anything is stopped."""
        with self.lock:
            self.closed.set()
            if not self.under_way:
                self.stop.set()

    def folder_of(self, job: Job) -> Path:
        """Where a job's run leaves its progress, its standard error and its artifact: one for each set of knobs."""
        knobs = {name: value.encode() for name, value in job.knobs.items()}
        return self.folder / folder_name(files.tree_key({**job.tree, **knobs}), job.profile.name, job.seed)

    def _run(self, job: Job) -> Measurement:
        with self._begun():
            folder, ground = self.folder_of(job), self.ground
            try:
                if isinstance(ground, Rig):
                    return run_script(job, ground, folder, lambda word: self.show(job, word), self.stop)
                return measure(job, ground, folder, lambda word: self.show(job, word), self.stop)
            finally:
                self.show(job, Progress(phase=ENDED))

    @contextmanager
    def _begun(self) -> Iterator[None]:
        """Count a run as under way. Raises Interrupted where none is to begin."""
        with self.lock:
            if self.closed.is_set():
                raise Interrupted("stopped before a run began")
            self.under_way += 1
        try:
            yield
        finally:
            with self.lock:
                self.under_way -= 1
                if self.closed.is_set() and not self.under_way:
                    self.stop.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop.set()
        self.pool.shutdown(wait=True, cancel_futures=True)
