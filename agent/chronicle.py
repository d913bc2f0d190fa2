"""The chronology: what the committed history says, lane by lane, without a language model and without an opinion.

`kb/chronology.md` is made from `autoresearch.jsonl` and the lessons' own headings alone, so that the same files always
give the same bytes. What it means stands in `kb/lessons/`, which it links.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from agent.history import plain
from agent.outcome import signed, told
from agent.past import Past

MOST = 8
"""Experiments shown of a kind."""
WORDS = {"keep": "kept", "discard": "discarded", "crash": "crashed", "checks_failed": "refused"}
INTRODUCTION = (
    "Made by `nightshift chronicle` from the committed history, autoresearch.jsonl; not to be edited. Differences are\n"
    "candidate minus champion with their 95 % interval: below zero is better. Champion, data and machine may differ\n"
    "from night to night."
)

FOREIGN = (
    "Added by `nightshift import`: what other programs told, of other data and machines. Nobody here judged it, and\n"
    "its numbers compare with none above."
)


@dataclass(frozen=True)
class Lesson:
    """A page of `kb/`: its path from there, its title, and the lanes that it speaks of."""

    path: str
    title: str
    lanes: tuple[str, ...]


def chronicle(experiments: Sequence[Past], lessons: Sequence[Lesson]) -> str:
    """The whole page, in Markdown."""
    ours = [one for one in experiments if not one.elsewhere]
    lanes = sorted({one.lane for one in ours})
    prose = " Prose is in [lessons](lessons)." if lessons else ""
    parts = ["# Chronology", INTRODUCTION + prose, _overview(ours)]
    for lane in lanes:
        parts += _lane(lane, [one for one in ours if one.lane == lane], lessons)
    if theirs := [one for one in experiments if one.elsewhere]:
        parts += ["## Measured elsewhere", FOREIGN, *map(_import, _by_night(theirs))]
    return "\n\n".join(parts) + "\n"


def _by_night(theirs: Sequence[Past]) -> list[list[Past]]:
    return [[one for one in theirs if one.night == night] for night in dict.fromkeys(one.night for one in theirs)]


def _import(theirs: Sequence[Past]) -> str:
    """What one file told: how it counts itself, and what it kept last."""
    kept = [one for one in theirs if one.status == "keep"]
    words = f"`{plain(theirs[0].night)}`: {_many(len(theirs), 'experiment')}, there {_counts(theirs)}."
    return "\n\n".join([words, *([_list(kept[-MOST:], len(kept), "last kept there")] if kept else [])])


def _overview(experiments: Sequence[Past]) -> str:
    if not experiments:
        return "Nothing has been finished yet: `nightshift finish` adds a night."
    nights = dict.fromkeys(one.night for one in experiments)
    days = sorted(one.day for one in experiments if one.day)
    span = f", {days[0]} to {days[-1]}" if days else ""
    return f"{_many(len(experiments), 'experiment')} in {_many(len(nights), 'night')}{span}: {_counts(experiments)}."


def _lane(lane: str, experiments: Sequence[Past], lessons: Sequence[Lesson]) -> list[str]:
    kept = [one for one in experiments if one.kept]
    against = [one for one in experiments if not one.kept and one.effect]
    refused = Counter(one.reason for one in experiments if not one.kept and not one.effect)
    parts = [f"## {plain(lane)}", _overall(experiments)]
    if kept:
        parts += ["Kept:", _list(sorted(kept, key=_size)[:MOST], len(kept), "with the largest gains")]
    if against:
        parts += ["Measured and not kept:", _list(sorted(against, key=_telling)[:MOST], len(against), "best measured")]
    if refused:
        reasons = ", ".join(
            f"{reason} ({count})" for reason, count in sorted(refused.items(), key=lambda one: (-one[1], one[0]))
        )
        parts.append(f"Never measured: {reasons}.")
    if pages := [f"[{lesson.title}]({lesson.path})" for lesson in lessons if lane in lesson.lanes]:
        parts.append(f"Lessons: {', '.join(pages)}.")
    return parts


def _overall(experiments: Sequence[Past]) -> str:
    """What a lane says as a whole: how often, how far, how much."""
    confirmed = [one.effect.mean for one in experiments if one.effect and one.effect.confirmed]
    words = f"{_many(len(experiments), 'experiment')}: {_counts(experiments)}."
    if confirmed:
        middle = signed(median(confirmed))
        words += f" {len(confirmed)} came to confirm; the median difference there is {middle} thousandths."
    else:
        words += " None came to confirm."
    return words


def _list(shown: Sequence[Past], of: int, which: str) -> str:
    lines = [
        f"- `{plain(one.id)}` {plain(one.title)}: {told(one)}"
        for one in sorted(shown, key=lambda one: (one.day, one.id))
    ]
    return "\n".join([*lines, *([f"- … the {len(shown)} {which} of {of}"] if of > len(shown) else [])])


def _size(one: Past) -> tuple[float, str]:
    return (one.effect.mean if one.effect else 0.0, one.id)


def _telling(one: Past) -> tuple[bool, float, str]:
    """Confirm's word before breadth's, the narrower interval first."""
    assert one.effect is not None
    return (not one.effect.confirmed, one.effect.high - one.effect.low, one.id)


def _counts(experiments: Iterable[Past]) -> str:
    counts = Counter("reverted" if one.reverted else WORDS.get(one.status, one.status) for one in experiments)
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items(), key=lambda one: (-one[1], one[0])))


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
