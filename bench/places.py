"""Where a cluster's runs can be made: the workers that a night uses, their slots, and which of them a run goes to."""

import asyncio
from dataclasses import dataclass, field

from bench.order import Outcome


@dataclass(eq=False)
class Place:
    """A worker as this night sees it."""

    name: str
    slots: int
    runs: set["asyncio.Task[Outcome | None]"] = field(default_factory=set)
    """Ordered there and not over."""
    rests: bool = False
    """No run is to begin there now: one came to nothing, or nothing was heard from it lately."""

    @property
    def load(self) -> float:
        """Share of the slots that are in use; all of them where it rests."""
        return 1.0 if self.rests else len(self.runs) / self.slots

    def leave(self) -> None:
        """What was ordered there will never come."""
        for run in list(self.runs):
            run.cancel()


class Places(dict[str, Place]):
    """The workers that are there and fit, by their addresses."""

    def __init__(self) -> None:
        super().__init__()
        self.pairs: dict[str, str] = {}
        """The worker that the first run of a pair went to."""

    @property
    def slots(self) -> int:
        """All together."""
        return sum(place.slots for place in list(self.values()))  # from another thread than the one that changes it

    def free(self, pair: str) -> tuple[str, Place] | None:
        """The least busy with a free slot; for the second run of a pair only the worker that has the first, if there.

        What a pair is compared by is to differ by its two trees alone, and not by two machines.
        """
        there = self.pairs.get(pair, "")
        able = {there: self[there]} if there in self else self
        address, place = min(able.items(), key=lambda one: one[1].load, default=("", None))
        if place is None or place.load >= 1:
            return None
        if pair:
            self.pairs[pair] = address
        return address, place

    def part(self, pair: str) -> None:
        """Let the next run of that pair go anywhere: the worker that has it does not answer."""
        self.pairs.pop(pair, None)
