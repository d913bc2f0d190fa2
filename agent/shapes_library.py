"""The shapes of what is told of ideas, proposals and the knowledge base."""

from agent import leads
from agent.calls import Authored
from agent.index import Hit
from agent.note import Front
from agent.shape import Shape


class QueuedIdea(Shape):
    """An idea of kb/ideas.md."""

    slug: str
    title: str
    lane: str
    priority: int
    """In force: the one in the file, or what was wished since."""
    line: int
    """Of its heading in the file."""
    retired: bool
    decided: str | None
    """Id of its experiment in the open segment."""
    state: str


class Problem(Shape):
    """An entry of kb/ideas.md that does not read."""

    line: int
    text: str


class Ideas(Shape):
    """`nightshift idea list`."""

    ideas: list[QueuedIdea]
    problems: list[Problem]


class Propose(Shape):
    """`nightshift propose`."""

    title: str
    hypothesis: str
    lane: str
    idea: str | None
    notes: list[str]
    authored: Authored
    patch: str


class Found(Shape):
    """`nightshift kb search`."""

    hits: list[Hit]


class ListedNote(Shape):
    """A note, in a list."""

    name: str
    title: str
    lane: str
    topics: list[str]
    experiments: list[str]
    """Ids of those that cited it."""


class Notes(Shape):
    """`nightshift kb list`."""

    notes: list[ListedNote]
    problems: list[str]


class ShownNote(Front):
    """`nightshift kb show`: the front matter, and the sections by their headings."""

    name: str
    sections: dict[str, str]


class Lead(Shape):
    """A note as something to try."""

    note: str
    paper: str
    title: str
    lane: str
    state: leads.State
    detail: str
    score: float
    """Expected thousandths of a bit per byte for an average experiment's cost."""
    chance: float
    gain: float
    cost: float
    """In average experiments."""
    knobs: dict[str, str]
    diff: str | None


class Leads(Shape):
    """`nightshift kb ideas`."""

    ideas: list[Lead]


class Checked(Shape):
    """`nightshift kb check`."""

    problems: list[str]


class ImportedPart(Shape):
    """Runs of one metric."""

    metric: str
    bestDirection: str  # noqa: N815  # the format's own spelling
    runs: int
    kept: int
    best: float | None
    """The best of those that were kept there."""


class Imported(Shape):
    """`nightshift import`."""

    name: str
    file: str
    parts: list[ImportedPart]
    written: list[str]
    """Files that a person is to commit; none with `--dry-run`."""
