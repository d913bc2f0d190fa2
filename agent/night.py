"""The night: next idea → propose → apply → smoke → breadth → confirm → decide → record, until a limit is reached.

With several slots the runs of what comes next are under way meanwhile: agent/window.py.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from agent.attempt import Champion, attempt, hinges, keep
from agent.background import Background, in_background
from agent.branch import follow
from agent.gain import regain
from agent.git import Repo
from agent.journal import Journal
from agent.lab import Lab
from agent.limits import Limits
from agent.proposal import Proposal
from agent.records import Experiment
from agent.window import Window


class Researcher(Protocol):
    """Whatever makes proposals."""

    def next(self, champion: Champion, journal: Journal, due: Callable[[], bool] = lambda: False) -> Proposal | None:
        """What to try on `champion` now; None where nothing is left, or nothing yet and an experiment is `due`."""


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
    background: Background = in_background


def run(night: Night) -> str:
    """Work until a limit is reached or no idea is left; returns why it ended."""
    with Window(night.repo, night.journal, night.lab, night.background) as window:
        while True:
            while (kept := night.journal.not_regained) and window.is_past(kept):
                night.journal.append(regain(kept, night.lab, night.repo))
            ended = begin(night, window)
            if not window.places:
                return ended
            settle(night, window)


def begin(night: Night, window: Window) -> str:
    """Begin experiments while there is room; returns why no more."""
    while window.room:
        if ended := night.limits.reached(night.journal, len(window.places)):
            return ended
        if window.take_up():
            continue
        champion = current_champion(night)
        if (proposal := next_idea(night, champion, window)) is None:
            return night.limits.reached(night.journal) or "no idea is left"
        window.begin(champion, proposal)
    return ""


def settle(night: Night, window: Window) -> None:
    """Decide the oldest experiment under way, and record it.

    Where the champion was replaced since it began, what hinges on that is judged once more, in full, on the new one.
    """
    place = window.next()
    this = window.attempt(place, place.champion)
    experiment = attempt(this, night.lab, night.repo, night.journal)
    if night.journal.champion != this.champion.sha and hinges(experiment.status, experiment.runs):
        this = window.attempt(place, current_champion(night))
        experiment = attempt(this, night.lab, night.repo, night.journal)
    if experiment.status == "keep":
        experiment = keep(experiment, this, night.repo)
    night.journal.append(experiment)
    night.tell(experiment)
    window.settled(experiment)
    if experiment.status == "keep" and (problem := follow(night.repo, night.lab.header.name, night.journal)):
        night.say(problem)


def current_champion(night: Night) -> Champion:
    """The commit the night stands at."""
    sha = night.journal.champion
    assert sha is not None, "a night opens with a measured baseline"
    return Champion(sha, night.repo.trainer(sha))


def next_idea(night: Night, champion: Champion, window: Window) -> Proposal | None:
    """The first researcher's proposal, in their order."""
    offers = (researcher.next(champion, night.journal, window.due) for researcher in night.researchers)
    return next((offer for offer in offers if offer is not None), None)
