"""What programs are told: the shape of what each reading command prints under `--json`.

`docs/schemas/COMMAND.json` is made from this page by `python -m scripts.write_schemas`, and the tests hold what the
commands print against that. A new command that reads gets a shape and a line in SHAPES. What is measured is in bits
per UTF-8 byte, time in seconds, a `timestamp` in epoch milliseconds; null stands for what was not measured or is not
there. A key is always there.
"""

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict

from agent import leads, plan, proxy
from agent.calls import Authored
from agent.index import Hit
from agent.lock import Holder
from agent.note import Front
from agent.records import Experiment, Source, Status
from agent.row import Row
from agent.sizes import Part
from bench.job import Measurement

Note = str | None
"""What to bear in mind: that numbers of short profiles are no evidence."""


class Shape(BaseModel):
    """An object of exactly these keys."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class Doctor(Shape):
    """`nightshift doctor`."""

    can_start: bool
    rows: list[Row]


class Bench(Measurement):
    """`nightshift bench`."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    profile: str
    seed: int
    folder: str
    """Where the run is kept."""
    sizes: list[Part] | None
    """With `--sizes`: what each tensor and each file of the code takes, the largest first."""


class Compared(Shape):
    """Candidate and champion under the same seeds."""

    profile: str
    seeds: int
    difference: float
    """Candidate minus champion: below zero is better."""
    standard_error: float
    p_value: float


class Line(Shape):
    """A decided experiment, in a list."""

    run: int
    id: str
    segment: int
    status: Status
    reverted: bool
    reason: str
    """The stable name of why."""
    description: str
    source: Source
    idea: str | None
    lane: str
    commit: str
    val_bpb: float | None
    breadth: Compared | None
    confirm: Compared | None
    regained: Compared | None
    """A keep on fresh seeds: the gain that counts."""
    usd: float | None
    wall_s: float


class Calls(Shape):
    """What asking Claude took in a night."""

    calls: int
    usd: float
    at_most: float
    input_tokens: int
    output_tokens: int
    from_cache: float
    """Share of the tokens read, of one."""


class AuditPair(Shape):
    """Both under one seed."""

    seed: int
    champion: float
    candidate: float
    difference: float


class Audit(Shape):
    """A night's whole gain: its first champion against its last."""

    first: str
    last: str
    timestamp: int
    profile: str
    mean: float
    low: float
    """Of the 95 % interval, as is `high`."""
    high: float
    champion_bpb: float
    candidate_bpb: float
    pairs: list[AuditPair]


class NotedAudit(Audit):
    """`nightshift audit`."""

    note: Note


class Log(Shape):
    """`nightshift log`."""

    night: str
    profiles: str
    note: Note
    audit: Audit | None
    expected_false_keeps_at_most: float
    claude: Calls | None
    simplifications: list[str]
    """Ids of changes that were not kept, are not worse as far as could be told, and leave less code."""
    experiments: list[Line]


class Show(Experiment):
    """`nightshift show`: the journal's own line, and a note."""

    note: Note


class Transcript(Shape):
    """`nightshift show --transcript`."""

    id: str
    draft: str
    lines: list[dict[str, Any]]
    """As they stand in the transcript: first what it began from, then messages of the Messages API."""


class Diff(Shape):
    """`nightshift diff`."""

    id: str
    parent: str
    patch: str


class QueuedIdea(Shape):
    """An idea of kb/ideas.md."""

    slug: str
    title: str
    lane: str
    priority: int
    line: int
    """Of its heading in the file."""
    state: str


class Problem(Shape):
    """An entry of kb/ideas.md that does not read."""

    line: int
    text: str


class Ideas(Shape):
    """`nightshift idea list`."""

    ideas: list[QueuedIdea]
    problems: list[Problem]


@dataclass(frozen=True)
class Plan(plan.Plan):
    """`nightshift plan`."""

    note: Note


@dataclass(frozen=True)
class Proxy(proxy.Proxy):
    """`nightshift proxy`."""

    conclusion: str


class TransferredKeep(Shape):
    """A kept change against the parent it replaced, one size class up."""

    id: str
    description: str
    sha: str
    parent: str
    timestamp: int
    verdict: str
    reason: str | None
    detail: str | None
    profile: str | None
    mean: float | None
    low: float | None
    high: float | None
    champion_bpb: float | None
    candidate_bpb: float | None
    pairs: list[AuditPair]


class Transfer(Shape):
    """`nightshift transfer`."""

    keeps: list[TransferredKeep]
    note: Note


class ReplayedRun(Shape):
    """A run made again."""

    profile: str
    seed: int
    recorded: float
    replayed: float
    same: bool
    """To the last digit."""


class Replay(Shape):
    """`nightshift replay`."""

    id: str
    came_back: bool
    same_machine: bool
    runs: list[ReplayedRun]


class Stop(Shape):
    """`nightshift stop`."""

    stopped: Holder | None
    """What ran here."""


class RunsFolder(Shape):
    """Runs that may go."""

    folder: str
    runs: int
    bytes: int


class StayingRef(Shape):
    """A candidate's ref that stays."""

    id: str
    why: str


class Garbage(Shape):
    """`nightshift gc`: what may go; with `--yes` what has gone."""

    days: int
    removed: bool
    bytes: int
    folders: list[RunsFolder]
    refs: dict[str, list[str]]
    """Ids of experiments, by night."""
    stay: list[StayingRef]


class Propose(Shape):
    """`nightshift propose`."""

    title: str
    hypothesis: str
    lane: str
    idea: str | None
    notes: list[str]
    authored: Authored
    patch: str


class Found(Shape):
    """`nightshift kb search`."""

    hits: list[Hit]


class ListedNote(Shape):
    """A note, in a list."""

    name: str
    title: str
    lane: str
    topics: list[str]
    experiments: list[str]
    """Ids of those that cited it."""


class Notes(Shape):
    """`nightshift kb list`."""

    notes: list[ListedNote]
    problems: list[str]


class ShownNote(Front):
    """`nightshift kb show`: the front matter, and the sections by their headings."""

    name: str
    sections: dict[str, str]


class Lead(Shape):
    """A note as something to try."""

    note: str
    paper: str
    title: str
    lane: str
    state: leads.State
    detail: str
    score: float
    """Expected thousandths of a bit per byte for an average experiment's cost."""
    chance: float
    gain: float
    cost: float
    """In average experiments."""
    knobs: dict[str, str]
    diff: str | None


class Leads(Shape):
    """`nightshift kb ideas`."""

    ideas: list[Lead]


class Checked(Shape):
    """`nightshift kb check`."""

    problems: list[str]


SHAPES: dict[str, type[Any]] = {
    "audit": NotedAudit,
    "bench": Bench,
    "diff": Diff,
    "doctor": Doctor,
    "gc": Garbage,
    "idea list": Ideas,
    "kb check": Checked,
    "kb ideas": Leads,
    "kb list": Notes,
    "kb search": Found,
    "kb show": ShownNote,
    "log": Log,
    "plan": Plan,
    "propose": Propose,
    "proxy": Proxy,
    "replay": Replay,
    "show": Show,
    "show --transcript": Transcript,
    "stop": Stop,
    "transfer": Transfer,
}
"""By the words that a person types."""
