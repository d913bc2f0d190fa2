"""Ideas: what `kb/ideas.md` says is worth trying, read without ever writing to it.

The format, which the head of `kb/ideas.md` explains to a person:

- a `## heading` opens an idea, free text follows; a `# heading` closes it. Its slug (`BETA2 0.97` → `beta2-0-97`) is
  its name everywhere, so two headings may not share one;
- a ```` ```knobs ```` block holds `NAME = value` lines, a ```` ```diff ```` block a unified diff. An idea may have
  both: the diff is made first, then the knobs are set. An idea with neither waits for a language model;
- `lane:`, `priority:` (a whole number, lower runs first, 100 where none is given), `paper:` (arXiv ids or addresses,
  separated by commas) and `after:` (a heading or slug; one a line, as headings may hold commas) stand on lines of
  their own. All four begin in the first column, as do fences: whatever a fence holds opens no heading.

An entry that does not read so becomes a Problem with its line, and all the others still run.
"""

import difflib
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from agent import arxiv
from agent.edits import parse_diff
from agent.knobs import read_value
from bench.errors import ProposalError, UsageError

PRIORITY = 100
LANE = "other"

_FENCE = re.compile(r"(`{3,}|~{3,})\s*([^`\s]*)[^`]*")
_KEY = re.compile(r"(paper|lane|priority|after):\s*(.*?)\s*")
_KNOB = re.compile(r"([A-Z][A-Z0-9_]*)\s*=\s*(.+)")


@dataclass(frozen=True)
class Idea:
    """One entry of the queue. `line` is that of its heading, from 1; `after` holds slugs.

    `retired` is never in the file: a person says so elsewhere.
    """

    slug: str
    title: str
    text: str = ""
    knobs: tuple[tuple[str, str], ...] = ()
    diff: str | None = None
    papers: tuple[str, ...] = ()
    lane: str = LANE
    priority: int = PRIORITY
    after: tuple[str, ...] = ()
    line: int = 1
    retired: bool = False

    @property
    def runnable(self) -> bool:
        """Whether the idea carries its own edits and needs no language model."""
        return bool(self.knobs) or self.diff is not None


@dataclass(frozen=True)
class Problem:
    """What is wrong with an entry, and on which line of the file, from 1."""

    line: int
    text: str


def slug_of(title: str) -> str:
    """Return a heading's slug: lower case, runs of anything but letters and digits become one hyphen."""
    return re.sub(r"[\W_]+", "-", title.lower()).strip("-")


