"""What became of a paper here: the experiments that cited its note, in the words that a note shows of them.

Shown with a note wherever one is read; written into the note's file by `nightshift finish` alone, from the committed
history, as its last section.
"""

import re
from collections.abc import Sequence

from agent.history import HISTORY, plain
from agent.note import HAPPENED, Note
from agent.past import Effect, Past
from agent.report import thousandths

_SECTION = re.compile(rf"\n*^## {HAPPENED}\n.*\Z", re.MULTILINE | re.DOTALL)


def happened(note: Note, experiments: Sequence[Past]) -> str:
    """One line for each experiment that cited the note, as Markdown in a file of `kb/papers/`; nothing for none."""
    return "\n".join(
        f"- [{one.id}](../../{HISTORY}) {one.title}: {told(one)}" for one in experiments if note.cited_in(one.notes)
    )


def told(one: Past) -> str:
    """What came of an experiment, in one phrase: its verdict, why, and the effect with its 95 % interval."""
    if one.elsewhere:
        return f"measured elsewhere and not judged here, {one.status} there: {plain(one.elsewhere)}"
    words = f"{one.status}{', reverted' if one.reverted else ''} ({one.reason})"
    return f"{words}, {in_thousandths(one.effect)}" if one.effect else words


def in_thousandths(effect: Effect) -> str:
    """An effect in thousandths of a bit per byte."""
    if effect.low == effect.high:
        return f"identical scores at {effect.profile}"
    pairs = f"{effect.pairs} pair{'s' if effect.pairs > 1 else ''}"
    mean, low, high = map(signed, (effect.mean, effect.low, effect.high))
    return f"{mean} ({low} to {high}) thousandths over {pairs} at {effect.profile}"


def signed(bits: float) -> str:
    """A difference in thousandths, with a sign as it is printed."""
    return thousandths(bits).replace("-", "−")


def with_happened(text: str, section: str) -> str:
    """A note's file with `section` as what happened here, in the place of what it said before; without one if empty."""
    if not section and f"## {HAPPENED}\n" not in text:
        return text
    rest = _SECTION.sub("", text).rstrip("\n") + "\n"
    return f"{rest}\n## {HAPPENED}\n\n{section}\n" if section else rest
