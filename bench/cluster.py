"""A cluster's workers as one place where runs happen: `submit(job) → future`, as the slots of this machine.

Dask carries orders and says who is there. Which worker makes which run is decided here: one whose ground is the
night's, and one run a slot. A run whose worker, scheduler or link is lost is ordered again, and so is one that takes
longer than the bench would let it: the first outcome of a job counts, and there is only one.
"""

import asyncio
import contextlib
import os
import secrets
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from typing import Any, Self

from distributed import Client
from distributed.client import ClosedClientError, FutureCancelledError
from distributed.client import Future as Task
from pydantic import ValidationError

from bench import files, link, worker
from bench.errors import Interrupted, MachineError
from bench.ground import Ground
from bench.job import Job, Measurement, Progress
from bench.measure import PROGRESS
from bench.order import Card, Order, Outcome
from bench.places import Place, Places
from bench.profiles import Profile
from bench.slots import ENDED, Show, folder_name

LOOK_S = 1.0
"""So often is looked who is there."""
SILENT_S = 10.0
"""A worker from which the scheduler heard so much longer ago than from another gets no run for now."""
LATE_S = 60.0
"""What a run is given on top of its limits before it is ordered a second time."""
END_S = 5.0
"""How long the link is given to say good-bye."""


def patience(profile: Profile) -> float:
    """Seconds after which a run that has not ended is ordered a second time."""
    return profile.limits.total_s + profile.limits.score_s + LATE_S