def parse_ideas(text: str) -> tuple[list[Idea], list[Problem]]:
    """Read the queue: sound ideas in the order of the file, and what is wrong with the others by line."""
    problems: list[Problem] = []
    ideas: dict[str, Idea] = {}
    for entry in _entries(text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n"), problems):
        try:
            idea = _read_entry(entry)
        except _EntryError as error:
            problems.append(error.problem)
            continue
        first = ideas.setdefault(idea.slug, idea)
        if first is not idea:
            problems.append(Problem(idea.line, f"the heading {idea.title!r} repeats line {first.line}"))
    sound = _in_order(ideas, problems)
    return sound, sorted(problems, key=lambda problem: problem.line)


def next_ideas(ideas: Sequence[Idea], decided: Collection[str], *, in_words: bool = False) -> list[Idea]:
    """Return what can run now, given the slugs of the decided ideas: by priority, then in the order of the file.

    With `in_words` those that wait for nothing but to be written.
    """
    ready = [
        idea
        for idea in ideas
        if idea.runnable != in_words
        and not idea.retired
        and idea.slug not in decided
        and all(slug in decided for slug in idea.after)
    ]
    return sorted(ready, key=lambda idea: idea.priority)


def append_idea(
    text: str,
    title: str,
    body: str = "",
    *,
    knobs: Sequence[tuple[str, str]] = (),
    diff: str | None = None,
    papers: Sequence[str] = (),
    lane: str = LANE,
    priority: int = PRIORITY,
    after: Sequence[str] = (),
) -> str:
    """Return the queue's text with one idea more at its end; what was there stays as it was.

    Raises UsageError for an empty or repeated title, and for whatever would not read back as one sound idea.
    """
    parts = [f"## {title.strip()}", body.strip()]
    if knobs:
        parts.append("\n".join(["```knobs", *(f"{name} = {value}" for name, value in knobs), "```"]))
    if diff is not None:
        parts.append("\n".join(["```diff", diff.removesuffix("\n"), "```"]))
    keys = [f"paper: {', '.join(papers)}"] if papers else []
    keys += [f"lane: {lane}"] if lane != LANE else []
    keys += [f"priority: {priority}"] if priority != PRIORITY else []
    parts.append("\n".join(keys + [f"after: {name}" for name in after]))
    gap = "" if not text or text.endswith("\n\n") else "\n" if text.endswith("\n") else "\n\n"
    longer = text + gap + "\n\n".join(part for part in parts if part) + "\n"

    old_problems, (ideas, problems) = parse_ideas(text)[1], parse_ideas(longer)
    new_problems = [problem for problem in problems if problem not in old_problems]
    if new_problems:
        raise UsageError(f"this idea cannot be added: {new_problems[0].text}")
    if [idea.title for idea in ideas if idea.line > (text + gap).count("\n")] != [title.strip()]:
        raise UsageError("this idea cannot be added: its text holds a heading, which would make it more than one idea")
    return longer


@dataclass(frozen=True)
class _Block:
    kind: str
    lines: list[str]
    line: int


@dataclass(frozen=True)
class _Entry:
    title: str
    line: int
    prose: list[str] = field(default_factory=list)
    keys: list[tuple[int, str, str]] = field(default_factory=list)
    blocks: list[_Block] = field(default_factory=list)
    broken: list[Problem] = field(default_factory=list)


class _EntryError(Exception):
    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.problem = Problem(line, text)


def _entries(lines: list[str], problems: list[Problem]) -> list[_Entry]:
    """Cut the file at its headings. What stands before the first, or under a `#` heading, is nobody's."""
    entries: list[_Entry] = []
    entry = nobody = _Entry("", 0, broken=problems)
    at = 0
    while at < len(lines):
        line, number = lines[at], at + 1
        at += 1
        if fence := _FENCE.fullmatch(line):
            end = _fence_end(lines, at, fence[1])
            if end is None:
                entry.broken.append(Problem(number, f"this block opens with {fence[1]} and is never closed"))
                continue
            if fence[2] in ("knobs", "diff"):
                entry.blocks.append(_Block(fence[2], lines[at:end], number))
            else:
                entry.prose.extend(lines[number - 1 : end + 1])
            at = end + 1
        elif line.startswith("##") and not line.startswith("###"):
            entry = _Entry(re.sub(r"\s#+$", "", line[2:].strip()).strip(), number)
            entries.append(entry)
        elif line.startswith("# "):
            entry = nobody
        elif key := _KEY.fullmatch(line):
            entry.keys.append((number, key[1], key[2]))
        else:
            entry.prose.append(line)
    return entries


def _fence_end(lines: list[str], start: int, marker: str) -> int | None:
    """The index of the line that closes a fence; None where it is never closed.

    A second opening before the close means that the close was forgotten: without this, one slip would swallow every
    idea below it.
    """
    for index in range(start, len(lines)):
        match = _FENCE.fullmatch(lines[index])
        if match and match[1].startswith(marker):
            return None if match[2] else index
    return None


def _read_entry(entry: _Entry) -> Idea:
    slug = slug_of(entry.title)
    if not slug:
        raise _EntryError(entry.line, "a heading without a word in it")
    if entry.broken:
        raise _EntryError(entry.broken[0].line, entry.broken[0].text)
    idea = Idea(slug, entry.title, text="\n".join(entry.prose).strip("\n").rstrip(), line=entry.line)
    seen: dict[str, int] = {}
    for number, key, value in entry.keys:
        if key in ("lane", "priority") and key in seen:
            raise _EntryError(number, f"{key}: is given twice, on line {seen[key]} too")
        seen[key] = number
        idea = _with_key(idea, key, value, number)
    for block in entry.blocks:
        idea = _with_knobs(idea, block) if block.kind == "knobs" else _with_diff(idea, block)
    if not (idea.text or idea.runnable or idea.papers):
        raise _EntryError(idea.line, f"the heading {idea.title!r} has nothing under it")
    return idea


def _with_key(idea: Idea, key: str, value: str, line: int) -> Idea:
    if not value:
        raise _EntryError(line, f"{key}: has no value")
    match key:
        case "lane":
            return replace(idea, lane=value)
        case "after":
            return replace(idea, after=(*idea.after, slug_of(value)))
        case "priority":
            if not re.fullmatch(r"[+-]?\d{1,9}", value):
                raise _EntryError(line, f"priority: takes a whole number, not {value!r}")
            return replace(idea, priority=int(value))
        case _:
            papers = idea.papers
            for name in filter(None, (part.strip() for part in value.split(","))):
                identifier = arxiv.identifier(name)
                if identifier is None and not re.fullmatch(r"https?://\S+", name):
                    raise _EntryError(line, f"paper: takes arXiv ids or addresses, not {name!r}")
                papers += (identifier.name if identifier else name,)
            return replace(idea, papers=papers)


def _with_knobs(idea: Idea, block: _Block) -> Idea:
    knobs = dict(idea.knobs)
    for number, line in enumerate(block.lines, block.line + 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _KNOB.fullmatch(line.strip())
        if match is None:
            raise _EntryError(number, f"{line.strip()!r} is not a knob line: NAME = value")
        if match[1] in knobs:
            raise _EntryError(number, f"{match[1]} is set twice")
        try:
            _, knobs[match[1]] = read_value(match[2])
        except ProposalError as error:
            raise _EntryError(number, f"{match[1]}: {error.detail}") from error
    if not knobs:
        raise _EntryError(block.line, "this knobs block is empty")
    return replace(idea, knobs=tuple(knobs.items()))


def _with_diff(idea: Idea, block: _Block) -> Idea:
    if idea.diff is not None:
        raise _EntryError(block.line, "a second diff block; one may change several files")
    diff = "\n".join(block.lines) + "\n"
    try:
        parse_diff(diff)
    except ProposalError as error:
        raise _EntryError(
            block.line, f"this diff does not read: {error.detail}, counted from its first line"
        ) from error
    return replace(idea, diff=diff)


def _in_order(ideas: dict[str, Idea], problems: list[Problem]) -> list[Idea]:
    """Leave out the ideas whose `after:` can never be decided, with a problem for each."""
    sound: dict[str, Idea] = {}
    while ready := [
        idea for idea in ideas.values() if idea.slug not in sound and all(slug in sound for slug in idea.after)
    ]:
        sound |= {idea.slug: idea for idea in ready}
    for idea in ideas.values():
        if idea.slug not in sound:
            blocker = next(slug for slug in idea.after if slug not in sound)
            if blocker not in ideas:
                near = "".join(f"; nearest: {slug}" for slug in difflib.get_close_matches(blocker, ideas, n=1))
                text = f"after: {blocker} names no sound idea of this file{near}"
            elif idea.slug in _chain(ideas, sound, blocker):
                text = f"after: {blocker} leads round in a circle, back to {idea.title!r}"
            else:
                text = f"after: {blocker} can never be decided itself, see line {ideas[blocker].line}"
            problems.append(Problem(idea.line, f"{idea.title!r}: {text}"))
    return [idea for idea in ideas.values() if idea.slug in sound]


def _chain(ideas: dict[str, Idea], sound: dict[str, Idea], start: str) -> set[str]:
    """Every idea that `start` waits for, itself included, without the sound ones."""
    found: set[str] = set()
    left = [start]
    while left:
        slug = left.pop()
        if slug in ideas and slug not in sound and slug not in found:
            found.add(slug)
            left.extend(ideas[slug].after)
    return found
