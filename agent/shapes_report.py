"""The shape of what is told of a whole night: `agent/morning.py` says what stands under each key."""

from typing import Any, Literal

from agent.shape import Note, Shape
from agent.shapes_night import AuditPair, Calls, Line, TransferredKeep

Told = dict[str, Any]
"""An object whose keys its own module says."""


class Headline(Shape):
    """What a person reads first."""

    state: Literal["audited", "not_audited", "nothing_kept", "nothing_decided"]
    title: str
    words: str
    command: str
    """What to type next, or nothing."""


class Night(Shape):
    """The night itself."""

    name: str
    profiles: str
    data: str
    metric: str
    """What the number is called."""
    delta: str
    """What a difference of it is, in words."""
    machine: str
    sandbox: str
    slots: int
    branch: str
    base: str
    segment: int
    began: int
    last: int


class FalseKeeps(Shape):
    """How many keeps without effect are to be expected."""

    at_most: float
    rate: float
    weighed: int


class Details(Line):
    """An experiment, whole."""

    words: str
    effect: Told | None
    hypothesis: str
    expected: str
    notes: list[Told]
    pairs: dict[Literal["breadth", "confirm", "regained"], list[AuditPair]]
    runs: list[Told]
    """As in `show`, with the name of its loss curve."""
    cpu_s: float
    authored: Told | None
    detail: str
    parent: str
    timestamp: int
    knobs: dict[str, str]
    patch: str
    note: Note


class Curve(Shape):
    """What a trainer said of its steps."""

    steps: list[int]
    losses: list[float]
    """Nats a token: the trainer's own word."""


class NotKept(Shape):
    """Experiments that ended the same way."""

    status: str
    reason: str
    count: int
    ids: list[str]


class Report(Shape):
    """`nightshift report`."""

    night: Night
    note: Note
    headline: Headline
    summary: list[str]
    audit: Told | None
    """As `audit`, with its verdict."""
    transfers: list[TransferredKeep]
    false_keeps: FalseKeeps
    staircase: list[Told]
    """Each segment's flight: `agent/staircase.py`."""
    experiments: list[Details]
    curves: dict[str, Curve]
    """By the name of the run's folder."""
    proxy: Told
    time: list[Told]
    money: list[Told]
    """Both as `agent/spend.py` has them."""
    claude: Calls | None
    lanes: list[Told]
    papers: list[Told]
    """Hit rates: `agent/rates.py`."""
    not_kept: list[NotKept]
    simplifications: list[Told]
    next: list[Told]
    """What to try: the first of `kb ideas`."""
