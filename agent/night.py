"""The night: next idea → propose → apply → smoke → breadth → confirm → decide → record, until a limit is reached."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from agent.attempt import Attempt, Champion, attempt, keep, regain
from agent.branch import follow
from agent.git import Repo
from agent.journal import Journal
from agent.lab import Lab
from agent.proposal import Proposal
from agent.records import Experiment
from bench import clock


class Researcher(Protocol):
    """Whatever makes proposals."""

    def next(self, champion: Champion, journal: Journal) -> Proposal | None:
        """What to try on `champion` now, or None where there is nothing left."""


@dataclass(frozen=True)
class Limits:
    """When a night ends."""

    until: float
    """On the clock that runs while the machine sleeps: no experiment starts after this."""
    experiments: int
    """Decided in all, baselines not counted."""
    changed: Callable[[], str | None] = lambda: None
    """Why what is measured from now on cannot be compared with the rest, if it cannot."""

    def reached(self, journal: Journal) -> str | None:
        """Why the night ends now, if it does."""
        decided = sum(experiment.source != "baseline" for experiment in journal.experiments)
        if decided >= self.experiments:
            return f"{decided} experiments decided, the most asked for"
        return "its time is up" if clock.through_sleep() >= self.until else self.changed()


@dataclass(frozen=True)
class Night:
    """Everything a night works with."""

    repo: Repo
    journal: Journal
    lab: Lab
    researchers: Sequence[Researcher]
    limits: Limits
    tell: Callable[[Experiment], None]
    say: Callable[[str], None]


def run(night: Night) -> str:
    """Work until a limit is reached or no idea is left; returns why it ended."""
    while True:
        if kept := night.journal.not_regained:
            night.journal.append(regain(kept, night.lab, night.repo))
        if ended := night.limits.reached(night.journal):
            return ended
        champion = current_champion(night)
        proposal = next_idea(night, champion)
        if proposal is None:
            return night.limits.reached(night.journal) or "no idea is left"
        run_number = len(night.journal.experiments) + 1
        this = Attempt(
            f"{night.lab.header.name}-{run_number:04d}",
            run_number,
            night.journal.segment,
            champion,
            proposal,
            unjudged=night.lab.header.unjudged,
        )
        experiment = attempt(this, night.lab, night.repo, night.journal)
        if experiment.status == "keep":
            experiment = keep(experiment, this, night.repo)
        night.journal.append(experiment)
        night.tell(experiment)
        if experiment.status == "keep" and (problem := follow(night.repo, night.lab.header.name, night.journal)):
            night.say(problem)


def current_champion(night: Night) -> Champion:
    """The commit the night stands at."""
    sha = night.journal.champion
    assert sha is not None, "a night opens with a measured baseline"
    return Champion(sha, night.repo.trainer(sha))


def next_idea(night: Night, champion: Champion) -> Proposal | None:
    """The first researcher's proposal, in their order."""
    offers = (researcher.next(champion, night.journal) for researcher in night.researchers)
    return next((offer for offer in offers if offer is not None), None)
