"""An idea made concrete: what is to be changed in `trainer/`, and why."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from pydantic import ConfigDict, TypeAdapter

from agent import edits, knobs
from agent.calls import Authored
from agent.edits import Edit
from agent.records import Source
from agent.scope import TRAINER, Scope
from agent.tree import Tree
from bench.errors import ProposalError

SETTINGS = knobs.PATH


@dataclass(frozen=True)
class Proposal:
    """A change that can be tried as it stands: a unified diff, exact replacements, knob values, or several of them."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(arbitrary_types_allowed=True)

    title: str
    hypothesis: str
    source: Source
    lane: str
    idea: str | None = None
    """Slug of the idea's heading in kb/ideas.md."""
    notes: tuple[str, ...] = ()
    knobs: tuple[tuple[str, str], ...] = ()
    diff: str | None = None
    edits: tuple[Edit, ...] = ()
    authored: Authored | None = None
    refused: ProposalError | None = None
    """Why nothing that could be tried came of it."""


def apply(proposal: Proposal, tree: Tree, size: str, scope: Scope = TRAINER) -> dict[str, bytes]:
    """The champion's tree with the proposal in it. Raises ProposalError, and changes nothing, where it does not fit.

    Knobs are rewritten where their value is in force at `size`; diff and replacements come first.
    """
    if proposal.refused:
        raise proposal.refused
    replacements = [*(edits.parse_diff(proposal.diff) if proposal.diff else ()), *proposal.edits]
    changed = edits.apply(tree, replacements, scope) if replacements else dict(tree)
    if proposal.knobs and scope != TRAINER:
        raise ProposalError("unknown_knob", "a script has no knobs that are known here: propose a diff")
    for name, value in proposal.knobs:
        changed[SETTINGS] = knobs.set_knob(changed.get(SETTINGS, b""), name, value, size)
    return changed


_ADAPTER = TypeAdapter(Proposal)


def encode(proposal: Proposal) -> dict[str, Any]:
    """A proposal as JSON can hold it."""
    word = dict(_ADAPTER.dump_python(proposal, mode="json", exclude={"refused"}))
    if refused := proposal.refused:
        word["refused"] = {"reason": refused.reason, "detail": refused.detail}
    return word


def decode(word: Mapping[str, Any]) -> Proposal:
    """The proposal that `encode` wrote."""
    refused = word.get("refused")
    found = _ADAPTER.validate_python({**word, "refused": None})
    return replace(found, refused=ProposalError(**refused)) if refused else found
