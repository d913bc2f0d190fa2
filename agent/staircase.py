"""The champion's way down: each keep with what it gained, one flight of steps a segment. Pure: records in.

Differences are candidate minus champion in bits per byte: below zero is better. Levels add up what was measured one
step at a time, so they show the way; what a night gained in all is what its audit says.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from agent.journal import Journal
from agent.past import Effect, Past


@dataclass(frozen=True)
class Step:
    """A keep."""

    id: str
    run: int
    description: str
    effect: Effect | None
    """On the fresh pairs after it where those were measured, else on the pairs that it was picked by."""
    fresh: bool
    reverted: bool
    level: float
    """Of the champion after it, against the segment's baseline; a keep that was taken out again adds nothing."""


@dataclass(frozen=True)
class Flight:
    """The steps of one segment: its numbers compare with no other segment's."""

    segment: int
    profiles: str
    baseline_bpb: float | None
    """Mean val_bpb at confirm of what the segment started from; None where it was not measured yet."""
    last_run: int
    """Number of the segment's last experiment."""
    steps: tuple[Step, ...]


def staircase(journal: Journal, past: Mapping[str, Past]) -> list[Flight]:
    """Every segment's steps, oldest first. `past` holds the journal's experiments by id."""
    return [_flight(journal, segment, past) for segment in range(len(journal.headers))]


def _flight(journal: Journal, segment: int, past: Mapping[str, Past]) -> Flight:
    decided = [one for one in journal.experiments if one.segment == segment]
    regained, taken_out = journal.regained, journal.reverted
    steps, level = list[Step](), 0.0
    for one in decided:
        if one.status == "keep" and one.source != "baseline":
            effect, reverted = past[one.id].effect, one.id in taken_out
            level += effect.mean if effect and not reverted else 0.0
            steps.append(Step(one.id, one.run, one.description, effect, one.id in regained, reverted, level))
    return Flight(
        segment=segment,
        profiles=journal.headers[segment].profiles,
        baseline_bpb=next((one.metric for one in decided if one.source == "baseline"), None),
        last_run=max((one.run for one in decided), default=0),
        steps=tuple(steps),
    )
