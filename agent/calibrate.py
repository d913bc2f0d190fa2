"""What noise is like on this machine: the shipped trainer under many seeds, and what ideas change under a few.

The measurements are a journal of their own beside the nights', so that what was cut off goes on where it stood. What is
concluded from them is in agent/noise.py, agent/promotion.py and agent/proxy.py.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import NamedTuple

from agent import proposal
from agent.ideas import Idea
from agent.lab import Lab, Subject, check
from agent.researchers import as_proposal
from agent.tree import Tree
from agent.twins import without_stale
from bench import files, gate
from bench.errors import ProposalError
from bench.profiles import profile

JOURNAL = "calibration.jsonl"
STAGES = ("breadth", "confirm")
SEEDS_A_CHANGE = 4
SEEDS_FIRST = 8
"""Of the champion, before any change: what one run's noise is comes before all else."""
AT_A_TIME = 2
CLASSES = ("", "x4-")
"""What stands before the names of the profiles that a calibration may choose, the shortest first."""
NOT_BESIDE = ("train", "warm", "compile")
"""Phases: training itself, and what is paid before the first run of a tree alone."""


class Timing(NamedTuple):
    """Wall seconds of a run of the champion under the shipped confirm, others running beside it."""

    training_s: float
    beside_s: float
    """All else but making kernels for a first run: scoring above all, which more steps do not lengthen."""

    def predicted(self, profiles: str) -> float:
        """Seconds of a confirm of that class of profiles."""
        return self.training_s * profile(f"{profiles}confirm").steps / profile("confirm").steps + self.beside_s


@dataclass(frozen=True)
class Change:
    """An idea as a tree that can be measured beside the champion."""

    slug: str
    lane: str
    tree: Mapping[str, bytes]


def changes(champion: Tree, ideas: Sequence[Idea], size: str) -> list[Change]:
    """The ideas that apply to `champion` at `size`, as trees; the others are for a night to refuse."""
    found = []
    for idea in ideas:
        try:
            tree = proposal.apply(as_proposal(idea), champion, size)
            gate.check(tree, champion)
        except ProposalError:
            continue
        if tree != champion and idea.runnable:
            found.append(Change(idea.slug, idea.lane, without_stale(champion, tree)))
    return found


def fitting(timing: Timing, target_s: float) -> tuple[str, str]:
    """The longest class of profiles whose confirm is done within `target_s` wall seconds, and why in words."""
    shipped, longer = CLASSES[0], [name for name in CLASSES[1:] if timing.predicted(name) <= target_s]
    told = f"confirm takes {timing.predicted(shipped):.0f} s here"
    if longer:
        chosen = longer[-1]
        took = f"{timing.predicted(chosen):.0f} s, within the {target_s:g} s asked for"
        return chosen, f"{told}; {chosen} takes {took}: measure with the {chosen} profiles"
    next_up = CLASSES[1]
    would = f"{next_up} would take {timing.predicted(next_up):.0f} s"
    if timing.predicted(shipped) > target_s:
        return shipped, f"{told}, above the {target_s:g} s asked for, and {would}: stay with the profiles as shipped"
    return shipped, f"{told}; {would}, above the {target_s:g} s asked for: stay with the profiles as shipped"


def time_confirm(lab: Lab, champion: Tree) -> Timing:
    """Run the champion under confirm, side by side with itself where the bench has room. Raises Interrupted.

    The seeds are the first of a calibration's, so that what was measured for this serves it again.
    """
    subject, confirm = Subject("champion", champion, "champion"), lab.profile("confirm")
    runs = lab.run([subject], confirm, lab.seeds(champion, confirm, AT_A_TIME))
    check(runs)
    mine = (files.tree_key(champion), confirm.name)
    found = {one.seed: one.measurement for one in lab.known.values() if (one.tree, one.profile) == mine}
    phases = [measured.phases for run in runs if (measured := found[run.seed])]
    return Timing(
        training_s=fmean(one["train"].wall_s for one in phases),
        beside_s=fmean(sum(cost.wall_s for name, cost in one.items() if name not in NOT_BESIDE) for one in phases),
    )


def measure(lab: Lab, champion: Tree, found: Sequence[Change], seeds: int) -> Iterator[str]:
    """Measure the champion under some seeds, every change under a few of them, and the champion under all `seeds`.

    Yields the name of what was measured. Raises Interrupted.
    """
    subject = Subject("champion", champion, "champion")
    _measure(lab, [subject], min(SEEDS_FIRST, seeds))
    yield f"the champion under {min(SEEDS_FIRST, seeds)} seeds"
    # All changes under a few seeds before any under more: what is cut off has seen something of each.
    for count in range(AT_A_TIME, SEEDS_A_CHANGE + 1, AT_A_TIME):
        for change in found:
            beside = Subject("candidate", change.tree, change.slug, parent=files.tree_key(champion))
            _measure(lab, [subject, beside], count)
            yield f"{change.slug} under {count} seeds"
    for count in range(SEEDS_FIRST + AT_A_TIME, seeds + AT_A_TIME, AT_A_TIME):
        _measure(lab, [subject], min(count, seeds))
        yield f"the champion under {min(count, seeds)} seeds"


def _measure(lab: Lab, subjects: Sequence[Subject], count: int) -> None:
    for stage in STAGES:
        profile = lab.profile(stage)
        lab.run(subjects, profile, lab.seeds(subjects[0].tree, profile, count))
