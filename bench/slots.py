"""Places where runs happen, a fixed number at a time: `submit(job) → future`."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import Self

from bench import files
from bench.data import Dataset
from bench.job import Job, Measurement, Progress
from bench.measure import measure

ENDED = "ended"
"""The phase that is shown once a run is over, however it ended."""

Show = Callable[[Job, Progress], None]


class Slots:
    """`count` slots on this machine, one thread each; leaving the context stops what still runs."""

    def __init__(self, count: int, data: Dataset, folder: Path, show: Show) -> None:
        self.data, self.folder, self.show = data, folder, show
        self.stop = Event()
        self.pool = ThreadPoolExecutor(count, thread_name_prefix="slot")

    def submit(self, job: Job) -> Future[Measurement]:
        """Run `job` as soon as a slot is free; the future raises what `measure` raises."""
        return self.pool.submit(self._run, job)

    def folder_of(self, job: Job) -> Path:
        """Where a job's run leaves its progress, its standard error and its artifact: one for each set of knobs."""
        knobs = {name: value.encode() for name, value in job.knobs.items()}
        return self.folder / f"{files.tree_key({**job.tree, **knobs})[:12]}-{job.profile.name}-{job.seed}"

    def _run(self, job: Job) -> Measurement:
        try:
            return measure(job, self.data, self.folder_of(job), lambda word: self.show(job, word), self.stop)
        finally:
            self.show(job, Progress(phase=ENDED))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop.set()
        self.pool.shutdown(wait=True, cancel_futures=True)
