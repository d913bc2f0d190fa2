"""A night's journal: one append-only file of JSON lines, the one source of truth.

A torn last line, what a crash in the middle of a write leaves, is cut off at open; anything else that cannot be read is
refused with its line named, because a journal with a hole in it is no journal.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from pydantic import ValidationError

from agent.calls import Reserved, Spent
from agent.records import (
    AnyRecord,
    Audited,
    Evidence,
    Experiment,
    Header,
    Measured,
    Own,
    Regained,
    Repaired,
    Reverted,
    Transferred,
)
from bench import clock, files
from bench.errors import JournalError

KINDS: dict[str, type[Own]] = {
    "config": Header,
    "measured": Measured,
    "regained": Regained,
    "audited": Audited,
    "transferred": Transferred,
    "reserved": Reserved,
    "spent": Spent,
    "reverted": Reverted,
    "repaired": Repaired,
}


@dataclass
class Journal:
    """The records of one night, in order, and the file they are in."""

    path: Path
    records: list[AnyRecord] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock, repr=False, compare=False)

    def append(self, record: AnyRecord) -> None:
        """Write `record` and have it on disk before returning; from any thread."""
        line = encode(record)
        with self.lock:
            files.append_line(self.path, line)
            self.records.append(record)

    @property
    def header(self) -> Header | None:
        """The header of the segment that is open, if any."""
        return next((record for record in reversed(self.records) if isinstance(record, Header)), None)

    @property
    def headers(self) -> list[Header]:
        """All headers: one a segment."""
        return [record for record in self.records if isinstance(record, Header)]

    @property
    def experiments(self) -> list[Experiment]:
        """Every decided experiment of the night, the baselines included."""
        return [record for record in self.records if isinstance(record, Experiment)]

    @property
    def segment(self) -> int:
        """Number of the open segment, from 0."""
        return len(self.headers) - 1

    def in_segment(self) -> list[Experiment]:
        """The decided experiments of the open segment."""
        return [experiment for experiment in self.experiments if experiment.segment == self.segment]

    @property
    def champion(self) -> str | None:
        """Full hash of the commit the night stands at: the last kept, or the one that took a kept change out again."""
        for record in reversed(self.records):
            if isinstance(record, Experiment) and record.status == "keep":
                return record.sha
            if isinstance(record, Reverted):
                return record.sha
        return None

    @property
    def regained(self) -> dict[str, Evidence]:
        """What each kept change gained on fresh seeds, by its id."""
        return {record.id: record.evidence for record in self.records if isinstance(record, Regained)}

    @property
    def not_regained(self) -> Experiment | None:
        """The last keep of the open segment, where its gain was not measured afresh yet and it stands."""
        keeps = [one for one in self.in_segment() if one.status == "keep" and one.source != "baseline"]
        open_ = keeps and keeps[-1].id not in self.regained and keeps[-1].id not in self.reverted
        return keeps[-1] if open_ else None

    @property
    def audited(self) -> Audited | None:
        """The last audit, where it is about the commit the night stands at now."""
        audits = [record for record in self.records if isinstance(record, Audited)]
        return audits[-1] if audits and audits[-1].last == self.champion else None

    @property
    def transferred(self) -> dict[str, Transferred]:
        """What became of each kept change one size class up, by its id; those not measured there are left out."""
        return {record.id: record for record in self.records if isinstance(record, Transferred)}

    @property
    def reverted(self) -> set[str]:
        """Ids of the keeps that a person took out again."""
        return {record.id for record in self.records if isinstance(record, Reverted)}

    @property
    def measured(self) -> dict[str, Measured]:
        """Every measured run, by its key."""
        return {record.key: record for record in self.records if isinstance(record, Measured)}

    def find(self, name: str) -> Experiment | None:
        """The experiment with that id, run number or unmistakable start of a commit."""
        return next(
            (
                experiment
                for experiment in self.experiments
                if name in (experiment.id, str(experiment.run))
                or experiment.id.endswith(f"-{name.zfill(4)}")
                or (len(name) >= 7 and experiment.sha.startswith(name))
            ),
            None,
        )


def open_journal(path: Path) -> Journal:
    """Read the journal at `path` (an empty one where there is no file). Raises JournalError naming the line."""
    if path.is_symlink():
        raise JournalError(f"{path} is a symbolic link; a journal is a plain file")
    if not path.exists():
        return Journal(path)
    content = path.read_bytes()
    whole, _, torn = content.rpartition(b"\n")
    journal = Journal(path, list(read(whole.decode(errors="replace").split("\n") if whole else [], path.name)))
    if torn:
        with path.open("r+b") as file:
            file.truncate(len(content) - len(torn))
        journal.append(Repaired(timestamp=clock.now_ms(), what=f"cut off a torn last line of {len(torn)} bytes"))
    return journal


def read(lines: Sequence[str], source: str) -> Iterator[AnyRecord]:
    """The records in `lines`; kinds that this version does not know are passed over."""
    for number, line in enumerate(lines, start=1):
        try:
            word = json.loads(line)
            if "run" in word:
                yield Experiment.model_validate(word)
            elif kind := KINDS.get(word["type"]):
                yield kind.model_validate(word)
        except (ValueError, TypeError, KeyError, ValidationError) as error:
            what = f"{error.error_count()} fields are wrong" if isinstance(error, ValidationError) else str(error)
            raise JournalError(f"{source}, line {number} cannot be read ({what}); mend or move the file") from error


def encode(record: AnyRecord) -> str:
    """One line of strict JSON: no NaN, no line break."""
    return json.dumps(record.model_dump(mode="json"), allow_nan=False, ensure_ascii=False, separators=(",", ":"))
