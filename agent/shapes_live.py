"""The shape of what is told of a night that runs: `agent/live.py`."""

from agent.records import Status
from agent.shape import Note, Shape


class Decided(Shape):
    """How many experiments there are, and may be."""

    decided: int
    most: int | None


class Money(Shape):
    """What Claude can have cost, and may."""

    at_most: float
    most: float | None


class Beside(Shape):
    """A run and its champion's, at the last step that both have finished."""

    step: int
    training_loss: float
    champion: float


class Run(Shape):
    """A run under way."""

    label: str
    profile: str
    seed: int
    phase: str
    phase_s: float
    step: int
    steps: int
    training_loss: float | None
    """Nats a token, as the trainer prints it."""
    beside_champion: Beside | None


class Champion(Shape):
    """One of the open segment's."""

    id: str
    description: str
    val_bpb: float
    reverted: bool


class Verdict(Shape):
    """One of the last."""

    id: str
    description: str
    status: Status
    reason: str
    detail: str
    timestamp: int


class Watch(Shape):
    """`nightshift watch`."""

    night: str
    running: bool
    at: int
    pid: int | None
    profiles: str
    note: Note
    experiments: Decided
    left_s: float | None
    usd: Money
    runs: list[Run]
    champions: list[Champion]
    verdicts: list[Verdict]
    next: list[str]
    """Titles of what waits."""
