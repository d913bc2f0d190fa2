"""The experiments under way: their runs are measured side by side, and they are settled one by one, as they were begun.

It works as a processor does that executes ahead and retires in order. In a thread of its own an experiment has the runs
measured that it is likely to need, against the champion of the moment it began; that decides nothing. When its turn
comes it is decided from them, by the code that decides one alone, knowing all that was decided before it. So the
journal's order is that of the run numbers, and what it says does not depend on which run ended first.

When each begins is fixed too: as the one that many places before it is settled. Were it any time a slot falls idle, a
night that was cut would go on to other proposals and champions than it would have had.
"""

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import TracebackType
from typing import NamedTuple, Self

from agent import proposal
from agent.attempt import Attempt, Champion, measure_ahead
from agent.background import Background, in_background
from agent.gain import fresh_runs
from agent.git import Repo
from agent.journal import Journal
from agent.lab import Lab
from agent.proposal import Proposal
from agent.records import Begun, Experiment, Run
from bench import clock
from bench.errors import Interrupted

PER_SLOT = 2
"""Experiments under way for each slot. One that goes through confirm takes several times as long as one that is dropped
before, and holds up those behind it: with no more than a slot each, most slots would soon be idle. With many more, what
passes has more often to be judged again on a newer champion."""


class Place(NamedTuple):
    """An experiment under way."""

    run: int
    after: int
    """How many were decided when it began."""
    champion: Champion
    proposal: Proposal
    measured: "Future[bool]"
    """Done once its runs are; whether its verdict hinges on its champion."""
    since: float
    """On the clock that never steps back: since when it is charged for the night's time."""


@dataclass
class Window:
    """The experiments under way, the oldest first. Leaving it before all are settled begins no other run."""

    repo: Repo
    journal: Journal
    lab: Lab
    background: Background = in_background
    places: deque[Place] = field(default_factory=deque)
    afresh: list["Future[list[Run]]"] = field(default_factory=list)
    """What is measured meanwhile of keeps, to say how much they gained."""
    left: deque[Begun] = field(default_factory=deque)
    """Begun before the night was cut, and not decided: they come first, as they were."""
    turn: float = 0.0
    """When the last had its turn, on the clock that never steps back: until then the time was charged to others."""

    def __post_init__(self) -> None:
        self.left.extend(self.journal.begun)

    @property
    def depth(self) -> int:
        """How many may be under way now: with one slot none but the one whose turn it is."""
        capacity = self.lab.bench.capacity
        return PER_SLOT * capacity if capacity > 1 else 1

    @property
    def room(self) -> bool:
        """Whether another may begin."""
        return len(self.places) < self.depth

    def due(self) -> bool:
        """Whether the oldest can be settled without waiting."""
        return bool(self.places) and self.places[0].measured.done()

    def take_up(self) -> bool:
        """Begin again the first that is left of what was under way when the night was cut; whether there was any."""
        if not self.left:
            return False
        begun = self.left.popleft()
        decided = [one for one in self.journal.in_segment() if one.run <= begun.after]
        champion = Champion(begun.champion, self.repo.trainer(begun.champion))
        self._work(begun.number, begun.after, champion, proposal.decode(begun.proposal), decided)
        return True

    def begin(self, champion: Champion, found: Proposal) -> None:
        """Begin an experiment; where others may be under way beside it, that is journalled first."""
        after = len(self.journal.experiments)
        run = after + len(self.places) + 1
        if self.depth > 1:
            word = proposal.encode(found)
            self.journal.append(
                Begun(timestamp=clock.now_ms(), number=run, champion=champion.sha, after=after, proposal=word)
            )
        self._work(run, after, champion, found, self.journal.in_segment())

    def next(self) -> Place:
        """The oldest, once its runs are measured; it is under way no more. Raises what they raised."""
        self.places[0].measured.result()
        place, charged = self.places.popleft(), self.turn
        self.turn = clock.monotonic()
        return place._replace(since=max(place.since, charged))

    def attempt(self, place: Place, champion: Champion) -> Attempt:
        """It, as something to be decided on `champion`."""
        header, segment = self.lab.header, self.journal.segment
        name = f"{header.name}-{place.run:04d}"
        return Attempt(name, place.run, segment, champion, place.proposal, place.since, unjudged=header.unjudged)

    def settled(self, this: Experiment) -> None:
        """Where it is the champion now, have measured on it whatever hinges on that, and its own fresh pairs."""
        if this.status == "keep" and self.places:
            champion, decided = Champion(this.sha, self.repo.trainer(this.sha)), self.journal.in_segment()
            self.places = deque(self._again(place, champion, decided) for place in self.places)
            self.afresh.append(self.background(lambda: fresh_runs(this, self.lab, self.repo, ahead=True)))

    def is_past(self, kept: Experiment) -> bool:
        """Whether all that was begun before that keep is settled: then what it gained is journalled."""
        after = [*(place.after for place in self.places), *(begun.after for begun in self.left)]
        return all(decided >= kept.run for decided in after)

    def _work(self, run: int, after: int, champion: Champion, found: Proposal, decided: Sequence[Experiment]) -> None:
        place = Place(run, after, champion, found, Future(), clock.monotonic())
        if self.depth > 1:
            this = self.attempt(place, champion)
            ahead = self.background(lambda: measure_ahead(this, self.lab, self.repo, decided))
            place = place._replace(measured=ahead)
        else:
            place.measured.set_result(False)
        self.places.append(place)

    def _again(self, place: Place, champion: Champion, decided: Sequence[Experiment]) -> Place:
        this = self.attempt(place, champion)

        def ahead() -> bool:
            return place.measured.result() and measure_ahead(this, self.lab, self.repo, decided)

        return place._replace(measured=self.background(ahead))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.places:
            self.lab.close()
        ends = [*(place.measured.exception() for place in self.places), *(one.exception() for one in self.afresh)]
        if isinstance(error, Interrupted):  # the others were cut off because of what one of them died of
            for other in ends:
                if other and not isinstance(other, Interrupted):
                    raise other
