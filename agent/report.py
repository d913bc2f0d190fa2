"""The night in a few lines: what it gained, what that is worth, and what a person should look at. Pure: records in.

Differences are candidate minus champion in thousandths of a bit per byte: below zero is better.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from rich.text import Text

from agent import purse, verdict
from agent.audit import audited_in_words
from agent.calls import Spent, Usage
from agent.history import plain
from agent.journal import Journal
from agent.records import AnyRecord, Evidence, Experiment, Status
from agent.yardstick import UNJUDGED

UNAUDITED = "as measured at its confirm, on the pairs that it was picked by"
UNMEASURED = "the champion is not measured since a keep was reverted"
FRESH = "on {} fresh seeds"
WIDTH = 1.96
"""Half a 95 % interval, in standard errors."""


def standard_error(evidence: Evidence) -> float:
    """Standard error of the mean difference, in bits per byte."""
    return evidence.scale / math.sqrt(len(evidence.pairs))


def difference(evidence: Evidence | None, precise: bool = True) -> str:
    """The mean difference in thousandths, with its standard error where it is `precise`; a dash for no evidence."""
    if evidence is None:
        return "–"
    return thousandths(evidence.yardstick.own(evidence.mean)) + (
        f" ±{standard_error(evidence) * 1000:.1f}" if precise else ""
    )


def thousandths(bits: float) -> str:
    """A difference, given in bits per byte, with its sign."""
    return f"{bits * 1000:+.1f}"


def duration(seconds: float) -> str:
    """Hours and minutes, minutes and seconds, or seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


@dataclass(frozen=True)
class Simplification:
    """A change that was not kept, is not worse as far as could be told, and leaves less code."""

    id: str
    description: str
    fewer: int
    """Lines of code."""
    evidence: Evidence


def false_keeps(experiments: Sequence[Experiment]) -> float:
    """How many changes without effect are kept on average, at the most, among those that came to confirm."""
    return verdict.ERROR_RATE * sum(one.confirm is not None and one.source != "baseline" for one in experiments)


def simplifications(experiments: Sequence[Experiment]) -> list[Simplification]:
    """Discarded changes with less code whose 95 % interval at confirm reaches nought or lies below it."""
    return [
        Simplification(one.id, one.description, fewer, one.confirm)
        for one in experiments
        if one.status == "discard"
        and one.confirm
        and one.confirm.mean <= WIDTH * standard_error(one.confirm)
        and (fewer := -code_lines(one.patch)) > 0
    ]


def calls_as_json(records: Sequence[AnyRecord]) -> dict[str, float] | None:
    """How often a language model was asked in a night, and what that took; None where it never was."""
    calls = [one for one in records if isinstance(one, Spent)]
    usage = sum((one.usage for one in calls), Usage())
    if not calls:
        return None
    return {
        "calls": len(calls),
        "usd": purse.spent(records),
        "at_most": purse.held(records),
        "input_tokens": usage.all_input,
        "output_tokens": usage.output_tokens,
        "from_cache": usage.cache_read_input_tokens / max(usage.all_input, 1),
    }


def code_lines(patch: str) -> int:
    """Lines of code that a unified diff adds, less those it takes away; blank ones and comments do not count."""
    changed = [
        line
        for line in patch.splitlines()
        if line[:1] in ("+", "-") and not line.startswith(("+++ ", "--- ")) and line[1:].strip()[:1] not in ("", "#")
    ]
    return sum(1 if line[0] == "+" else -1 for line in changed)


def summary(journal: Journal) -> Text:
    """How much was decided, where the night started, where it stands, what was kept, and how far to trust that."""
    header, experiments, current = journal.header, journal.experiments, journal.in_segment()
    assert header is not None
    if not experiments:
        return Text(f"night {header.name}: nothing is decided yet")
    tried = [one for one in current if one.source != "baseline"]
    lines = [*_headline(journal, tried), _decided(header.name, current, tried)]
    if len(current) < len(experiments):
        others = len(experiments) - len(current)
        lines.append(f"{others} of earlier segments are not counted: other data, profiles or machine")
    lines += _kept(journal, tried, f"{header.profiles}confirm", header.yardstick.called)
    weighed = sum(one.confirm is not None for one in tried)
    if weighed:
        lines.append(
            f"false keeps to be expected: at most {false_keeps(tried):.2f}"
            f" ({100 * verdict.ERROR_RATE:.0f} in a hundred of the {weighed} weighed at confirm, were none real)"
        )
    if calls := calls_as_json(journal.records):
        lines.append(
            f"Claude: {calls['calls']} calls, ${calls['usd']:.2f} (${calls['at_most']:.2f} at the most),"
            f" {100 * calls['from_cache']:.0f} % of what it read came from its cache"
        )
    if shorter := simplifications(tried):
        lines.append("less code and not worse, for you to judge:")
        lines += [
            f"  {plain(one.id)} {plain(one.description)}: {one.fewer} lines fewer,"
            f" {difference(one.evidence)} thousandths at {one.evidence.profile}"
            for one in shorter
        ]
    return Text("\n".join(lines))


def _headline(journal: Journal, tried: Sequence[Experiment]) -> list[str]:
    """The audited gain of the whole night, the number of the morning; or how to come by it where something was kept."""
    if journal.audited:
        return [audited_in_words(journal.audited)]
    if journal.header and journal.header.script:
        return [UNJUDGED]
    return ["not audited yet: `nightshift audit` measures the night's total gain"] * any(
        one.status == "keep" and one.id not in journal.reverted for one in tried
    )


def _decided(name: str, current: Sequence[Experiment], tried: Sequence[Experiment]) -> str:
    counts = Counter(one.status for one in tried)
    words = ", ".join(f"{counts[status]} {status}" for status in get_args(Status) if counts[status])
    took = duration(sum(one.wall_s for one in current))
    many = "experiment" if len(tried) == 1 else "experiments"
    return f"night {name}: {len(tried)} {many} decided in {took}" + (f" ({words})" if words else "")


def _kept(journal: Journal, tried: Sequence[Experiment], label: str, called: str) -> list[str]:
    """Where the champion stands, and each keep with its gain on fresh seeds: the pairs that won it were picked."""
    keeps = [one for one in tried if one.status == "keep"]
    baseline = next((one.metric for one in journal.in_segment() if one.source == "baseline"), 0.0)
    if not keeps:
        return [f"{label} {called}: baseline {baseline:.6f}; nothing was kept, so the baseline is still the champion"]
    if any(one.id in journal.reverted for one in keeps):
        lines = [f"{label} {called}: baseline {baseline:.6f}; {UNMEASURED}"]
    else:
        lines = [
            f"{label} {called}: baseline {baseline:.6f} → champion {keeps[-1].metric:.6f}"
            " (on seeds of their own; what counts are the paired differences)"
        ]
    for kept in keeps:
        afresh = journal.regained.get(kept.id)
        note = FRESH.format(len(afresh.pairs)) if afresh else UNAUDITED
        if kept.id in journal.reverted:
            note = "reverted"
        gain = f"{difference(afresh or kept.confirm)} thousandths at {label}, {note}"
        lines.append(f"  keep {plain(kept.id)} {plain(kept.description)}: {gain}")
    return lines
