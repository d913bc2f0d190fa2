"""How well breadth foretells confirm, and what another breadth would have cost and missed, purely from experience.

A night's experiments count beside the calibration's changes, but they reach confirm only where breadth let them through
or a spot check drew them: the more of them, the better breadth looks.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from statistics import fmean
from typing import NamedTuple

import numpy as np

from agent import promotion
from agent.experience import Change, Experience, Sample
from agent.noise import Array, Noise
from agent.promotion import Point, Promotion
from bench.errors import UsageError

LEAST = 4
"""Changes measured at both, below which nothing is said."""
ERRORS = 2.0
"""Standard errors below zero from which a change is worth confirm."""
MOST_PAIRS = 4
"""As many as a calibration makes of a change at each stage."""
ROUNDS, SEED = 4000, 1
"""Of the bootstrap."""


@dataclass(frozen=True)
class Correlation:
    """Spearman's, with a 95 % interval: percentiles of a bootstrap over changes."""

    rho: float
    low: float
    high: float
    changes: int


@dataclass(frozen=True)
class Share:
    """`count` of `of`, with the 95 % interval of Clopper and Pearson; None where nothing is there to count."""

    count: int
    of: int
    share: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Judged:
    """One change measured at both, in bits per byte."""

    name: str
    breadth: float
    """Mean difference; nought where it changed nothing at all."""
    confirm: float
    error: float
    """Standard error of `confirm`."""
    worth: bool
    promoted: bool


@dataclass(frozen=True)
class Screen:
    """What dropping by so many pairs of one stage would have done."""

    stage: str
    pairs: int
    cost: float | None
    """Of a proposal, in runs of confirm by CPU seconds, as the champion's runs serve every proposal; None: unknown."""
    promoted: float
    """Share of the changes let through, averaged over which seeds were drawn."""
    missed: float
    """How many changes worth confirm were dropped, averaged likewise."""
    worth: int
    changes: int


@dataclass(frozen=True)
class Proxy:
    """What breadth is worth on one machine."""

    machine: str
    data: str
    profiles: str
    provisional: bool
    correlation: Correlation
    precision: Share
    """Of the changes promoted, those worth confirm."""
    recall: Share
    """Of the changes worth confirm, those promoted."""
    screens: tuple[Screen, ...]
    """Empty where the differences were not kept seed by seed."""
    changes: tuple[Judged, ...]


@dataclass(frozen=True)
class _Case:
    """A change measured at both, and what all others but it say."""

    change: Change
    confirm: Sample
    foretells: Promotion
    noise: Noise
    """Of confirm."""


class _Shown(NamedTuple):
    """What the drawn pairs of a change show, and the mean difference at confirm that they are to foretell."""

    drawn: tuple[float, ...]
    confirm: float


def examine(known: Experience) -> Proxy:
    """What `known` says of breadth. Raises UsageError where too few changes were measured at both stages.

    A change is worth confirm where its mean difference there lies more than two standard errors below zero. The error
    is the one verdicts go by: the standard deviation of one difference (agent/noise.py: the change's own residuals
    weighed with what every other change showed) by the root of its pairs, so that few pairs which happen to agree are
    not taken for certainty.

    It is promoted where `promotion.gate` lets its mean difference at breadth through, with noise and promotion learnt
    from every other change and no spot check. What changes nothing at breadth is not ranked; the gate drops it.
    """
    both = [(change.breadth, change.confirm) for change in known.changes]
    points = [Point(breadth.mean, confirm.mean) for breadth, confirm in both if breadth and confirm]
    if len(points) < LEAST:
        told = f"only {len(points)} changes were measured at breadth and at confirm, of the {LEAST} it takes at least"
        raise UsageError(f"{told}: type `nightshift calibrate`")
    cases = list(_cases(known))
    judged = tuple(_judge(case) for case in cases)
    hits = sum(one.worth and one.promoted for one in judged)
    return Proxy(
        machine=known.machine,
        data=known.data,
        profiles=known.profiles,
        provisional=known.provisional,
        correlation=correlate(points),
        precision=share(hits, sum(one.promoted for one in judged)),
        recall=share(hits, sum(one.worth for one in judged)),
        screens=tuple(_screens(known.seconds, cases, [one.worth for one in judged])),
        changes=judged,
    )


def correlate(points: Sequence[Point]) -> Correlation:
    """How alike breadth and confirm rank the changes. Raises UsageError where one of the two ranks nothing."""
    found, size = np.array(points).T, len(points)
    if not np.ptp(found, axis=1).all():
        raise UsageError(f"all {size} changes came out alike at breadth or at confirm, which ranks nothing")
    drawn = found[:, np.random.default_rng(SEED).integers(size, size=(ROUNDS, size))]
    low, high = np.nanpercentile(_spearman(*drawn), (2.5, 97.5))
    return Correlation(float(_spearman(*found)), float(low), float(high), size)


def share(hits: int, of: int) -> Share:
    """`hits` of `of` with the interval."""
    from scipy.stats import binomtest  # a second that commands which only read need not wait

    if not of:
        return Share(hits, of, None, None, None)
    low, high = binomtest(hits, of).proportion_ci(method="exact")
    return Share(hits, of, hits / of, float(low), float(high))


