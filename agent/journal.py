"""A night's journal: one append-only file of JSON lines, the one source of truth.

A torn last line is what a crash in the middle of a write leaves, or a write that is going on now. Readers leave it out;
whoever opens the journal to write on cuts it off. Anything else that cannot be read is refused with its line named,
because a journal with a hole in it is no journal.
"""

import gc
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from io import BytesIO
from itertools import islice
from pathlib import Path
from threading import Lock

from pydantic import ValidationError

from agent.calls import Authored, Drafted, Reserved, Spent
from agent.line import Record
from agent.records import (
    VERSION,
    AnyRecord,
    Audited,
    Begun,
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
from bench.errors import DiskError, JournalError

KINDS: dict[str, type[Own]] = {
    "config": Header,
    "measured": Measured,
    "regained": Regained,
    "audited": Audited,
    "transferred": Transferred,
    "reserved": Reserved,
    "spent": Spent,
    "drafted": Drafted,
    "begun": Begun,
    "reverted": Reverted,
    "repaired": Repaired,
}


@dataclass
class Journal:
    """The records of one night, in order, and the file they are in."""

    path: Path
    records: list[AnyRecord] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock, repr=False, compare=False)
    found: int = field(default=0, compare=False)
    """How many records there were when it was read."""
    failed: DiskError | None = field(default=None, repr=False, compare=False)

    def append(self, record: AnyRecord) -> None:
        """Write `record` and have it on disk before returning; from any thread.

        Raises DiskError, and from then on always: what the file ends in is not known, and nothing may follow it.
        """
        line = encode(record)
        with self.lock:
            if self.failed:
                raise self.failed
            try:
                files.append_line(self.path, line)
            except DiskError as error:
                self.failed = error
                raise
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
        segment = self.segment
        return [experiment for experiment in self.experiments if experiment.segment == segment]

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
        """The first keep of the open segment that stands and whose gain was not measured afresh yet."""
        keeps = (one for one in self.in_segment() if one.status == "keep" and one.source != "baseline")
        done = {*self.regained, *self.reverted}
        return next((one for one in keeps if one.id not in done), None)

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

    @property
    def begun(self) -> list[Begun]:
        """The experiments of the open segment that were begun beside others and are not decided."""
        waiting: dict[int, Begun] = {}
        for record in self.records:
            match record:
                case Header():
                    waiting.clear()
                case Begun():
                    waiting[record.number] = record
                case Experiment():
                    waiting.pop(record.run, None)
        return list(waiting.values())

    @property
    def untried(self) -> list[Drafted]:
        """The drafts of the open segment that nothing was begun with."""
        waiting: dict[str, Drafted] = {}
        for record in self.records:
            match record:
                case Header():
                    waiting.clear()
                case Drafted():
                    waiting[record.draft] = record
                case Begun(proposal={"authored": {"draft": draft}}):
                    waiting.pop(draft, None)
                case Experiment(authored=Authored(draft=draft)):
                    waiting.pop(draft, None)
        return list(waiting.values())

    @property
    def repairs(self) -> list[str]:
        """What was put right since the journal was read, in words."""
        return [record.what for record in self.records[self.found :] if isinstance(record, Repaired)]

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


def read_journal(path: Path) -> Journal:
    """The whole lines of the journal at `path` (none where there is no file), which is not changed.

    Raises JournalError, naming the line.
    """
    return _journal(path, _content(path))


def open_journal(path: Path) -> Journal:
    """The journal at `path`, for whoever has the lock to write on: a torn last line is cut off, and that journalled.

    Raises JournalError, and DiskError.
    """
    content = _content(path)
    journal = _journal(path, content)
    if any(header.version > VERSION for header in journal.headers):
        raise JournalError(f"{path} was written by a newer nightshift: update this one (pip install -U), or use --name")
    if path.exists():
        files.sync_folder(path.parent)  # should a crash have come between the file's first line and its name
        if torn := len(content) - content.rfind(b"\n") - 1:
            files.cut(path, len(content) - torn)
            journal.append(Repaired(timestamp=clock.now_ms(), what=f"cut off a torn last line of {torn} bytes"))
    return journal


def records_of(lines: Iterable[bytes], path: Path, before: int = 0) -> list[AnyRecord]:
    """The records in whole lines of the journal at `path`, of which so many came before.

    Kinds of records that this version does not know are passed over. Raises JournalError, naming the line.
    """
    return [found for number, line in enumerate(lines, before + 1) if (found := _record(line, path, number))]


def _journal(path: Path, content: bytes) -> Journal:
    collecting = gc.isenabled()
    gc.disable()  # of a hundred thousand records none is garbage, and looking for it takes as long as reading them
    try:
        records = records_of(islice(BytesIO(content), content.count(b"\n")), path)
    finally:
        if collecting:
            gc.freeze()  # for the same reason they go straight to the oldest generation: it is looked through least
            gc.unfreeze()
            gc.enable()
    return Journal(path, records, found=len(records))


def _record(line: bytes, path: Path, number: int) -> AnyRecord | None:
    try:
        if line.startswith(b'{"run":'):
            return Experiment.model_validate_json(line)
        word = json.loads(line)
        if "run" in word:
            return Experiment.model_validate(word)
        kind = KINDS.get(word["type"])
        return kind.model_validate(word) if kind else None
    except (ValueError, TypeError, KeyError) as error:
        what = f"{error.error_count()} fields are wrong" if isinstance(error, ValidationError) else str(error)
        raise JournalError(f"{path}, line {number} cannot be read ({what}); mend or move the file") from error


def _content(path: Path) -> bytes:
    if path.is_symlink():
        raise JournalError(f"{path} is a symbolic link; a journal is a plain file")
    return path.read_bytes() if path.exists() else b""


def encode(record: Record) -> str:
    """One line of strict JSON: no NaN, no line break."""
    return json.dumps(record.model_dump(mode="json"), allow_nan=False, ensure_ascii=False, separators=(",", ":"))
