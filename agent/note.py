"""A note: one Markdown page of `kb/papers/` about one paper, with YAML front matter and the sections of the house.

`## Claim`, `## Mechanism`, `## What to change in trainer/`, `## Evidence and scale` and `## Risks` come from whoever
writes the note; `## What happened here` is written by `nightshift finish` alone, from the committed history. What to
change may carry a ```` ```knobs ```` or ```` ```diff ```` block, as an idea of `kb/ideas.md` does.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from agent import arxiv
from agent.ideas import Idea, parse_ideas
from bench.errors import LibraryError

CHANGE = "What to change in trainer/"
SECTIONS = ("Claim", "Mechanism", CHANGE, "Evidence and scale", "Risks")
HAPPENED = "What happened here"

_FENCE = re.compile(r"(`{3,}|~{3,})")


class Front(BaseModel):
    """What stands between the `---` lines."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    arxiv: str | None = None
    """Identifier without its version: `2505.08823`, or `cs/0506001` in the old style."""
    url: str | None = None
    """Where it has no arXiv identifier."""
    version: int | None = None
    year: int | None = None
    topics: tuple[str, ...] = ()
    lane: str = "papers"
    shipped: Literal["absent", "partly", "already"] = "absent"
    """Whether the trainer as shipped has this in it."""
    source: str = "by hand"
    """Where the text came from that the note was written from: an address, or `by hand`."""
    retrieved: str | None = None
    """Day on which it was fetched, YYYY-MM-DD."""
    licence: str | None = None
    """What the source says of its licence."""
    withdrawn: bool = False
    asks: tuple[str, ...] = ()
    """Questions in a user's words that the note answers."""


@dataclass(frozen=True)
class Note:
    """A page about a paper. `name` is the file's, without folder and `.md`."""

    name: str
    front: Front
    sections: Mapping[str, str]
    """Text under each `##` heading, in order."""

    @property
    def key(self) -> str:
        """What an idea or a proposal cites it by: the arXiv identifier, or the name where it has none."""
        return self.front.arxiv or self.name

    def cited_in(self, citations: tuple[str, ...]) -> bool:
        """Whether one of the papers that an experiment names is this one."""
        return not {self.key, self.name, self.front.url}.isdisjoint(citations)

    def idea(self) -> Idea:
        """What to change, as an idea that can be queued. Raises LibraryError where a block in it does not read."""
        text = self.sections.get(CHANGE, "").strip() or "nothing is written here yet"
        ideas, problems = parse_ideas(f"## {self.front.title}\n\n{text}\n")
        if problems:
            raise LibraryError(f"{self.name}: {problems[0].text}")
        return replace(ideas[0], lane=self.front.lane, papers=(self.key,))


def parse_note(name: str, text: str) -> Note:
    """Read a note. Raises LibraryError, in one line that names it, where the front matter does not read."""
    head, body = split_front(text)
    if head is None:
        raise LibraryError(f"{name}: a note begins with front matter between two lines of ---")
    try:
        front = Front.model_validate(read_yaml(head))
    except yaml.YAMLError as error:
        raise LibraryError(f"{name}: the front matter is no YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "it"
        raise LibraryError(f"{name}: front matter, {where}: {first['msg']}") from error
    identifier = front.arxiv and arxiv.identifier(front.arxiv)
    if front.arxiv and identifier != arxiv.Identifier(front.arxiv):
        raise LibraryError(f"{name}: arxiv: takes an identifier without its version, not {front.arxiv!r}")
    if not (front.arxiv or front.url):
        raise LibraryError(f"{name}: the front matter names neither arxiv: nor url:")
    return Note(name, front, {heading: text for heading, text in parts(body) if heading})


def render(note: Note) -> str:
    """The note as its file holds it; `parse_note` reads the same note back."""
    told = {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in note.front.model_dump(exclude_defaults=True).items()
    }
    head = yaml.safe_dump(told, sort_keys=False, allow_unicode=True, width=120)
    sections = [f"## {heading}\n\n{text.strip()}\n" for heading, text in note.sections.items()]
    return "\n".join([f"---\n{head}---\n", *sections])


def split_front(text: str) -> tuple[str | None, str]:
    """The front matter of a Markdown page, None where it has none, and what follows it."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    found = re.match(r"---\n(.*?\n)---\n", text, re.DOTALL)
    return (found[1], text[found.end() :]) if found else (None, text)


def read_yaml(text: str) -> object:
    """YAML whose every scalar stays a string: 2410.20670 is an identifier and no number. Raises yaml.YAMLError."""
    return yaml.load(text, Loader=getattr(yaml, "CBaseLoader", yaml.BaseLoader))  # makes no objects


def parts(body: str) -> Iterator[tuple[str, str]]:
    """Each `##` heading of a Markdown page with the text under it; first what stands before any, under "".

    A `#` heading, the page's title, is left out, and what a fence holds opens nothing.
    """
    heading, lines, fence = "", list[str](), ""
    for line in body.split("\n"):
        mark = _FENCE.match(line)
        if mark:
            fence = "" if fence and line.startswith(fence) else fence or mark[1]
        if not fence and line.startswith("## "):
            yield heading, "\n".join(lines).strip("\n")
            heading, lines = line[3:].strip(), []
        elif fence or not line.startswith("# "):
            lines.append(line)
    yield heading, "\n".join(lines).strip("\n")


def without_code(text: str) -> str:
    """A Markdown text without what its fences hold."""
    return re.sub(r"(?ms)^(```|~~~).*?^\1", "", text)
