"""A night in Markdown, for a pull request. Pure: what `agent.morning` tells of it in, text out.

Differences are candidate minus champion in thousandths of a bit per byte: below zero is better.
"""

import re
from collections.abc import Mapping
from typing import Any

from agent import report
from agent.history import plain
from agent.outcome import signed
from agent.yardstick import BITS

_MARKS = re.compile(r"([\\`*_\[\]<>|#~!&@])")
LONGEST = 120
"""Characters of a title."""


def as_markdown(morning: Mapping[str, Any]) -> str:
    """The headline, each keep with its gain, how it was judged, and what was tried beside."""
    night, headline = morning["night"], morning["headline"]
    tried = [one for one in morning["experiments"] if one["source"] != "baseline"]
    keeps = [one for one in tried if one["status"] == "keep"]
    unit = "bits per byte" if night["metric"] == BITS.name else night["metric"]
    lines = [f"## {headline['title']}", "", headline["words"]]
    if headline["command"]:
        lines += ["", f"`{headline['command']}`"]
    if keeps:
        lines += [
            "",
            f"| keep | change | Δ ×10⁻³ {unit} | 95 % interval | measured |",
            "|---|---|---:|---|---|",
            *map(_keep, keeps),
        ]
    lines += [
        "",
        "### How it was judged",
        "",
        f"- {night['data']}; {night['machine']}; sandbox {night['sandbox']}",
        f"- false keeps to be expected: at most {morning['false_keeps']['at_most']:.2f}, of"
        f" {morning['false_keeps']['weighed']} changes weighed at {night['profiles']}confirm",
        *([f"- {morning['note']}"] if morning["note"] else []),
        "",
        "### Tried and not kept",
        "",
        *(_not_kept(one) for one in morning["not_kept"]),
        *([] if morning["not_kept"] else ["- nothing"]),
    ]
    return "\n".join(lines) + "\n"


def _keep(one: Mapping[str, Any]) -> str:
    effect = one["effect"]
    title = f"{safe(one['description'])}{' (reverted)' if one['reverted'] else ''}"
    if effect is None:
        return f"| {one['id']} | {title} | – | – | – |"
    mean, low, high = (signed(effect[key]) for key in ("mean", "low", "high"))
    where = (report.FRESH.format(effect["pairs"]) if one["regained"] else report.UNAUDITED) + f" at {effect['profile']}"
    return f"| {one['id']} | {title} | {mean} | {low} to {high} | {where} |"


def _not_kept(one: Mapping[str, Any]) -> str:
    ids = one["ids"]
    more = f" and {len(ids) - 3} more" if len(ids) > 3 else ""
    return f"- {one['count']} × {one['status']}, {safe(one['reason'])}: {', '.join(ids[:3])}{more}"


def safe(text: str) -> str:
    """`text` on one line, with nothing in it that Markdown or HTML would act on."""
    line = plain(text)
    return _MARKS.sub(r"\\\1", line if len(line) <= LONGEST else f"{line[:LONGEST]}…")
