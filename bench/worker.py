"""A worker: it makes runs on this machine for nights elsewhere, one thread each, with the bench's own hard limits.

Dask finds it work and says when nobody waits for that any more. Whatever becomes of scheduler or link, the worker ends
what it was running and comes back.
"""

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from threading import Event

from distributed import Worker, WorkerPlugin, get_worker

from bench import clock, files
from bench.data import Dataset
from bench.errors import Interrupted, NightshiftError, RunFailed, UsageError
from bench.ground import Ground
from bench.job import Progress
from bench.link import reach
from bench.measure import measure
from bench.order import Card, Order, Outcome

CARD = "nightshift"
"""Under what name a worker's card is found among what Dask knows of it."""
TELL_S = 1.0
"""A step is told no more often; a phase that begins, at once."""
AGAIN_S = 1.0
"""Seconds between losing a scheduler and looking for it again."""


def run(order: str) -> str:
    """The task that Dask carries to a worker: an order to its outcome, both in JSON."""
    worker = get_worker()
    runs = worker.plugins[Runs.name]
    assert isinstance(runs, Runs)
    return runs.run(str(worker.get_current_task()), order).model_dump_json()


class Runs(WorkerPlugin):
    """The runs under way on this machine; each is stopped where nobody waits for it any more, and all at the end."""

    name = "nightshift"

    def __init__(self, data: Dataset, folder: Path, say: Callable[[str], None]) -> None:
        self.data, self.folder, self.say = data, folder, say
        self.under_way: dict[str, Event] = {}
        self.worker: Worker | None = None

    def setup(self, worker: Worker) -> None:
        """Dask's word that a worker begins."""
        self.worker = worker

    def transition(self, key: object, start: str, finish: str, **_: object) -> None:
        """Dask's word on a task: one that was let go while it ran has nobody left who waits for it."""
        if finish == "released" and (stop := self.under_way.get(str(key))):
            stop.set()

    def teardown(self, worker: Worker) -> None:
        """Dask's word that a worker ends, for whatever reason."""
        del worker
        for stop in list(self.under_way.values()):
            stop.set()

    def run(self, key: str, order: str) -> Outcome:
        """Make the run that was ordered, if it is one for this ground."""
        asked = Order.model_validate_json(order)
        stop, folder = self.under_way.setdefault(key, Event()), self.folder / key
        try:
            if differ := asked.ground.differences(Ground.of(self.data)):
                raise UsageError(" and ".join(differ))
            self.say(f"{asked.label} · {asked.profile} · seed {asked.seed}")
            return Outcome(measurement=measure(asked.job(), self.data, folder, self._teller(asked.topic, key), stop))
        except RunFailed as error:
            return Outcome(reason=error.reason, detail=error.detail, log=error.log)
        except Interrupted:
            return Outcome()
        except NightshiftError as error:
            self.say(f"{asked.label} is not run here: {error}")
            return Outcome(unfit=str(error))
        finally:
            del self.under_way[key]
            files.remove(folder)

    def _teller(self, topic: str, key: str) -> Callable[[Progress], None]:
        """What passes a run's progress on to whoever listens to `topic`."""
        phase, told = "", -TELL_S

        def tell(word: Progress) -> None:
            nonlocal phase, told
            if self.worker and (word.phase != phase or clock.monotonic() >= told + TELL_S):
                phase, told = word.phase, clock.monotonic()
                self.worker.log_event(topic, [key, word.model_dump_json()])

        return tell


async def serve(address: str, slots: int, runs: Runs) -> None:
    """Serve the scheduler at `address`, whenever there is one, until SIGINT or SIGTERM."""
    ends = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ends.set)
    ending = asyncio.create_task(ends.wait())
    lost = False
    while not ends.is_set():
        session = asyncio.create_task(_session(address, slots, runs, lost=lost))
        await asyncio.wait({session, ending}, return_when=asyncio.FIRST_COMPLETED)
        session.cancel()
        await asyncio.wait({session})
        lost = not session.cancelled() and not session.result()
        await asyncio.wait({ending}, timeout=AGAIN_S)


async def _session(address: str, slots: int, runs: Runs, *, lost: bool) -> bool:
    """Serve as long as the link holds; whether there was one. `lost`: it was said that there is none."""
    card = Card(host=socket.gethostname(), pid=os.getpid(), ground=Ground.of(runs.data)).model_dump_json()
    try:
        host = await reach(address, "worker")
        async with Worker(
            address,
            nthreads=slots,
            host=host,
            dashboard_address="127.0.0.1:0",
            memory_limit=0,
            local_directory=str(runs.folder),
            plugins=(runs,),
            startup_information={CARD: lambda _: card},
        ) as worker:
            runs.say(f"serves {address}, slots: {slots}")
            await worker.finished()
    except (OSError, RuntimeError) as error:
        if not lost:
            runs.say(
                f"no scheduler answers at {address} ({error.__cause__ or error}); it is asked again until one does"
            )
        return False
    return True