class Cluster:
    """The workers of the scheduler at `address` whose ground is `ground`; leaving the context stops what still runs."""

    def __init__(self, address: str, ground: Ground, folder: Path, show: Show, say: Callable[[str], None]) -> None:
        self.address, self.ground, self.folder, self.show, self.say = address, ground, folder, show, say
        self.stop, self.closed = Event(), False
        self.topic = f"nightshift-{secrets.token_hex(8)}"
        self.places = Places()
        self.unfit: dict[str, str] = {}
        """Why a worker that is there is not used, by its address."""
        self.trouble = ""
        """Why nothing runs now, as a person was told."""
        self.waiting: set[asyncio.Task[Any]] = set()
        """Whoever waits for the outcome of a job."""
        self.ordered: dict[str, Job] = {}
        """Jobs of the runs under way, by the keys that Dask knows them by."""
        self.client: Client | None = None
        self.loop = asyncio.new_event_loop()
        self.thread = Thread(target=self.loop.run_forever, name="cluster")

    @property
    def capacity(self) -> int:
        """How many jobs run at a time now; one where no worker is there, for which they wait."""
        return max(1, self.places.slots)

    def submit(self, job: Job) -> Future[Measurement]:
        """Have `job` run as soon as a slot is free somewhere; the future raises what `measure` raises."""
        return asyncio.run_coroutine_threadsafe(self._settle(job), self.loop)

    def close(self) -> None:
        """Order no other run; once those under way have ended, whoever waits for anything is stopped."""
        self.loop.call_soon_threadsafe(self._close)

    def __enter__(self) -> Self:
        self.thread.start()
        self.loop.call_soon_threadsafe(self._begin)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop.set()
        asyncio.run_coroutine_threadsafe(self._end(), self.loop).result()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    # All below runs in the loop's own thread.

    def _begin(self) -> None:
        self.changed, self.lost = asyncio.Event(), asyncio.Event()
        self.keeping = self.loop.create_task(self._keep_linked())
        self.keeping.add_done_callback(lambda _: self.stop.set())
        self.ending = self.loop.create_task(self._await_stop())

    async def _await_stop(self) -> None:
        """Once `stop` is set, by whomever, nobody waits for anything any more."""
        await asyncio.to_thread(self.stop.wait)
        for task in self.waiting.copy():
            task.cancel()

    async def _end(self) -> None:
        await self.ending
        if self.waiting:
            await asyncio.wait(self.waiting.copy())
        self.keeping.cancel()
        await asyncio.wait({self.keeping}, timeout=END_S)
        await self.loop.shutdown_default_executor()
        if self.keeping.done() and not self.keeping.cancelled():
            self.keeping.result()

    def _close(self) -> None:
        self.closed = True
        self._wake()
        if not self.waiting:
            self.stop.set()

    def _wake(self) -> None:
        """Have those look again who wait for a free slot."""
        self.changed.set()
        self.changed.clear()

    async def _settle(self, job: Job) -> Measurement:
        """The one outcome of a job."""
        me = asyncio.current_task()
        assert me is not None
        self.waiting.add(me)
        runs: set[asyncio.Task[Outcome | None]] = set()
        try:
            while True:
                address, place = await self._free(job)
                if not any(run.done() for run in runs):
                    runs.add(self._order(job, address, place))
                done, runs = await asyncio.wait(
                    runs, timeout=patience(job.profile), return_when=asyncio.FIRST_COMPLETED
                )
                for run in done:
                    outcome = None if run.cancelled() else run.result()
                    if outcome and (found := outcome.result()):
                        return found
                if not done:
                    self.say(f"{place.name} has not answered for {job.label}: it is run a second time")
                    self.places.part(job.pair)
        except asyncio.CancelledError:
            if self.stop.is_set():
                raise Interrupted("stopped before its run ended") from None
            raise
        finally:
            for run in runs:
                run.cancel()
            self.waiting.discard(me)
            self.show(job, Progress(phase=ENDED))
            if self.closed and not self.waiting:
                self.stop.set()

    async def _free(self, job: Job) -> tuple[str, Place]:
        """A worker with a free slot for `job`, once there is one. Raises Interrupted where no run is to begin now."""
        while True:
            if self.closed or self.stop.is_set():
                raise Interrupted("stopped before a run began")
            linked = self.client and self.client.status == "running" and not self.lost.is_set()
            if linked and (found := self.places.free(job.pair)):
                return found
            await self.changed.wait()

    def _order(self, job: Job, address: str, place: Place) -> "asyncio.Task[Outcome | None]":
        """Begin a run at a worker, which takes one of its slots until it is over or the worker is gone."""
        client, key = self.client, f"run-{secrets.token_hex(8)}"
        assert client is not None
        run = asyncio.create_task(self._run(client, key, job, address, place))
        place.runs.add(run)

        def over(run: "asyncio.Task[Outcome | None]") -> None:
            place.runs.discard(run)
            self._wake()

        run.add_done_callback(over)
        return run

    async def _run(self, client: Client, key: str, job: Job, address: str, place: Place) -> Outcome | None:
        """How the run ended, or None where it came to nothing. Raises MachineError where the scheduler is another's."""
        order = Order.of(job, self.ground, self.topic).model_dump_json()
        files.fresh_folder(self._folder_of(job))
        self.ordered[key] = job
        task: Task[str] | None = None
        try:
            task = client.submit(worker.run, order, key=key, workers=[address], pure=False)
            outcome = Outcome.model_validate_json(await task)
        except (FutureCancelledError, ClosedClientError):
            self.lost.set()
            return None
        except OSError:
            place.rests = True
            return None
        except RuntimeError as error:  # Dask's word for what it cannot unpack
            raise MachineError(
                f"the scheduler at {self.address} cannot read what is sent ({str(error).partition('.')[0]}); start it"
                " from an installation of the same nightshift"
            ) from error
        finally:
            del self.ordered[key]
            if task:
                task.release()
        if outcome.unfit:
            self._misfit(address, place.name, outcome.unfit)
        place.rests = outcome == Outcome()
        return outcome

    def _folder_of(self, job: Job) -> Path:
        return self.folder / folder_name(files.tree_key(job.tree), job.profile.name, job.seed)

    def _hear(self, event: tuple[float, tuple[str, str]]) -> None:
        """A worker's word on a run: shown, and kept where a local run's would be."""
        _, (key, text) = event
        if job := self.ordered.get(key):
            self.show(job, Progress.model_validate_json(text))
            with contextlib.suppress(OSError), files.opened(self._folder_of(job) / PROGRESS, os.O_APPEND) as descriptor:
                files.write_all(descriptor, f"{text}\n".encode())

    async def _keep_linked(self) -> None:
        """Hold a link to the scheduler, and look for another whenever it is lost."""
        while True:
            try:
                # Whether anybody is there at all: a client that is still being made cannot be given up.
                await link.reach(self.address, "client")
                async with Client(self.address, asynchronous=True, set_as_default=False) as client:
                    client.subscribe_topic(self.topic, self._hear)
                    await self._look_round(client)
            except OSError as error:
                if self.trouble != "link":
                    self.trouble = "link"
                    self.say(f"no scheduler answers at {self.address} ({error}); it is asked again until one does")
            finally:
                for place in self.places.values():
                    place.leave()
                self.places.clear()
                self.unfit.clear()
            await asyncio.sleep(LOOK_S)

    async def _look_round(self, client: Client) -> None:
        """Keep the places as the scheduler knows them. Raises OSError once the link is lost."""
        scheduler = client.scheduler
        assert scheduler is not None
        first = seen = await scheduler.identity(n_workers=-1)
        self.client = client
        self.lost.clear()
        while client.status == "running" and seen["id"] == first["id"]:
            there = {address: one for address, one in seen["workers"].items() if one["status"] == "running"}
            for address in self.places.keys() - there.keys():
                self.say(f"{self.places[address].name} has left")
                self.places.pop(address).leave()
            latest = max((one["last_seen"] for one in there.values()), default=0.0)
            for address, place in self.places.items():
                place.rests = latest - there[address]["last_seen"] > SILENT_S
            for address in there.keys() - self.places.keys() - self.unfit.keys():
                self._meet(address, there[address])
            self._wake()
            if self.waiting and not self.places and self.trouble != "workers":
                self.trouble = "workers"
                self.say(f"no worker fits yet: type `nightshift worker {self.address}` beside the same data")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.lost.wait(), LOOK_S)
                break
            seen = await scheduler.identity(n_workers=-1)
        raise ConnectionError("the link is lost")

    def _meet(self, address: str, known: dict[str, Any]) -> None:
        """Use a worker that has come, or say why it is not used."""
        try:
            card = Card.model_validate_json(known.get(worker.CARD, "{}"))
        except ValidationError:
            self._misfit(
                address, f"worker {address}", "it speaks another version's language, or is none of nightshift's"
            )
            return
        if differ := self.ground.differences(card.ground):
            self._misfit(address, str(card), " and ".join(differ))
            return
        slots: int = known["nthreads"]
        self.say(f"{card} joins, slots: {slots}")
        self.places[address] = Place(str(card), slots)
        self.trouble = ""

    def _misfit(self, address: str, name: str, why: str) -> None:
        self.unfit[address] = why
        self.places.pop(address, None)
        self.say(f"{name} is not used: {why}")
