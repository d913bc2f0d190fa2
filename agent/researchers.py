"""The two researchers that need no language model: the person's queue, and the knob search."""

from collections.abc import Callable
from dataclasses import dataclass, field

from agent import search
from agent.attempt import Champion
from agent.git import Repo
from agent.ideas import Idea, next_ideas
from agent.journal import Journal
from agent.knobs import read_knobs
from agent.proposal import SETTINGS, Proposal, decode
from agent.queue import IDEAS, read_queue


@dataclass
class Queue:
    """The person's ideas, read afresh each time: one added, promoted or retired during the night is so that night."""

    repo: Repo
    warn: Callable[[str], None]
    warned: set[str] = field(default_factory=set)

    def next(self, champion: Champion, journal: Journal, due: Callable[[], bool] = lambda: False) -> Proposal | None:
        """The first idea that can run and was neither begun nor decided in this segment."""
        del champion, due
        return next(map(as_proposal, self.waiting(journal)), None)

    def waiting(self, journal: Journal) -> list[Idea]:
        """The ideas that can run now, the first of them first."""
        ideas, problems = read_queue(self.repo)
        for problem in problems:
            words = f"{IDEAS}, line {problem.line}: {problem.text}"
            if words not in self.warned:
                self.warned.add(words)
                self.warn(words)
        decided = {experiment.idea for experiment in journal.in_segment() if experiment.idea}
        begun = {one.proposal["idea"] for one in journal.begun}
        return [idea for idea in next_ideas(ideas, decided) if idea.slug not in begun]


@dataclass(frozen=True)
class Search:
    """The knob search over what the champion's own settings declare."""

    size: str
    seed: int

    def next(self, champion: Champion, journal: Journal, due: Callable[[], bool] = lambda: False) -> Proposal | None:
        """The next change of one knob."""
        del due
        knobs, begun = read_knobs(champion.tree[SETTINGS]), [decode(one.proposal) for one in journal.begun]
        return search.propose(knobs, self.size, journal.in_segment(), self.seed, champion.sha, begun)


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
