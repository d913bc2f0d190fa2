"""The two researchers that need no language model: the person's queue, and the knob search."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from agent import search
from agent.attempt import Champion
from agent.ideas import Idea, next_ideas, parse_ideas
from agent.journal import Journal
from agent.knobs import read_knobs
from agent.proposal import SETTINGS, Proposal

IDEAS = Path("kb/ideas.md")


@dataclass
class Queue:
    """`kb/ideas.md`, read afresh each time, so that an idea added during the night is tried that night."""

    path: Path
    warn: Callable[[str], None]
    warned: set[str] = field(default_factory=set)

    def next(self, champion: Champion, journal: Journal) -> Proposal | None:
        """The first idea that can run and was not decided in this segment."""
        del champion
        return next(map(as_proposal, self.waiting(journal)), None)

    def waiting(self, journal: Journal) -> list[Idea]:
        """The ideas that can run now, the first of them first."""
        ideas, problems = parse_ideas(read_ideas(self.path))
        for problem in problems:
            words = f"{IDEAS}, line {problem.line}: {problem.text}"
            if words not in self.warned:
                self.warned.add(words)
                self.warn(words)
        decided = {experiment.idea for experiment in journal.in_segment() if experiment.idea}
        return next_ideas(ideas, decided)


@dataclass(frozen=True)
class Search:
    """The knob search over what the champion's own settings declare."""

    size: str
    seed: int

    def next(self, champion: Champion, journal: Journal) -> Proposal | None:
        """The next change of one knob."""
        knobs = read_knobs(champion.tree[SETTINGS])
        return search.propose(knobs, self.size, journal.in_segment(), self.seed)


def read_ideas(path: Path) -> str:
    """The queue's text; nothing where there is no file. What is not UTF-8 shows as such and stops nothing."""
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def as_proposal(idea: Idea) -> Proposal:
    """An idea that carries its own edits, as a proposal."""
    return Proposal(
        title=idea.title,
        hypothesis=" ".join(idea.text.split()) or idea.title,
        source="queue",
        lane=idea.lane,
        idea=idea.slug,
        notes=idea.papers,
        knobs=idea.knobs,
        diff=idea.diff,
    )
