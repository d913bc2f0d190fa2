"""Past experiments, as whoever learns from them needs them: read from the committed history or a night's journal.

A line is read as plain JSON and only what is used is taken, because a history grows long and other programs' lines may
stand in it too. Differences are candidate minus champion in bits per byte: below zero is better.
"""

import math
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from pydantic_core import from_json

from agent.report import WIDTH
from agent.yardstick import unjudged
from bench.clock import day_of

ELSEWHERE = "elsewhere"
"""The lane of what another program told."""


@dataclass(frozen=True)
class Effect:
    """A mean difference with its 95 % interval, and where it was measured."""

    mean: float
    low: float
    high: float
    pairs: int
    profile: str
    """Its name; `unjudged` is said beside it where what is run under it is a script's own word."""

    @property
    def confirmed(self) -> bool:
        """Whether it was measured at confirm; breadth foretells only."""
        return self.profile.removesuffix(", unjudged").endswith("confirm")


@dataclass(frozen=True)
class Past:
    """A decided experiment."""

    id: str
    night: str
    day: str
    """When it was decided, YYYY-MM-DD in UTC."""
    title: str
    lane: str
    status: str
    reason: str
    hypothesis: str = ""
    detail: str = ""
    notes: tuple[str, ...] = ()
    """Papers and notes cited."""
    effect: Effect | None = None
    """At confirm where it came so far, else at breadth; of a keep on the fresh pairs after it, where those are told."""
    arm: str = ""
    """The strategy that a language model followed, where one wrote it."""
    wall_s: float = 0.0
    reverted: bool = False
    elsewhere: str = ""
    """What another program told of it, in words: measured elsewhere, comparable with nothing here, and judged by nobody
    here. Empty for our own."""

    @property
    def kept(self) -> bool:
        """Whether the change stands in a research branch."""
        return self.status == "keep" and not self.reverted and not self.elsewhere


def read_past(lines: Iterable[str]) -> list[Past]:
    """The experiments of a history or a journal without their baselines; what is no line of ours is passed over."""
    found: dict[str, Past] = {}
    night = ""
    for word in map(_read, lines):
        kind = word.get("type")
        if kind == "config":
            night = str(word.get("name", ""))
        elif kind is None and isinstance(word.get("run"), int) and word.get("source") != "baseline":
            with suppress(TypeError, ValueError, KeyError, AttributeError):  # keys of the same names, not ours
                one = _experiment(word, night)
                found[one.id] = one
        elif kind in ("regained", "reverted") and (kept := found.get(str(word.get("id")))):
            effect = _effect(word.get("evidence")) or kept.effect
            found[kept.id] = replace(kept, effect=effect, reverted=kept.reverted or kind == "reverted")
    return list(found.values())


def _read(line: str) -> Mapping[str, Any]:
    try:
        word = from_json(line)
    except ValueError:
        return {}
    return word if isinstance(word, dict) else {}


def _experiment(word: Mapping[str, Any], night: str) -> Past:
    stamp = word.get("timestamp")
    if where := word.get("elsewhere"):
        return Past(
            id=word["id"],
            night=night,
            day=day_of(stamp) if stamp else "",
            title=word["description"],
            lane=ELSEWHERE,
            status=word["status"],
            reason="",
            hypothesis=str(word["asi"].get("hypothesis", "")),
            elsewhere=_told_elsewhere(word["metric"], where),
        )
    return Past(
        id=str(word.get("id") or f"{night or 'run'}-{word['run']:04d}"),
        night=night,
        day=day_of(stamp) if isinstance(stamp, int) else "",
        title=str(word.get("description", "")),
        lane=str(word.get("lane") or "other"),
        status=str(word.get("status", "")),
        reason=str(word.get("reason", "")),
        hypothesis=str((word.get("asi") or {}).get("hypothesis", "")),
        detail=str(word.get("detail", "")),
        notes=tuple(map(str, word.get("notes") or ())),
        effect=_effect(word.get("confirm")) or _effect(word.get("breadth")),
        arm=str((word.get("authored") or {}).get("arm", "")),
        wall_s=float(word.get("wall_s") or 0.0),
    )


def _told_elsewhere(metric: float, where: Mapping[str, Any]) -> str:
    value = f"{metric:.6g}, {where['bestDirection']} is better" if where["measured"] else "not measured"
    return f"{where['metricName']} {value}, as {where['file']} tells"


def _effect(evidence: object) -> Effect | None:
    if not isinstance(evidence, dict) or not evidence.get("pairs"):
        return None
    mean, pairs, profile = float(evidence["mean"]), evidence["pairs"], str(evidence.get("profile", ""))
    alike = all(pair.get("champion") == pair.get("candidate") for pair in pairs)
    half = 0.0 if alike else WIDTH * float(evidence.get("scale", 0.0)) / math.sqrt(len(pairs))
    return Effect(mean, mean - half, mean + half, len(pairs), f"{profile}, unjudged" if unjudged(profile) else profile)
