"""The journal in other hands: karpathy/autoresearch's results.tsv, and the committed history of all nights."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import ValidationError

from agent.journal import encode
from agent.line import Record
from agent.plan import reached, stage_of
from agent.records import Audited, Experiment, Header, Regained, Reverted
from agent.yardstick import unjudged
from bench.errors import JournalError, UsageError

TSV_HEADER = "commit\tval_bpb\tmemory_gb\tstatus\tdescription"
NO_COMMIT = "0000000"
HISTORY = "autoresearch.jsonl"

R = TypeVar("R", bound=Record)


def to_tsv(experiments: Sequence[Experiment]) -> str:
    """The experiments as karpathy/autoresearch's results.tsv (its program.md, "Logging results"), oldest first.

    Only confirm counts as `val_bpb`. A discard that never came so far has 0.000000, which that project's notebook keeps
    out of its picture (the axes span the kept rows) and out of its best, and its description says how far it came.
    `checks_failed` becomes `crash`: the format has no third failure, and the notebook counts a discard as judged on its
    merit, which a refused idea was not.
    """
    return "\n".join([TSV_HEADER, *map(_row, experiments)]) + "\n"


def _row(experiment: Experiment) -> str:
    failed = experiment.status in ("crash", "checks_failed")
    val_bpb = 0.0 if failed else experiment.metric
    mine = [run for run in experiment.runs if run.role == "candidate" or experiment.source == "baseline"]
    memory = 0.0 if failed else max((run.peak_memory_bytes for run in mine), default=0) / 2**30
    status = "crash" if failed else experiment.status
    profile, label = reached(experiment), ""
    if not failed and not val_bpb:
        label = f" [{profile} only]"
    elif val_bpb and profile != stage_of(profile):
        label = f" [{profile}, unjudged]" if unjudged(profile) else f" [{profile}]"
    commit = experiment.commit[:7] or NO_COMMIT
    return f"{commit}\t{val_bpb:.6f}\t{memory:.1f}\t{status}\t{plain(experiment.description)}{label}"


def plain(text: str) -> str:
    """`text` on one line, without control characters, and without the double quotes that readers of tables act on."""
    visible = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(visible.replace('"', "'").split())


TOLD = Header | Experiment | Regained | Audited | Reverted
"""What the committed history holds of a night: runs and repairs stay in its journal."""
LEARNT: Mapping[str, type[Regained | Audited | Reverted]] = {
    "regained": Regained,
    "audited": Audited,
    "reverted": Reverted,
}
"""Lines that name the experiments or commits they are about, wherever they stand."""


@dataclass
class Standing:
    """What stands in a history so far."""

    run: int = 0
    """The highest run number."""
    segment: int = 0
    """Of the header that stands last, as pi-autoresearch counts: a header opens one as soon as there are runs."""
    decided: dict[str, int] = field(default_factory=dict)
    """When each experiment was decided, by its id; nought where the line does not tell."""
    told: set[str] = field(default_factory=set)
    """Lines of what was learnt of them."""
    header: Header | None = None
    """The last header, where a night of ours opened a segment with it."""


def append_to_history(history_text: str, records: Sequence[TOLD]) -> str:
    """The committed history with all that it lacks of a night added at its end: headers, experiments, what was learnt.

    What stands there stays as it is, so that a night which went on after it was finished gets a further part, under
    its own header again where another's stands last. `run` goes on from the highest there and `segment` is counted
    anew; `id` and all else stay. Headers without an experiment are left out. Raises UsageError where nothing was
    decided or another night's experiment has the same id, and JournalError where the history cannot be read or a record
    cannot be written.
    """
    lines = lines_of(history_text)
    there = standing(lines)
    if not any(isinstance(record, Experiment) for record in records):
        raise UsageError("this night has decided nothing yet, so there is nothing to add to the history")
    if not isinstance(records[0], Header):
        raise JournalError("the night's first record is no header: its journal is not whole")
    header = records[0]
    for record in records:
        if isinstance(record, Header):
            header = record
        elif not isinstance(record, Experiment):
            line = _line(record)
            lines += [line] if line not in there.told else []
        elif record.id not in there.decided:
            if header != there.header:
                lines.append(_line(header))
                there.segment += bool(there.decided)
                there.header = header
            there.run += 1
            there.decided[record.id] = record.timestamp
            lines.append(_line(record.model_copy(update={"run": there.run, "segment": there.segment})))
        elif there.decided[record.id] != record.timestamp:
            raise UsageError(
                f"{record.id} is in the committed history already, from another night of that name; nothing was added"
            )
    return "".join(f"{line}\n" for line in lines)


def lines_of(history_text: str) -> list[str]:
    """The lines of a history, without empty ones at its end."""
    return history_text.rstrip("\n").split("\n") if history_text.strip() else []


def standing(lines: Sequence[str]) -> Standing:
    """What stands in these lines. Raises JournalError, naming the one that cannot be read."""
    found = Standing()
    for number, line in enumerate(lines, start=1):
        try:
            word: dict[str, Any] = json.loads(line)
            kind, run = word.get("type"), word.get("run")
            if kind == "config":
                found.segment += bool(found.decided)
                found.header = _parsed(Header, word)
            elif isinstance(run, int):
                found.run = max(found.run, run)
                found.decided[str(word.get("id", f"run {run}"))] = word.get("timestamp", 0)
            elif (learnt := LEARNT.get(str(kind))) and (record := _parsed(learnt, word)):
                found.told.add(encode(record))
        except (ValueError, AttributeError) as error:
            raise JournalError(f"{HISTORY}, line {number} cannot be read ({error}); mend it first") from error
    return found


def _parsed(kind: type[R], word: Mapping[str, Any]) -> R | None:
    try:
        return kind.model_validate(word)
    except ValidationError:
        return None  # another program's


def _line(record: TOLD) -> str:
    try:
        return encode(record)
    except ValueError as error:
        name = record.name if isinstance(record, Header) else getattr(record, "id", "an audit")
        raise JournalError(f"{name} holds a number that JSON cannot hold ({error}); nothing was added") from error
