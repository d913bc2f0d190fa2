"""The words that Claude is sent: templates of `prompts/`, filled with what is known. Pure, once those are read.

What stays the same for hours comes first (the rules, the list of notes, the trainer's source) and is marked for the
server's cache; what changes from draft to draft comes last. Whatever was not written for a prompt is quoted between
tags, capped, and cannot close them.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from agent import arms
from agent.arms import Task
from agent.claude import Block
from agent.history import plain
from agent.note import Note, parts
from agent.outcome import told
from agent.past import Past
from agent.tree import Tree
from agent.workspace import SHIPPED
from bench.errors import MachineError

PROMPTS = Path("prompts")
RULES = Path("AGENTS.md")
HOUR = {"type": "ephemeral", "ttl": "1h"}
TAGS = ("experiments", "file", "hits", "idea", "lanes", "log", "note", "notes", "reason", "titles")
"""What data is quoted between."""
LATELY = 12
"""Verdicts of the night that are told in full, and of what was measured elsewhere."""
OF_A_LANE = 3
"""Keeps, near misses and changes for the worse that are told of a lane."""
LONGEST_NOTE = 7_000
LONGEST_IDEA = 6_000
LONGEST_DATA = 6_000
"""Characters of what is quoted."""

_GAP = re.compile(r"\{\{(\w+)\}\}")


def system(root: Path, champion: Tree, notes: Sequence[Note]) -> list[Block]:
    """What stays the same, in two blocks: the second is another after a keep, and the first all night.

    Raises MachineError where a template is missing.
    """
    listed = "\n".join(f"{note.key}: {plain(note.front.title)[:150]} ({plain(note.front.lane)[:40]})" for note in notes)
    rules = [template(root, PROMPTS / "researcher.md"), template(root, RULES), "# The library", quoted("notes", listed)]
    source = [quoted("file", content.decode(errors="replace"), name=path) for path, content in sorted(champion.items())]
    parts = ["\n\n".join(rules), "\n\n".join(["# The trainer, as the champion has it", *source])]
    return [{"type": "text", "text": text, "cache_control": HOUR} for text in parts]


def opening(root: Path, task: Task, situation: str) -> str:
    """What a draft begins with."""
    notes = "\n\n".join(note_text(note) for note in task.notes)
    idea = f"{task.idea.title}\n\n{task.idea.text}" if task.idea else ""
    return fill(
        template(root, PROMPTS / f"{task.arm}.md"),
        lane=task.idea.lane if task.idea else "",
        idea=quoted("idea", idea, LONGEST_IDEA) if idea else "",
        notes=notes,
        experiments=experiments(task.experiments),
        situation=situation,
    )


def repair(root: Path, reason: str, log: str, left: int) -> str:
    """What a proposal that failed is answered with."""
    last = "This is the last time." if left == 1 else f"You may mend it {left} times."
    words = quoted("log", log, LONGEST_DATA) if log else ""
    return fill(template(root, PROMPTS / "repair.md"), reason=quoted("reason", reason, 1_000), log=words, left=last)


def situation(night: Sequence[Past], before: Sequence[Past], in_hand: Iterable[str], closed: Collection[str]) -> str:
    """What this night has decided lately, what is known of each lane, what is under way, and what has had its turn."""
    parts = ["# Where things stand"]
    if night:
        parts += ["The latest verdicts of this night:", experiments(night[-LATELY:])]
    ours = [one for one in (*before, *night) if not one.elsewhere]
    if known := by_lane(ours):
        parts += ["All that was tried here, by lane:", quoted("lanes", known, LONGEST_DATA)]
    if theirs := [one for one in before if one.elsewhere]:
        parts += ["Told by other programs, of other data and machines, and judged by nobody here:"]
        parts += [experiments(theirs[-LATELY:])]
    if rates := arms.hit_rates(ours):
        words = ", ".join(f"{arm} {kept} of {tries}" for arm, (kept, tries) in rates.items())
        parts.append(f"Kept, by the strategy that was followed: {words}.")
    if under_way := [plain(title) for title in in_hand]:
        parts += ["Being tried or written already, so propose something else:", quoted("titles", "\n".join(under_way))]
    if closed:
        lanes = ", ".join(sorted(closed))
        parts.append(f"{lanes} has had its turns in a row: a proposal in that lane is refused now.")
    parts.append("A lane is one of: " + ", ".join(arms.LANES) + ".")
    return "\n\n".join(parts)


def by_lane(tried: Sequence[Past]) -> str:
    """Each lane in a few lines: how often, what was kept, what came near, what was worse, and how the rest failed."""
    lines: list[str] = []
    for lane in sorted({one.lane for one in tried}):
        those = [one for one in tried if one.lane == lane]
        kept = [one for one in those if one.kept]
        failures = [one.reason for one in those if one.status in ("crash", "checks_failed")]
        lines.append(f"{plain(lane)}: {len(those)} tried, {len(kept)} kept, {len(failures)} never measured")
        lines += [f"  kept: {plain(one.title)}, {told(one)}" for one in kept[-OF_A_LANE:]]
        lines += [f"  near: {plain(one.title)}, {told(one)}" for one in arms.near_misses(those, OF_A_LANE)]
        worse = [one for one in those if not one.kept and one.effect and one.effect.mean > 0]
        lines += [f"  worse: {plain(one.title)}, {told(one)}" for one in worse[-OF_A_LANE:]]
        if failures:
            lines.append("  failed: " + ", ".join(dict.fromkeys(failures)))
    return "\n".join(lines)


def experiments(tried: Sequence[Past]) -> str:
    """Experiments as lines of data."""
    lines = [f"{plain(one.id)} [{plain(one.lane)}] {plain(one.title)}: {told(one)}" for one in tried]
    return quoted("experiments", "\n".join(lines), LONGEST_DATA) if lines else ""


def note_text(note: Note) -> str:
    """A note as data, without the questions that it is found by."""
    text = "\n\n".join(f"## {heading}\n\n{words}" for heading, words in note.sections.items())
    return quoted("note", f"# {note.front.title}\n\n{text}", LONGEST_NOTE, name=note.key)


def quoted(tag: str, text: str, most: int | None = None, **attributes: str) -> str:
    """`text` between tags, cut in the middle where it is longer than `most` characters; no tag of ours is in it."""
    if most and len(text) > most:
        text = f"{text[: most // 2]}\n[… {len(text) - most} characters left out …]\n{text[-(most // 2) :]}"
    head = "".join(f' {name}="{plain(value).replace("<", "‹")}"' for name, value in attributes.items())
    own = r"/\s*file" if tag == "file" else rf"/?\s*(?:{'|'.join(TAGS)})"  # source is shown as it has to be matched
    text = re.sub(rf"<(\s*{own}\b)", r"‹\1", text, flags=re.IGNORECASE)
    return f"<{tag}{head}>\n{text}\n</{tag}>"


def template(root: Path, path: Path) -> str:
    """A template's text: the repository's own, or as it is shipped. Raises MachineError where there is none."""
    try:
        own = root / path
        return (own if own.exists() else SHIPPED / path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise MachineError(f"{path} cannot be read, and Claude is asked with it: `git checkout {path}`") from error


def fill(text: str, **values: str) -> str:
    """A template with each `{{name}}` replaced, once and for all: what is filled in is not looked at again.

    Raises MachineError for a name that nothing is known of.
    """
    if unknown := set(_GAP.findall(text)) - values.keys():
        raise MachineError(f"a template of {PROMPTS} asks for {{{{{min(unknown)}}}}}; there are {', '.join(values)}")
    return _GAP.sub(lambda found: values[found[1]], text).strip()


def tools(root: Path, schemas: Mapping[str, Mapping[str, Any]]) -> list[Block]:
    """The tools, each with its section of prompts/tools.md for a description. Raises MachineError."""
    told = dict(parts(template(root, PROMPTS / "tools.md")))
    missing = [name for name in schemas if not told.get(name)]
    if missing:
        raise MachineError(f"prompts/tools.md says nothing of {missing[0]}: `git checkout prompts/tools.md`")
    return [{"name": name, "description": told[name], "input_schema": schema} for name, schema in schemas.items()]
