"""What a person said of ideas from a screen or a command: how early one comes, or that it is retired.

It is kept beside the nights, as it holds in every one of them; `kb/ideas.md` stays the person's own. One JSON object a
line, and the last word on an idea counts.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from agent.ideas import Idea
from agent.journal import encode
from agent.line import Record
from bench import clock, files
from bench.errors import JournalError


class Wish(Record):
    """All that is wished of one idea."""

    type: Literal["queue"] = "queue"
    timestamp: int
    """Epoch milliseconds."""
    idea: str
    """Slug of its heading."""
    priority: int | None = None
    """In place of the one in the file."""
    retired: bool = False


def read_wishes(path: Path) -> dict[str, Wish]:
    """The last word on each idea, by slug. Raises JournalError, naming the line; a torn last one is left out."""
    content = path.read_bytes() if path.exists() else b""
    found: dict[str, Wish] = {}
    for number, line in enumerate(content.split(b"\n")[:-1], 1):
        try:
            if json.loads(line)["type"] == "queue":
                wish = Wish.model_validate_json(line)
                found[wish.idea] = wish
        except (ValueError, TypeError, KeyError) as error:
            raise JournalError(f"{path}, line {number} cannot be read; delete that line") from error
    return found


def heed(ideas: Sequence[Idea], wishes: Mapping[str, Wish]) -> list[Idea]:
    """The ideas as they are wished to be."""
    return [_heeded(idea, wishes.get(idea.slug)) for idea in ideas]


def _heeded(idea: Idea, wish: Wish | None) -> Idea:
    if wish is None:
        return idea
    return replace(idea, priority=idea.priority if wish.priority is None else wish.priority, retired=wish.retired)


def add_wish(path: Path, idea: str, priority: int | None, retired: bool | None) -> None:
    """Note what is said of an idea now; of what is None, the word before holds. For one writer at a time.

    Raises JournalError and DiskError.
    """
    before = read_wishes(path).get(idea, Wish(timestamp=0, idea=idea))
    if path.exists():
        content = path.read_bytes()
        if not content.endswith(b"\n"):
            files.cut(path, content.rfind(b"\n") + 1)
    now = Wish(
        timestamp=clock.now_ms(),
        idea=idea,
        priority=before.priority if priority is None else priority,
        retired=before.retired if retired is None else retired,
    )
    files.append_line(path, encode(now))
