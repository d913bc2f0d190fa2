"""The shapes of what is told of a night and its experiments."""

from dataclasses import dataclass
from typing import Any

from agent import plan
from agent.lock import Holder
from agent.records import Experiment, Source, Status
from agent.shape import Note, Shape
from agent.yardstick import Yardstick


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
    metric: Yardstick
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


@dataclass(frozen=True)
class Plan(plan.Plan):
    """`nightshift plan`."""

    note: Note


class Stop(Shape):
    """`nightshift stop`."""

    stopped: Holder | None
    """What ran here."""
