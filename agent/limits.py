"""When a night ends."""

from collections.abc import Callable
from dataclasses import dataclass

from agent.journal import Journal
from bench import clock


@dataclass(frozen=True)
class Limits:
    """When a night ends."""

    until: float
    """On the clock that runs while the machine sleeps: no experiment starts after this."""
    experiments: int
    """Decided in all, baselines not counted."""
    changed: Callable[[], str | None] = lambda: None
    """Why what is measured from now on cannot be compared with the rest, if it cannot."""

    def reached(self, journal: Journal, under_way: int = 0) -> str | None:
        """Why no experiment begins any more, if so: the night ends once those that are `under_way` are settled."""
        decided = sum(experiment.source != "baseline" for experiment in journal.experiments)
        if decided + under_way >= self.experiments:
            return f"{decided} experiments decided, the most asked for"
        return "its time is up" if clock.through_sleep() >= self.until else self.changed()
