"""What noise is like on this machine: the shipped trainer under many seeds, and what ideas change under a few.

The measurements are a journal of their own beside the nights', so that what was cut
off goes on where it stood. What is concluded from them is in agent/noise.py and agent/proxy.py.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from agent import proposal
from agent.ideas import Idea
from agent.lab import Lab, Subject
from agent.researchers import as_proposal
from agent.tree import Tree
from agent.twins import without_stale
from bench import files, gate
from bench.errors import ProposalError

JOURNAL = "calibration.jsonl"
STAGES = ("breadth", "confirm")
SEEDS_A_CHANGE = 4
SEEDS_FIRST = 8
"""Of the champion, before any change: what one run's noise is comes before all else."""
AT_A_TIME = 2


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
