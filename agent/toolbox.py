"""What Claude can call while it works on a proposal: four ways to read, and `propose`. None of them writes anything.

Whatever it names is looked up among notes, trainer files and experiments that were read beforehand, so that no name
leads to another file.
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent import arms, library, prompt
from agent.arms import Task
from agent.edits import Edit
from agent.git import Repo
from agent.history import plain
from agent.knobs import read_value
from agent.note import Note
from agent.past import Past
from agent.proposal import Proposal
from agent.tree import Tree
from bench.errors import NightshiftError, ProposalError, UsageError

LONGEST_RESULT = 6_000
"""Characters of one answer."""
MOST_READ = 16_000
"""Characters of all answers of a draft, after which it is given no more: about 5,000 tokens."""
MOST_EXPERIMENTS = 20
LONGEST_COMPLAINT = 500


class _Input(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Search(_Input):
    """Of `search_library`."""

    question: str = Field(min_length=3, max_length=300)


class ReadNote(_Input):
    """Of `read_note`."""

    name: str = Field(min_length=1, max_length=200)


class ReadFile(_Input):
    """Of `read_trainer_file`."""

    path: str = Field(min_length=1, max_length=200)


class Experiments(_Input):
    """Of `past_experiments`."""

    lane: str = Field(default="", max_length=40)
    words: str = Field(default="", max_length=200)


class Replacement(_Input):
    """Text that stands in a file once, and what takes its place."""

    path: str
    old: str
    new: str


class WholeFile(_Input):
    """A file as it shall be."""

    path: str
    content: str


class Expected(_Input):
    """What the proposal should do to val_bpb, in thousandths of a bit per byte."""

    thousandths: float = Field(ge=-1000, le=1000, allow_inf_nan=False)
    because: str = Field(min_length=1, max_length=1000)


class Propose(_Input):
    """Of `propose`."""

    title: str = Field(min_length=3, max_length=100)
    hypothesis: str = Field(min_length=10, max_length=2000)
    expected: Expected
    lane: str
    notes: tuple[str, ...] = Field(default=(), max_length=10)
    edits: tuple[Replacement, ...] = Field(default=(), max_length=40)
    knobs: Mapping[str, str | int | float | bool] = Field(default={}, max_length=20)
    files: tuple[WholeFile, ...] = Field(default=(), max_length=10)


INPUTS: Mapping[str, type[_Input]] = {
    "search_library": Search,
    "read_note": ReadNote,
    "read_trainer_file": ReadFile,
    "past_experiments": Experiments,
    "propose": Propose,
}
SCHEMAS = {name: kind.model_json_schema() for name, kind in INPUTS.items()}


@dataclass
class Toolbox:
    """The tools of one draft, and how much has been read with them."""

    repo: Repo
    champion: Tree
    notes: Sequence[Note]
    experiments: Sequence[Past]
    read: int = field(default=0)

    def look_up(self, name: str, given: object) -> tuple[str, bool]:
        """The answer to any tool but `propose`, and whether it is an error that can be mended."""
        if name not in INPUTS or name == "propose":
            return f"there is no tool {name[:40]!r}; there are {', '.join(INPUTS)}", True
        if self.read >= MOST_READ:
            return "this draft has read as much as it may: call `propose` now", True
        try:
            found = self._answer(INPUTS[name].model_validate(given))
        except ValidationError as error:
            return complaint(error), True
        except NightshiftError as error:
            return str(error), True
        self.read += len(found)
        return found, False

    def _answer(self, asked: _Input) -> str:
        match asked:
            case Search(question=question):
                hits = library.search(self.repo, question)
                lines = [f"{hit.page} ({hit.kind}) {hit.title}: {hit.snippet}" for hit in hits]
                return prompt.quoted("hits", "\n".join(lines) or "nothing has any of these words", LONGEST_RESULT)
            case ReadNote(name=name):
                return self._note(name)
            case ReadFile(path=path):
                return self._file(path)
            case Experiments(lane=lane, words=words):
                return self._experiments(lane, words)
        raise AssertionError(asked)

    def _note(self, name: str) -> str:
        page = name.partition("#")[0]
        for path in library.lessons(self.repo.root):
            if path.stem == page:
                return prompt.quoted("note", library.text_of(path), LONGEST_RESULT, name=path.stem)
        try:
            return prompt.note_text(library.find_note(self.notes, name))
        except UsageError:
            raise UsageError(f"there is no note {name!r}; search_library finds some") from None

    def _file(self, path: str) -> str:
        if path not in self.champion:
            raise UsageError(f"the trainer has no {path!r}; it has {', '.join(sorted(self.champion))}")
        return prompt.quoted("file", self.champion[path].decode(errors="replace"), name=path)

    def _experiments(self, lane: str, words: str) -> str:
        wanted = words.lower().split()
        found = [
            one
            for one in self.experiments
            if (not lane or one.lane == lane)
            and all(word in f"{one.title} {one.hypothesis} {one.reason} {one.detail}".lower() for word in wanted)
        ]
        return prompt.experiments(found[: -MOST_EXPERIMENTS - 1 : -1]) or "no experiment is like that"


def as_proposal(given: object, task: Task, champion: Tree, closed: Collection[str], *, whole_files: bool) -> Proposal:
    """A proposal from the input of `propose`. Raises ProposalError (`bad_proposal`) with what has to be mended."""
    try:
        asked = Propose.model_validate(given)
    except ValidationError as error:
        raise ProposalError("bad_proposal", complaint(error)) from error
    lane = task.idea.lane if task.idea else asked.lane
    if not task.idea and lane not in arms.LANES:
        raise ProposalError("bad_proposal", f"lane: {lane[:40]!r} is none of {', '.join(arms.LANES)}")
    if not task.idea and lane in closed:
        raise ProposalError("lane_closed", f"{lane} has had its turns in a row; propose something of another lane")
    if asked.files and not whole_files:
        raise ProposalError("bad_proposal", "files: only after two proposals whose edits did not fit; give edits")
    if not (asked.edits or asked.knobs or asked.files):
        raise ProposalError("bad_proposal", "one of edits, knobs and files has to say what changes")
    cited = dict.fromkeys((*(note.key for note in task.notes), *filter(None, map(plain, asked.notes))))
    return Proposal(
        title=plain(asked.title) or plain(task.title) or task.arm,
        hypothesis=plain(asked.hypothesis),
        source="claude",
        lane=lane,
        idea=task.idea.slug if task.idea else None,
        notes=tuple(cited),
        knobs=tuple((name, literal(value)) for name, value in asked.knobs.items()),
        edits=(
            *(Edit(one.path, one.old, one.new) for one in asked.edits),
            *(Edit(one.path, champion.get(one.path, b"").decode(errors="replace"), one.content) for one in asked.files),
        ),
    )


def literal(value: str | int | float | bool) -> str:
    """A knob's value as `trainer/settings.py` writes it, whether it came as a value or as it is written there."""
    if isinstance(value, str):
        with suppress(ProposalError):
            return read_value(value)[1]
    return repr(value)


def foretold(given: Mapping[str, Any]) -> str:
    """What a valid input of `propose` expects, in words."""
    expected = Propose.model_validate(given).expected
    return f"{expected.thousandths:+g} thousandths of a bit per byte: {plain(expected.because)}"


def complaint(error: ValidationError) -> str:
    """What is wrong with an input, field by field, in one line."""
    parts = (f"{'.'.join(map(str, one['loc'])) or 'input'}: {one['msg']}" for one in error.errors(include_input=False))
    return plain("; ".join(islice(parts, 5)))[:LONGEST_COMPLAINT]
