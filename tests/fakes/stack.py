"""A night with several slots in a world whose clock jumps: real git and journal, a queue of ideas, scripted runs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agent.branch import branch_of
from agent.git import Repo, here
from agent.journal import Journal, open_journal
from agent.lab import Lab
from agent.limits import Limits
from agent.night import Night, Researcher, run
from agent.opening import baseline, home
from agent.records import Experiment
from agent.researchers import Queue
from bench.job import Job
from tests.agent.builders import header
from tests.fakes import make_repo
from tests.fakes.house import score
from tests.fakes.world import World, WorldBench

RUN_S = 20.0
HOURS = 24.0


def ideas(*knobs: Sequence[tuple[str, object]]) -> str:
    """A queue of ideas that set those knobs."""
    blocks = ("\n".join(f"{name} = {value!r}" for name, value in one) for one in knobs)
    return "\n".join(f"## Idea {number}\n\n```knobs\n{block}\n```\n" for number, block in enumerate(blocks, 1))


@dataclass
class Stack:
    """A repository, and nights in it."""

    world: World
    repo: Repo
    bench: WorldBench
    said: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    """Ids, as they were settled."""

    @property
    def path(self) -> Path:
        """Where the journal lies."""
        return home(self.repo) / "night" / "autoresearch.jsonl"

    def night(self, most: int = 1000, hours: float = HOURS, *researchers: Researcher) -> Journal:
        """Begin the night, or go on with it, until it ends."""
        journal = open_journal(self.path)
        sha = self.repo.commit_of("HEAD")
        if journal.header is None:
            journal.append(header(base=sha))
        opened = journal.header
        assert opened is not None
        lab = Lab(self.bench, journal, opened)
        if not journal.in_segment():
            journal.append(baseline("night", journal, lab, sha, self.repo))
            self.repo.move(branch_of("night"), sha, None)
        team = researchers or (Queue(self.repo, self.said.append),)
        limits = Limits(hours * 3600, most)
        work = Night(self.repo, journal, lab, team, limits, self._tell, self.said.append, self.world.background)
        self.said.append(run(work))
        return journal

    def _tell(self, decided: Experiment) -> None:
        self.told.append(decided.id)


def build_stack(
    world: World,
    folder: Path,
    data: Path,
    queue: str,
    capacity: int,
    seconds: Callable[[Job], float] = lambda job: RUN_S,
    bpb: Callable[[Job], float] = score,
) -> Stack:
    """A person's repository in `folder`, and a bench with so many slots."""
    return Stack(world, here(make_repo(folder, data, queue)), WorldBench(world, seconds, bpb, capacity))
