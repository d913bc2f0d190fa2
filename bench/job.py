"""What goes into the bench and what comes out: a job, and its measurement."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict, Field

from bench.profiles import Profile

PHASES = ("setup", "compile", "train", "export")
"""What a training process can say it is doing."""


@dataclass(frozen=True)
class Job:
    """One training plus one evaluation of one tree, under one profile and one seed."""

    tree: Mapping[str, bytes]
    """Every file that a proposal may change, by its path from the repository's root: all of `trainer/`, as a rule."""
    profile: Profile
    seed: int
    knobs: Mapping[str, str] = field(default_factory=dict)
    """One-off overrides for a hand-made run; a night never sets them."""
    parent: str = ""
    """Key of the tree whose compiled kernels a first run is lent: the champion's."""
    label: str = "bench"
    """What a person is shown while the run works."""
    pair: str = ""
    """Runs of one pair are made on one machine, where there are several: what they cost, or score where repeats are not
    bit-identical, is compared."""


class Progress(BaseModel):
    """Where a run is; a trainer's are lines of its output, and nothing but the phase is needed."""

    model_config = ConfigDict(frozen=True)

    phase: str
    step: int = Field(default=0, ge=0, lt=2**31)
    """Steps finished."""
    loss: float | None = None
    """Nats a token."""
    tokens: int | None = None
    """Training tokens so far."""


class Cost(BaseModel):
    """What one phase of a run took."""

    model_config = ConfigDict(frozen=True)

    wall_s: float
    cpu_s: float


class Measurement(BaseModel):
    """What the bench measured itself; nothing in here is a candidate's claim, but `train_loss`.

    Of a script that a person brings `val_bpb` is one too, and what is told of artifact, text and tokens is nought.
    """

    model_config = ConfigDict(frozen=True)

    val_bpb: float
    """Bits per UTF-8 byte of the scored text, of the exported artifact."""
    scored_tokens: int
    scored_bytes: int
    artifact_bytes: int
    artifact_sha256: str
    code_bytes: int
    steps: int
    train_tokens: int
    tokens_per_s: float
    """Training tokens by the wall clock of the train phase, which begins when the first step is done."""
    train_loss: float | None
    """Mean of the losses printed over the last third of the steps, in nats: a free hint, never evidence."""
    phases: dict[str, Cost]
    cpu_s: float
    wall_s: float
    overhead_s: float
    """Wall seconds that were neither training, export, kernel compilation nor the model's forward passes."""
    peak_memory_bytes: int
    sandbox: str

    @property
    def training(self) -> Cost:
        """What the training process took, in all the phases it said it was in."""
        spent = [cost for name, cost in self.phases.items() if name in PHASES]
        return Cost(wall_s=sum(cost.wall_s for cost in spent), cpu_s=sum(cost.cpu_s for cost in spent))

    @property
    def total_bytes(self) -> int:
        """Bytes that count against the cap: artifact and code."""
        return self.artifact_bytes + self.code_bytes
