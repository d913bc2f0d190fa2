"""What was measured elsewhere, as lines of the committed history: another program's word, which nobody here judged.

Two formats are read: pi-autoresearch's `autoresearch.jsonl`, which a night of ours is too, and the `results.tsv` of
karpathy/autoresearch. A line that does not say plainly what it means is refused, never guessed at: pi-autoresearch
would read an unknown status as a keep, and a metric that is null as nought. Nought is what both formats write where
nothing was measured. Every line written here has a key `elsewhere`, by which readers know it.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from agent.history import lines_of, standing
from agent.ideas import slug_of
from agent.records import Status
from agent.toolbox import complaint
from bench.errors import JournalError, UsageError

PREFIX = "elsewhere-"
"""Before the name of what was imported, so that no night here has the same ids."""
LONGEST_NAME = 64


class Told(BaseModel):
    """A run as another program tells it; keys that no reader of the format looks at are left."""

    model_config = ConfigDict(frozen=True)

    status: Status
    metric: FiniteFloat | None
    description: str = ""
    commit: str = ""
    metrics: Mapping[str, FiniteFloat | None] = {}
    timestamp: int = Field(default=0, ge=0)
    """Epoch milliseconds; nought where the file does not tell."""
    confidence: FiniteFloat | None = None
    asi: Mapping[str, Any] = {}

    @property
    def measured(self) -> float | None:
        """The metric, where there is one."""
        return self.metric or None if self.status in ("keep", "discard") else None


class Head(BaseModel):
    """What the runs after it were measured in, and which way is better."""

    model_config = ConfigDict(frozen=True)

    name: str = ""
    metric: str = Field(default="metric", alias="metricName")
    unit: str = Field(default="", alias="metricUnit")
    direction: Literal["lower", "higher"] = Field(default="lower", alias="bestDirection")


@dataclass(frozen=True)
class Part:
    """Runs under one header."""

    head: Head
    runs: list[Told] = field(default_factory=list)


@dataclass(frozen=True)
class Foreign:
    """A file that can be imported."""

    file: str
    """Its name, without folders."""
    sha256: str
    parts: tuple[Part, ...]
    """Those with runs, in the file's order."""


def read_foreign(content: bytes, file: str) -> Foreign:
    """The runs of a file in either format.

    Raises JournalError, naming the line, for one that cannot be read, and UsageError for a file in another format.
    """
    try:
        lines = content.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} is no UTF-8 text, and so no log of experiments") from error
    first = next((line.rstrip("\r") for line in lines if line.strip()), "")
    columns = first.split("\t")
    if first.startswith("{"):
        read = _from_json
    elif (columns[0], *columns[3:]) == ("commit", "status", "description"):
        read = partial(_from_row, columns)
    else:
        raise UsageError(f"{file} is neither an autoresearch.jsonl nor a results.tsv: it begins with {first[:60]!r}")
    parts = [Part(Head())]
    for number, line in enumerate(lines, 1):
        try:
            found = read(line.rstrip("\r")) if line.strip() else None
        except (ValueError, OverflowError, RecursionError) as error:
            what = complaint(error) if isinstance(error, ValidationError) else error
            raise JournalError(f"{file}, line {number}: {what}; nothing was imported") from error
        if isinstance(found, Head):
            parts.append(Part(found))
        elif found:
            parts[-1].runs.append(found)
    told = tuple(part for part in parts if part.runs)
    if not told:
        raise UsageError(f"{file} tells of no run, so there is nothing to import")
    return Foreign(file, hashlib.sha256(content).hexdigest(), told)


def _from_json(line: str) -> Head | Told | None:
    """A line of an autoresearch.jsonl: a header, a run, or a record that no reader of that format looks at."""
    word = json.loads(line)
    _line(word).encode()  # no NaN, and nothing that is no text
    if isinstance(word, dict) and word.get("type") == "config":
        return Head.model_validate(word, strict=True)
    if isinstance(word, dict) and "type" in word and "run" not in word:
        return None
    if not isinstance(word, dict) or type(word.get("run")) is not int:
        raise ValueError("it is no run, which has a whole number as its `run`, and no header")
    return Told.model_validate(word, strict=True)


def _from_row(columns: Sequence[str], line: str) -> Head | Told:
    """A line of a results.tsv with these columns: commit, the metric, memory, status and description."""
    cells = line.split("\t")
    if cells == list(columns):
        return Head(metricName=columns[1])
    if len(cells) != len(columns):
        raise ValueError(f"it has {len(cells)} columns, and the first line {len(columns)}")
    commit, metric, memory, status, description = cells
    return Told.model_validate(
        {
            "status": status.strip(),
            "metric": metric,
            "description": description,
            "commit": commit,
            "metrics": {columns[2]: memory},
        }
    )


def append_foreign(history_text: str, foreign: Foreign, name: str = "") -> tuple[str, str]:
    """The committed history with a file's runs at its end, in segments of their own; and the name they have there.

    The name is `name`, or the file's own for itself, or that of the file. Raises UsageError where the same file, or
    another of that name, is there already.
    """
    lines = lines_of(history_text)
    there = standing(lines)
    own = slug_of(
        name or next((part.head.name for part in foreign.parts if part.head.name), foreign.file.rpartition(".")[0])
    )
    name = f"{PREFIX}{own}"[:LONGEST_NAME].rstrip("-")
    for header in _headers(lines):
        if header["elsewhere"].get("sha256") == foreign.sha256:
            raise UsageError(f"{foreign.file} is in the committed history already, as {header['name']}")
        if header["name"] == name:
            raise UsageError(
                f"the committed history has another {name} already: give this one a name of its own, --name"
            )
    number = 0
    for part in foreign.parts:
        there.segment += bool(there.decided) or number > 0
        lines.append(_line(_header(part.head, name, foreign)))
        for run in part.runs:
            number, there.run = number + 1, there.run + 1
            where = {**part.head.model_dump(by_alias=True, exclude={"name", "unit"}), "file": foreign.file}
            lines.append(_line(_run(run, there.run, there.segment, f"{name}-{number:04d}", where)))
    return "".join(f"{line}\n" for line in lines), name


def _headers(lines: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The headers of what was imported."""
    for word in map(json.loads, lines):
        if word.get("type") == "config" and isinstance(word.get("elsewhere"), dict):
            yield word


def _header(head: Head, name: str, foreign: Foreign) -> dict[str, Any]:
    where = {"file": foreign.file, "sha256": foreign.sha256, "name": head.name}
    return {"type": "config", **head.model_dump(by_alias=True), "name": name, "elsewhere": where}


def _run(run: Told, number: int, segment: int, experiment_id: str, where: Mapping[str, str]) -> dict[str, Any]:
    return {
        "run": number,
        "commit": run.commit[:7],
        "metric": run.measured or 0,
        "metrics": {name: value for name, value in run.metrics.items() if value is not None},
        "status": run.status,
        "description": run.description,
        "timestamp": run.timestamp,
        "segment": segment,
        "confidence": run.confidence,
        "asi": dict(run.asi),
        "id": experiment_id,
        "elsewhere": {**where, "measured": run.measured is not None},
    }


def _line(word: object) -> str:
    return json.dumps(word, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
