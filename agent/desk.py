"""Where conversations with Claude are opened: what it is asked next, and with which words, pages and tools."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from agent import arms, library, prompt, toolbox
from agent.arms import Task
from agent.attempt import Champion
from agent.dialogue import Dialogue, Model
from agent.git import Repo
from agent.ideas import next_ideas
from agent.leads import leads
from agent.note import Note
from agent.past import Past
from agent.proposal import Proposal
from agent.queue import read_queue
from agent.records import Experiment
from agent.toolbox import Toolbox


@dataclass(frozen=True)
class Standing:
    """What a proposal is to be about, and what it is not to repeat."""

    champion: Champion
    decided: Sequence[Experiment]
    """Of the open segment."""
    in_hand: Sequence[Proposal] = ()
    """Being tried, or ready to be."""

    @property
    def closed(self) -> frozenset[str]:
        """Lanes that have had their turns. What a person asked for does not count."""
        lanes = [one.lane for one in self.decided if one.authored and one.authored.arm != "idea"]
        return arms.closed_lanes([*lanes, *(one.lane for one in self.in_hand if one.authored and not one.idea)])


@dataclass(frozen=True)
class Desk:
    """Opens conversations with one model about one repository."""

    repo: Repo
    folder: Path
    """Where transcripts are kept."""
    size: str
    seed: int
    model: Model
    model_name: str

    def open(self, name: str, standing: Standing, task: Task | None = None) -> Dialogue:
        """A conversation in which nothing has been said yet: about `task`, or about what comes next."""
        root, champion = self.repo.root, standing.champion
        notes, past = library.read_notes(root)[0], library.experiments(self.repo)
        task = task or self._next_task(name, standing, notes, past)
        night = {one.id for one in standing.decided}
        situation = prompt.situation(
            [one for one in past if one.id in night],
            [one for one in past if one.id not in night],
            [one.title for one in standing.in_hand],
            standing.closed,
        )
        return Dialogue(
            name=name,
            task=task,
            system=prompt.system(root, champion.tree, notes),
            tools=prompt.tools(root, toolbox.SCHEMAS),
            opening=prompt.opening(root, task, situation),
            box=Toolbox(self.repo, champion.tree, notes, past),
            closed=standing.closed,
            model=self.model,
            model_name=self.model_name,
            path=self.folder / f"{name}.jsonl",
        )

    def move(self, dialogue: Dialogue, champion: Champion) -> None:
        """Have an open conversation go on about another champion."""
        notes = library.read_notes(self.repo.root)[0]
        dialogue.system = prompt.system(self.repo.root, champion.tree, notes)
        dialogue.box.champion = champion.tree

    def _next_task(self, name: str, standing: Standing, notes: Sequence[Note], past: Sequence[Past]) -> Task:
        """A person's idea in words, or else what a strategy asks for."""
        ideas, _ = read_queue(self.repo)
        taken = {slug for slug in (*_slugs(standing.decided), *_slugs(standing.in_hand)) if slug}
        for idea in next_ideas(ideas, taken, in_words=True):
            return arms.for_idea(idea, notes)
        cited = {key for one in standing.in_hand for key in one.notes}
        free = [note for note in notes if note.key not in cited]
        ranked = leads(free, past, standing.champion.tree, self.size)
        return arms.next_task(past, ranked, standing.closed, Random(f"{self.seed}/{name}"))


def _slugs(those: Sequence[Experiment] | Sequence[Proposal]) -> list[str | None]:
    return [one.idea for one in those]
