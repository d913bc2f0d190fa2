"""A whole night in a world whose clock jumps: real git, journal and files, a scripted model, a scripted bench."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from agent.attempt import Champion
from agent.author import Author
from agent.branch import branch_of
from agent.claude import Answer, Question
from agent.desk import Desk
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
from tests.fakes import make_repo, with_prompts
from tests.fakes.claude import ScriptedModel, proposal
from tests.fakes.world import World, WorldBench

HOUR = 3600.0
SECONDS = {"smoke": 10.0, "breadth": 50.0, "confirm": 50.0}
"""Of a run, so that one that is dropped at breadth takes a minute."""


def a_minute(job: Job) -> float:
    """Seconds of a run."""
    return SECONDS[job.profile.name.removeprefix("short-")]


def value(job: Job, knob: str) -> float:
    """A number that a run's own settings say."""
    found = re.search(rf"^{knob} = ([\d.]+)", job.tree["trainer/settings.py"].decode(), re.MULTILINE)
    assert found
    return float(found[1])


def score(job: Job) -> float:
    """The higher QUALITY the better; any NUDGE is worse than none."""
    return (
        3.0 - value(job, "QUALITY") + (0.05 + value(job, "NUDGE") / 10) * (value(job, "NUDGE") > 0) + job.seed % 7 / 1e4
    )


@dataclass
class House:
    """All that a night needs, in one world."""

    world: World
    repo: Repo
    journal: Journal
    bench: WorldBench
    lab: Lab
    model: ScriptedModel
    said: list[str]

    def author(self, hours: float, most: int = 1000, serial: bool = False, filler: Researcher | None = None) -> Author:
        """Claude as the researcher of that night."""
        desk = Desk(self.repo, self.journal.path.parent / "drafts", "tiny", 7, self.model, "a model")
        background = self.world.at_once if serial else self.world.background
        queue = Queue(self.repo, self.said.append)
        return Author(desk, self.lab, hours * HOUR, most, self.said.append, Event(), queue, filler, background)

    def night(self, author: Author, hours: float, most: int = 1000, *more: Researcher) -> list[Experiment]:
        """The decided experiments of a night of so many hours, without the baseline."""
        sha = self.repo.commit_of("HEAD")
        author.begin(Champion(sha, self.repo.trainer(sha)), self.journal)
        self.journal.append(baseline("night", self.journal, self.lab, sha, self.repo))
        self.repo.move(branch_of("night"), sha, None)
        limits = Limits(hours * HOUR, most)
        self.said.append(
            run(
                Night(
                    self.repo,
                    self.journal,
                    self.lab,
                    [author, *more],
                    limits,
                    lambda one: None,
                    self.said.append,
                    self.world.background,
                )
            )
        )
        return self.journal.experiments[1:]


def build_house(
    world: World,
    folder: Path,
    data: Path,
    answers: Callable[[Question, int], Answer],
    bpb: Callable[[Job], float] = score,
    ideas: str = "",
) -> House:
    """A person's repository in `folder`, a model that takes a minute to answer, and a bench with one slot."""
    repo = here(with_prompts(make_repo(folder, data, ideas)))

    def after_a_minute(question: Question, number: int) -> Answer:
        world.sleep(60.0)
        return answers(question, number)

    journal = open_journal(home(repo) / "night" / "autoresearch.jsonl")
    journal.append(header(base=repo.commit_of("HEAD")))
    bench = WorldBench(world, a_minute, bpb)
    return House(world, repo, journal, bench, Lab(bench, journal, header()), ScriptedModel(after_a_minute), [])


def nudge(number: int, **changes: object) -> Answer:
    """A proposal that breadth drops, another one for each number."""
    lanes = ("training", "optimizer", "export")
    usual = {"lane": lanes[number % 3], "knobs": {"NUDGE": (number + 1) / 1000}}
    return proposal(f"nudge {number}", f"call-{number}", **(usual | changes))
