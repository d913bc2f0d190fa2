"""What programs are told: the shape of what each reading command prints under `--json`.

`docs/schemas/COMMAND.json` is made from this page by `python -m scripts.write_schemas`, and the tests hold what the
commands print against that. A new command that reads gets a shape and a line in SHAPES.
"""

from dataclasses import dataclass
from typing import Any

from pydantic import ConfigDict

from agent import proxy, shapes_library, shapes_live, shapes_night, shapes_report
from agent.row import Row
from agent.shape import Note, Shape
from agent.sizes import Part
from bench.job import Measurement


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
    note: Note


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


@dataclass(frozen=True)
class Proxy(proxy.Proxy):
    """`nightshift proxy`."""

    conclusion: str


SHAPES: dict[str, type[Any]] = {
    "audit": shapes_night.NotedAudit,
    "bench": Bench,
    "diff": shapes_night.Diff,
    "doctor": Doctor,
    "gc": Garbage,
    "idea list": shapes_library.Ideas,
    "import": shapes_library.Imported,
    "kb check": shapes_library.Checked,
    "kb ideas": shapes_library.Leads,
    "kb list": shapes_library.Notes,
    "kb search": shapes_library.Found,
    "kb show": shapes_library.ShownNote,
    "log": shapes_night.Log,
    "plan": shapes_night.Plan,
    "propose": shapes_library.Propose,
    "proxy": Proxy,
    "replay": shapes_night.Replay,
    "report": shapes_report.Report,
    "show": shapes_night.Show,
    "show --transcript": shapes_night.Transcript,
    "stop": shapes_night.Stop,
    "transfer": shapes_night.Transfer,
    "watch": shapes_live.Watch,
}
"""By the words that a person types."""
