"""An idea made concrete: what is to be changed in `trainer/`, and why."""

from dataclasses import dataclass

from agent import edits, knobs
from agent.records import Source
from agent.tree import Tree

SETTINGS = knobs.PATH


@dataclass(frozen=True)
class Proposal:
    """A change that can be tried as it stands: knob values, a unified diff, or both."""

    title: str
    hypothesis: str
    source: Source
    lane: str
    idea: str | None = None
    """Slug of the idea's heading in kb/ideas.md."""
    notes: tuple[str, ...] = ()
    knobs: tuple[tuple[str, str], ...] = ()
    diff: str | None = None


def apply(proposal: Proposal, tree: Tree, size: str) -> dict[str, bytes]:
    """The champion's tree with the proposal in it. Raises ProposalError, and changes nothing, where it does not fit.

    Knobs are rewritten where their value is in force at `size`; the diff comes first.
    """
    changed = edits.apply(tree, edits.parse_diff(proposal.diff)) if proposal.diff else dict(tree)
    for name, value in proposal.knobs:
        changed[SETTINGS] = knobs.set_knob(changed.get(SETTINGS, b""), name, value, size)
    return changed
