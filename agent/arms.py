"""What Claude is asked to try next: an idea that a person wrote in words, or else one of four strategies.

`exploit` goes further where something was kept, `paper` takes a paper that nobody has tried, `combine` puts together
changes that nearly made it, `remove` takes code away. Among those that can be followed at the moment one is drawn by
Thompson sampling (Thompson, On the likelihood that one unknown probability exceeds another, Biometrika 1933): a rate of
keeps is drawn for each strategy from what its own tries say of it, and the highest wins. So a strategy that keeps
failing is asked for less and less, and never not at all. Pure: experiments, ideas, notes and dice in.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal, get_args

from agent.ideas import Idea
from agent.leads import KEPT, OPEN, Lead
from agent.note import Note
from agent.past import Past

Strategy = Literal["exploit", "paper", "combine", "remove"]
LANES = ("data", "evaluation", "export", "optimizer", "other", "papers", "shared-depth", "training")
"""What a proposal may say that it belongs to."""
PRIOR_TRIALS = 10.0
"""What the general rate of keeps counts, in tries, beside a strategy's own."""
MOST_IN_A_ROW = 3
"""Proposals one after another in one lane; after that another lane has its turn."""
NEAR_MISSES = 6
KEEPS = 6


@dataclass(frozen=True)
class Task:
    """What one conversation with Claude is about."""

    arm: Strategy | Literal["idea"]
    title: str
    idea: Idea | None = None
    notes: tuple[Note, ...] = ()
    experiments: tuple[Past, ...] = ()
    """Those it is to start from."""


def for_idea(idea: Idea, notes: Sequence[Note]) -> Task:
    """To write the edits of an idea in words, with the notes of the papers that it names."""
    return Task("idea", idea.title, idea=idea, notes=tuple(note for note in notes if note.cited_in(idea.papers)))


def next_task(experiments: Sequence[Past], leads: Sequence[Lead], closed: Collection[str], dice: Random) -> Task:
    """A strategy and what it starts from. `leads` are best first, and those in hand already are left out of them."""
    keeps = [one for one in experiments if one.kept and one.lane not in closed][-KEEPS:]
    misses = near_misses([one for one in experiments if one.lane not in closed], NEAR_MISSES)
    lead = next((one for one in leads if one.state in OPEN and one.note.front.lane not in closed), None)
    tasks: dict[Strategy, Task] = {"remove": Task("remove", "less code")}
    if keeps:
        tasks["exploit"] = Task("exploit", f"further than {keeps[-1].title}", experiments=tuple(keeps))
    if len(misses) > 1:
        tasks["combine"] = Task("combine", "near misses together", experiments=tuple(misses))
    if lead:
        tasks["paper"] = Task("paper", lead.note.front.title, notes=(lead.note,))
    return tasks[draw(experiments, sorted(tasks), dice)]


def draw(experiments: Sequence[Past], strategies: Sequence[Strategy], dice: Random) -> Strategy:
    """One of the strategies, by what became of each one's tries."""
    rates: dict[Strategy, float] = {}
    for name in strategies:
        tries = [one for one in experiments if one.arm == name]
        kept = sum(one.kept for one in tries)
        rates[name] = dice.betavariate(kept + KEPT * PRIOR_TRIALS, len(tries) - kept + (1 - KEPT) * PRIOR_TRIALS)
    return max(strategies, key=rates.__getitem__)


def near_misses(experiments: Sequence[Past], most: int) -> list[Past]:
    """What was measured better than its champion and not kept: what came to confirm first, then by size."""
    missed = [one for one in experiments if one.status != "keep"]
    found = [one for one in missed if one.effect and one.effect.mean < 0]
    order = {one.id: (not one.effect.confirmed, one.effect.mean) for one in found if one.effect}
    return sorted(found, key=lambda one: order[one.id])[:most]


def closed_lanes(lanes: Sequence[str]) -> frozenset[str]:
    """The lane that has had its turns, given the lanes of a night's proposals in their order."""
    last = lanes[-MOST_IN_A_ROW:]
    return frozenset(last) if len(last) == MOST_IN_A_ROW and len(set(last)) == 1 else frozenset()


def hit_rates(experiments: Sequence[Past]) -> Mapping[str, tuple[int, int]]:
    """Keeps and tries of each strategy, and of people's ideas in words."""
    arms = sorted({one.arm for one in experiments} & {*get_args(Strategy), "idea"})
    tries = {arm: [one for one in experiments if one.arm == arm] for arm in arms}
    return {arm: (sum(one.kept for one in those), len(those)) for arm, those in tries.items()}