def _spearman(first: Array, second: Array) -> Array:
    """Spearman's rank correlation along the last axis; NaN where one is the same throughout and ranks nothing."""
    from scipy.stats import rankdata

    ranks = np.stack([rankdata(one, axis=-1) for one in (first, second)])
    ranks -= ranks.mean(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore"):
        found: Array = ranks.prod(axis=0).sum(axis=-1) / np.sqrt((ranks**2).sum(axis=-1).prod(axis=0))
    return found


def _cases(known: Experience) -> Iterator[_Case]:
    for change in known.changes:
        if change.confirm:
            rest = tuple(other for other in known.changes if other is not change)
            others = known.model_copy(update={"changes": rest})
            yield _Case(change, change.confirm, others.promotion(), others.noise("confirm", change.lane))


def _judge(case: _Case) -> Judged:
    breadth, confirm = case.change.breadth.mean if case.change.breadth else 0.0, case.confirm
    error = case.noise.scale(case.noise.given(confirm.squares, confirm.pairs - 1)) / math.sqrt(confirm.pairs)
    return Judged(
        name=case.change.name,
        breadth=breadth,
        confirm=confirm.mean,
        error=error,
        worth=confirm.mean < -ERRORS * error,
        promoted=_promoted([breadth], case.foretells, case.noise),
    )


def _promoted(shown: Sequence[float], foretells: Promotion, noise: Noise) -> bool:
    """Whether differences like `shown` let a change through to confirm, spot checks aside."""
    return any(shown) and foretells.promising(fmean(shown), noise)


def _screens(seconds: Mapping[str, float], cases: Sequence[_Case], worth: Sequence[bool]) -> Iterator[Screen]:
    """Every number of pairs at both stages; at confirm one at least is left over, to be foretold."""
    ratio = seconds["breadth"] / seconds["confirm"] if seconds.get("confirm") and "breadth" in seconds else None
    for stage, most, run in (("breadth", MOST_PAIRS, ratio), ("confirm", MOST_PAIRS - 1, 1.0)):
        for pairs in range(1, most + 1):
            passed = _passed(cases, stage, pairs)
            if passed:
                yield Screen(
                    stage=stage,
                    pairs=pairs,
                    cost=None if run is None else pairs * run,
                    promoted=fmean(passed.values()),
                    missed=math.fsum(1 - chance for at, chance in passed.items() if worth[at]),
                    worth=sum(worth[at] for at in passed),
                    changes=len(passed),
                )


def _passed(cases: Sequence[_Case], stage: str, pairs: int) -> dict[int, float]:
    """The share of draws that let a change through, by its place, where its differences were kept.

    A draw's promotion is learnt from what the other changes show in the same draw.
    """
    passed = defaultdict(list)
    for draw in combinations(range(MOST_PAIRS), pairs):
        table = {at: shown for at, case in enumerate(cases) if (shown := _shown(case, stage, draw))}
        points = {at: Point(fmean(shown.drawn), shown.confirm) for at, shown in table.items() if any(shown.drawn)}
        for at, shown in table.items():
            others = promotion.learn([point for other, point in points.items() if other != at])
            passed[at].append(_promoted(shown.drawn, others, cases[at].noise))
    return {at: fmean(found) for at, found in passed.items()}


def _shown(case: _Case, stage: str, draw: tuple[int, ...]) -> _Shown | None:
    """What that draw of a change's pairs shows; None where it has not so many, or they were not kept one by one."""
    breadth, kept = case.change.breadth, case.confirm.differences
    if stage == "confirm":
        found, foretold = kept, tuple(one for at, one in enumerate(kept) if at not in draw)
    else:
        found, foretold = breadth.differences if breadth else (0.0,) * MOST_PAIRS, kept
    return _Shown(tuple(found[at] for at in draw), fmean(foretold)) if foretold and draw[-1] < len(found) else None


def as_text(proxy: Proxy) -> str:
    """The examination in plain lines, the conclusion last."""
    lines = [
        f"{proxy.profiles}breadth as a proxy of {proxy.profiles}confirm, on {proxy.machine}, {proxy.data}"
        + ("; provisional: `nightshift calibrate` measures it here" if proxy.provisional else ""),
        f"  {'worth confirm among those promoted':<36}{_share(proxy.precision)}",
        f"  {'promoted among those worth confirm':<36}{_share(proxy.recall)}",
    ]
    if proxy.screens:
        lines.append(
            f"  {'dropping by':<20}{'runs of confirm each':>22}{'promoted':>10}{'worth confirm and missed':>26}"
        )
    else:
        lines.append("  other breadths: not told, as differences were not kept seed by seed: `nightshift calibrate`")
    for one in proxy.screens:
        by, cost = (
            f"{one.stage}, {one.pairs} pair{'s' * (one.pairs > 1)}",
            "–" if one.cost is None else f"{one.cost:.2f}",
        )
        lines.append(f"  {by:<20}{cost:>22}{one.promoted:>10.0%}{f'{one.missed:.1f} of {one.worth}':>26}")
    return "\n".join([*lines, conclusion(proxy)])


def conclusion(proxy: Proxy) -> str:
    """What it comes to, in one line."""
    found, recall = proxy.correlation, proxy.recall
    told = (
        f"of {recall.of} changes worth confirm it lets {recall.count} through"
        if recall.of
        else f"none of {len(proxy.changes)} changes was worth confirm, so what it misses is not known"
    )
    return (
        f"breadth ranks changes as confirm does with ρ = {found.rho:.2f} (95 % {found.low:.2f} to {found.high:.2f})"
        f" over {found.changes} changes; {told}"
    )


def as_json(proxy: Proxy) -> dict[str, object]:
    """The same under stable keys: bits per byte, shares of one; null for what is not known."""
    return {**asdict(proxy), "conclusion": conclusion(proxy)}


def _share(found: Share) -> str:
    if found.share is None:
        return "none there to count"
    return f"{found.count} of {found.of} (95 % {found.low:.0%} to {found.high:.0%})"
