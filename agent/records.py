"""The journal's lines. One JSON object each; what they leave out is derived from them.

A `config` line opens a segment and an `Experiment` line (the only kind with a `run` number) closes an experiment: these
two are what pi-autoresearch's reader understands. The kinds of our own have a `type` and no `run`, and it skips them.
"""

from statistics import fmean
from typing import Any, Literal

from pydantic import Field

from agent.calls import Authored, Drafted, Reserved, Spent
from agent.line import Record
from agent.yardstick import BITS, Yardstick, of_script
from bench.job import Measurement
from bench.machine import Fingerprint
from bench.script import Script

VERSION = 1

Status = Literal["keep", "discard", "crash", "checks_failed"]
Source = Literal["baseline", "queue", "search", "claude"]


class Header(Record):
    """Opens a segment: within it, and only there, numbers can be compared."""

    type: Literal["config"] = "config"
    name: str
    metricName: str = "val_bpb"  # noqa: N815  # the format's own spelling
    metricUnit: str = ""  # noqa: N815
    bestDirection: Literal["lower", "higher"] = "lower"  # noqa: N815
    version: int = VERSION
    timestamp: int
    """Epoch milliseconds."""
    seed: int
    """The night's own; every run's seed derives from it."""
    base: str
    """Full hash of the commit the segment starts from."""
    profiles: str
    """What stands before the stages in the names of the profiles used: "", "x4-", "short-" or "script-"."""
    data: str
    """The dataset's source and digest."""
    fingerprint: Fingerprint
    sandbox: str
    slots: int = 1
    script: Script | None = None
    """What is run in place of a trainer, where a person brought it: its numbers are its own word."""

    @property
    def yardstick(self) -> Yardstick:
        """What is compared in this segment."""
        return self.unjudged or BITS

    @property
    def unjudged(self) -> Yardstick | None:
        """The same, where it is a script's own word."""
        return of_script(self.script) if self.script else None

    def differences(self, other: "Header") -> list[str]:
        """What keeps numbers measured under one header from being compared with the other's, in words."""
        facts = {
            "profiles": (self.profiles, other.profiles),
            "data": (self.data, other.data),
            "the script's settings": (self.script, other.script),
            "sandbox": (self.sandbox, other.sandbox),
            "the night's seed": (self.seed, other.seed),
            "MLX": (self.fingerprint.mlx, other.fingerprint.mlx),
        }
        mine, theirs = (h.fingerprint.model_copy(update={"mlx": ""}) for h in (self, other))
        return [name for name, (here, there) in {**facts, "machine": (mine, theirs)}.items() if here != there]

    def comparable(self, other: "Header") -> bool:
        """Whether numbers measured under both headers can be compared."""
        return not self.differences(other)


class Measured(Record):
    """A run that was measured, or that failed in a way which would come back."""

    type: Literal["measured"] = "measured"
    key: str
    """Hash of all that the number depends on: tree, profile, seed, data, fingerprint and repeat."""
    timestamp: int
    tree: str
    profile: str
    seed: int
    repeat: int = 0
    measurement: Measurement | None = None
    reason: str | None = None
    detail: str | None = None
    log: str = ""
    """The end of what a failed training wrote to standard error."""


class Run(Record):
    """A run as an experiment's line tells it."""

    role: Literal["champion", "candidate"]
    profile: str
    seed: int
    val_bpb: float | None = None
    reason: str | None = None
    detail: str = ""
    log: str = ""
    """The end of what a failed training wrote to standard error."""
    wall_s: float = 0.0
    cpu_s: float = 0.0
    training_s: float = 0.0
    """CPU seconds of the training process; wall seconds on a GPU. Nought where an older version wrote the line."""
    artifact_sha256: str = ""
    total_bytes: int = 0
    peak_memory_bytes: int = 0
    tokens_per_s: float = 0.0
    fresh: bool = True
    """False where an earlier measurement of the same commit served again."""


class Pair(Record):
    """Champion and candidate under one seed, in bits per byte."""

    seed: int
    champion: float
    candidate: float

    @property
    def difference(self) -> float:
        """Candidate minus champion: negative is better."""
        return self.candidate - self.champion


class Paired(Record):
    """Champion and candidate compared under the same seeds, in bits per byte."""

    profile: str
    pairs: tuple[Pair, ...]
    mean: float
    """Mean difference, candidate minus champion: negative is better."""

    @property
    def champion_bpb(self) -> float:
        """Mean val_bpb of the champion over the pairs."""
        return fmean(pair.champion for pair in self.pairs)

    @property
    def candidate_bpb(self) -> float:
        """Mean val_bpb of the candidate over the pairs."""
        return fmean(pair.candidate for pair in self.pairs)


