"""A world whose clock jumps: real threads, real git and real files, and no second that anybody really waits for.

Time stands still while any thread of the world works, and jumps to the next event when all of them wait. So what
overlaps with what is decided by the program alone, and a night of two hours takes seconds.
"""

import heapq
import itertools
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from threading import Condition, Thread
from typing import TypeVar

import pytest

from bench import clock
from bench.errors import NightshiftError, RunFailed
from bench.files import tree_key
from bench.job import Job, Measurement
from tests.fakes.bench import measurement

T = TypeVar("T")
EPOCH_MS = 1_793_000_000_000


@dataclass(eq=False)
class _Waiter:
    ready: Callable[[], bool]


@dataclass
class World:
    """The clock, and who waits for what. The thread that makes it is its first; `background` starts others."""

    now: float = 0.0
    working: int = 1
    changed: Condition = field(default_factory=Condition)
    events: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    waiters: list[_Waiter] = field(default_factory=list)
    numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    def rule(self, monkeypatch: pytest.MonkeyPatch) -> "World":
        """Be the clock that the program reads."""
        monkeypatch.setattr(clock, "monotonic", lambda: self.now)
        monkeypatch.setattr(clock, "through_sleep", lambda: self.now)
        monkeypatch.setattr(clock, "now_ms", lambda: EPOCH_MS + int(1000 * self.now))
        monkeypatch.setattr(clock, "sleep", self.sleep)
        return self

    def sleep(self, seconds: float) -> None:
        """Wait so long."""
        self.wait(lambda: False, seconds)

    def at(self, time: float, happens: Callable[[], None]) -> None:
        """Have something happen then."""
        with self.changed:
            heapq.heappush(self.events, (time, next(self.numbers), happens))

    def wait(self, ready: Callable[[], bool], seconds: float | None = None) -> None:
        """Wait until it is so, or as long as that."""
        deadline = None if seconds is None else self.now + seconds
        if deadline is not None:
            self.at(deadline, lambda: None)
        me = _Waiter(lambda: ready() or (deadline is not None and self.now >= deadline))
        with self.changed:
            self.working -= 1
            self.waiters.append(me)
            self.changed.notify_all()
            while not me.ready():
                if self.working == 0 and not any(one.ready() for one in self.waiters):
                    assert self.events, "all wait, and nothing will ever happen"
                    self.now, _, happens = heapq.heappop(self.events)
                    happens()
                    self.changed.notify_all()
                else:
                    self.changed.wait()
            self.waiters.remove(me)
            self.working += 1

    def background(self, work: Callable[[], T]) -> "Future[T]":
        """Do `work` in another thread of this world."""
        future: Promise[T] = Promise(self)

        def run() -> None:
            try:
                result = work()
            except BaseException as error:
                self._leave(partial(future.set_exception, error))
            else:
                self._leave(partial(future.set_result, result))

        with self.changed:
            self.working += 1
        Thread(target=run, daemon=True).start()
        return future

    def _leave(self, last: Callable[[], None]) -> None:
        with self.changed:
            last()
            self.working -= 1
            self.changed.notify_all()

    def at_once(self, work: Callable[[], T]) -> "Future[T]":
        """Do `work` now, while everybody waits: a serial loop."""
        future: Promise[T] = Promise(self)
        future.set_result(work())
        return future


class Promise(Future[T]):
    """A future that is waited for in its world's time."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world

    def result(self, timeout: float | None = None) -> T:
        """What it gives, once there is something."""
        self.world.wait(self.done, timeout)
        return super().result(0)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """What it ended with."""
        self.world.wait(self.done, timeout)
        return super().exception(0)


class WorldBench:
    """Slots, first come, first served. `seconds` says how long a run takes, `bpb` its score: below 0 is a crash.

    What `bpb` raises the run ends with.
    """

    def __init__(
        self, world: World, seconds: Callable[[Job], float], bpb: Callable[[Job], float], capacity: int = 1
    ) -> None:
        self.world, self.seconds, self.bpb, self.capacity = world, seconds, bpb, capacity
        self.frees, self.busy = [0.0] * capacity, 0.0
        """When each slot has done what it was given so far."""
        self.jobs: list[tuple[float, Job]] = []
        """Each with the time it began."""

    @property
    def free(self) -> float:
        """When all that was given to it is done."""
        return max(self.frees)

    def submit(self, job: Job) -> Future[Measurement]:
        """Run `job` when its turn comes."""
        future: Promise[Measurement] = Promise(self.world)
        future.set_running_or_notify_cancel()  # what it was given it does: nobody waits for one that was taken back
        begins = max(heapq.heappop(self.frees), self.world.now)
        ends = begins + self.seconds(job)
        heapq.heappush(self.frees, ends)
        self.jobs.append((begins, job))
        self.busy += self.seconds(job)

        def end() -> None:
            try:
                found = self.bpb(job)
            except NightshiftError as error:
                future.set_exception(error)
                return
            if found < 0:
                future.set_exception(RunFailed("exit_code", "it raised", 'File "trainer/train.py"\nValueError: bent'))
            else:
                future.set_result(measurement(found, 10.0, f"{tree_key(job.tree)} {job.seed}"))

        self.world.at(ends, end)
        return future

    def share(self, until: float) -> float:
        """Of the time up to `until`, how much the slots were in use."""
        late = sum(max(0.0, begins + self.seconds(job) - max(until, begins)) for begins, job in self.jobs)
        return (self.busy - late) / until / self.capacity
