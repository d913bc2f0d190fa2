"""What a night took: device time by what it was for, and dollars by what they were asked for. Pure: records in."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agent.calls import Reserved, Spent
from agent.plan import stage_of
from agent.records import AnyRecord, Audited, Experiment, Header, Measured, Regained, Transferred

KINDS = ("baseline", "smoke", "breadth", "confirm", "fresh pairs", "audit", "transfer")
FAILED, CUT, UNTRIED = "calls that failed", "calls without an end", "drafts that led to no experiment"


@dataclass(frozen=True)
class Time:
    """Runs that were measured for one purpose; what was measured before and served again is not among them."""

    kind: str
    runs: int
    failed: int
    """Runs among them that gave no measurement: how long those took is not known."""
    wall_s: float
    """Of each run by itself: runs in two slots count twice."""
    cpu_s: float


@dataclass(frozen=True)
class Money:
    """Calls of a language model for one purpose."""

    purpose: str
    """The strategy that it was asked to follow, or why its calls led to nothing."""
    calls: int
    usd: float
    at_most: float
    """Dollars they can have cost: more than `usd` where an answer was cut off."""


def device_time(records: Sequence[AnyRecord]) -> list[Time]:
    """Runs by kind, in the order that an experiment passes through; a kind without runs is left out."""
    runs = list(_kinds(records))
    groups = ((kind, [one for of, one in runs if of == kind]) for kind in KINDS)
    return [_time(kind, those) for kind, those in groups if those]


def _kinds(records: Sequence[AnyRecord]) -> Iterator[tuple[str, Measured]]:
    """Every measured run with what it was for: the line that closes it tells, or it is a fresh one of a keep."""
    waiting: list[Measured] = []
    afresh = _afresh(records)
    for record in records:
        match record:
            case Measured() if (record.profile, record.seed, record.tree) in afresh:
                yield "fresh pairs", record
            case Measured():
                waiting.append(record)
            case Experiment() | Regained() | Audited() | Transferred() | Header():
                yield from ((_kind(one, record), one) for one in waiting)
                waiting.clear()
    yield from ((stage_of(one.profile), one) for one in waiting)


def _kind(run: Measured, closing: AnyRecord) -> str:
    stage = stage_of(run.profile)
    if isinstance(closing, Experiment) and closing.source == "baseline" and run.tree == closing.tree:
        return "baseline"
    return stage


def _afresh(records: Sequence[AnyRecord]) -> set[tuple[str, int, str]]:
    """Profile, seed and tree of what was measured of keeps to say how much they gained: beside others, perhaps."""
    decided = [one for one in records if isinstance(one, Experiment)]
    kept, trees = {one.id: one for one in decided}, {one.sha: one.tree for one in decided}
    pairs = [
        (gain.evidence.profile, pair.seed, kept[gain.id])
        for gain in records
        if isinstance(gain, Regained) and gain.id in kept
        for pair in gain.evidence.pairs
    ]
    return {(name, seed, tree) for name, seed, one in pairs for tree in (one.tree, trees.get(one.parent, ""))}


def _time(kind: str, runs: Sequence[Measured]) -> Time:
    found = [one.measurement for one in runs if one.measurement]
    wall_s, cpu_s = math.fsum(one.wall_s for one in found), math.fsum(one.cpu_s for one in found)
    return Time(kind, len(runs), len(runs) - len(found), wall_s, cpu_s)


def money(records: Sequence[AnyRecord]) -> list[Money]:
    """Dollars by strategy, the dearest first; calls that came to nothing stand apart, last."""
    arms = {one.authored.draft: one.authored.arm for one in records if isinstance(one, Experiment) and one.authored}
    ended = [one for one in records if isinstance(one, Spent)]
    cut = {one.call: one for one in records if isinstance(one, Reserved)}
    groups: dict[str, list[Spent]] = {}
    for one in ended:
        cut.pop(one.call, None)
        groups.setdefault(FAILED if one.error else arms.get(one.draft, UNTRIED), []).append(one)
    found = [
        Money(name, len(calls), math.fsum(one.usd for one in calls), math.fsum(one.at_most for one in calls))
        for name, calls in groups.items()
    ]
    if cut:
        found.append(Money(CUT, len(cut), 0.0, math.fsum(one.usd for one in cut.values())))
    return sorted(found, key=lambda one: (one.purpose in (FAILED, CUT, UNTRIED), -one.usd, one.purpose))