class Evidence(Paired):
    """What a verdict rests on, in bits per byte."""

    scale: float
    """Standard deviation of one difference, shrunk towards the prior."""
    p_value: float
    """Chance of so low a mean or lower, were there no effect."""
    chance: float = 0.0
    """Predicted chance of being kept at the last look; 0 where an older version wrote the line."""
    unjudged: Yardstick | None = None
    """What was compared, where it is a script's own word."""

    @property
    def yardstick(self) -> Yardstick:
        """What was compared."""
        return self.unjudged or BITS


class Estimate(Paired):
    """A mean difference that nothing is decided on, with its 95 % interval, in bits per byte."""

    low: float
    high: float


class Experiment(Record):
    """A decided experiment. The first ten keys are pi-autoresearch's, in its order."""

    run: int
    commit: str
    """Seven characters of `sha`, or nothing where no commit was made."""
    metric: float
    """The candidate's mean under the confirm profile, with the sign a person knows, or 0 where none was measured."""
    metrics: dict[str, float]
    status: Status
    description: str
    timestamp: int
    segment: int
    confidence: float | None = None
    """One minus the p-value of the last look at the confirm pairs."""
    asi: dict[str, str]
    id: str
    """NAME-0001: the night's name and the run number; never changes afterwards."""
    source: Source
    idea: str | None = None
    """Slug of the idea's heading in kb/ideas.md."""
    lane: str = ""
    notes: tuple[str, ...] = ()
    """Papers and notes cited."""
    parent: str
    """Full hash of the champion it was tried on."""
    sha: str = ""
    """Full hash of the candidate's commit; of the kept one for a keep."""
    tree: str = ""
    """Key of the candidate's files."""
    syntax: str = ""
    """Key of the candidate's syntax trees: equal where only comments or layout differ."""
    knobs: dict[str, str] = Field(default_factory=dict)
    patch: str = ""
    """Unified diff against the parent."""
    reason: str
    """The stable name of why."""
    detail: str
    """The reason in words."""
    runs: tuple[Run, ...] = ()
    breadth: Evidence | None = None
    confirm: Evidence | None = None
    authored: Authored | None = None
    wall_s: float = 0.0
    unjudged: Yardstick | None = None
    """What its numbers are, where they are a script's own word."""

    @property
    def yardstick(self) -> Yardstick:
        """What its numbers are."""
        return self.unjudged or BITS


class Begun(Record):
    """An experiment that was begun beside others: a night that is cut before its turn comes goes on with the same."""

    type: Literal["begun"] = "begun"
    timestamp: int
    number: int
    """Its run number, once it is decided."""
    champion: str
    """Full hash of the commit it was begun on."""
    after: int
    """Run number of the last that was decided then."""
    proposal: dict[str, Any]
    """As `proposal.encode` writes it."""


class Regained(Record):
    """What a kept change gains on fresh seeds: the gain that is logged, as the pairs that won it were picked."""

    type: Literal["regained"] = "regained"
    timestamp: int
    id: str
    """The kept experiment."""
    evidence: Evidence


class Audited(Record):
    """What a night gained in all, on fresh seeds and the sealed split: measured once for a pair of champions."""

    type: Literal["audited"] = "audited"
    timestamp: int
    first: str
    """Full hash of the commit the segment started from: the pairs' champion."""
    last: str
    """Full hash of the champion that was audited: the pairs' candidate."""
    evidence: Estimate


class Transferred(Record):
    """A kept change against the parent it replaced, one size class up; `reason` says why where that does not run."""

    type: Literal["transferred"] = "transferred"
    timestamp: int
    id: str
    """The kept experiment."""
    evidence: Estimate | None = None
    reason: str | None = None
    """The stable name of a run's failure, or `parent_fails`."""
    detail: str | None = None


class Reverted(Record):
    """A person took a kept change back out of the research branch."""

    type: Literal["reverted"] = "reverted"
    timestamp: int
    id: str
    """The experiment whose change was taken out."""
    parent: str
    sha: str
    """Full hash of the commit that takes it out: the champion from here on."""


class Repaired(Record):
    """Something was put right at start."""

    type: Literal["repaired"] = "repaired"
    timestamp: int
    what: str


Own = Header | Measured | Begun | Regained | Audited | Transferred | Reserved | Spent | Drafted | Reverted | Repaired
"""Records with a `type`, and no `run`."""
AnyRecord = Own | Experiment
