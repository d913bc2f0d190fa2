"""The journal in other hands: karpathy/autoresearch's results.tsv, and the committed history of all nights."""

import json
from collections.abc import Sequence
from typing import Any

from agent.journal import encode
from agent.plan import reached, stage_of
from agent.records import Audited, Experiment, Header, Regained, Reverted
from bench.errors import JournalError, UsageError

TSV_HEADER = "commit\tval_bpb\tmemory_gb\tstatus\tdescription"
NO_COMMIT = "0000000"
HISTORY = "autoresearch.jsonl"


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
        label = f" [{profile}]"
    commit = experiment.commit[:7] or NO_COMMIT
    return f"{commit}\t{val_bpb:.6f}\t{memory:.1f}\t{status}\t{plain(experiment.description)}{label}"


def plain(text: str) -> str:
    """`text` on one line, without control characters, and without the double quotes that readers of tables act on."""
    visible = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(visible.replace('"', "'").split())


TOLD = Header | Experiment | Regained | Audited | Reverted
"""What the committed history holds of a night: runs and repairs stay in its journal."""


def append_to_history(history_text: str, records: Sequence[TOLD]) -> str:
    """The committed history with a night's headers, experiments and what was learnt of them added at its end.

    `run` goes on from the highest there and `segment` is counted anew, as pi-autoresearch's reader counts it; `id` and
    all else stay. Headers without an experiment are left out. Raises UsageError where an experiment is in the history
    already or there is none to add, and JournalError where the history cannot be read or a record cannot be written.
    """
    lines = history_text.rstrip("\n").split("\n") if history_text.strip() else []
    run, segment, ids = _state(lines)
    if not any(isinstance(record, Experiment) for record in records):
        raise UsageError("this night has decided nothing yet, so there is nothing to add to the history")
    if not isinstance(records[0], Header):
        raise JournalError("the night's first record is no header: its journal is not whole")
    header: Header | None = None
    for record in records:
        if isinstance(record, Header):
            header = record
            continue
        if not isinstance(record, Experiment):
            lines.append(_line(record))
            continue
        if record.id in ids:
            raise UsageError(f"{record.id} is in the committed history already; nothing was added")
        if header:
            lines.append(_line(header))
            segment, header = segment + bool(ids), None
        run += 1
        ids.add(record.id)
        lines.append(_line(record.model_copy(update={"run": run, "segment": segment})))
    return "\n".join(lines) + "\n"


def _state(lines: Sequence[str]) -> tuple[int, int, set[str]]:
    """Highest run number, last segment and ids of a history; a header opens a segment once there are runs."""
    highest, segment, ids = 0, 0, set[str]()
    for number, line in enumerate(lines, start=1):
        try:
            word: dict[str, Any] = json.loads(line)
            if word.get("type") == "config":
                segment += bool(ids)
            elif isinstance(run := word.get("run"), int):
                highest = max(highest, run)
                ids.add(str(word.get("id", f"run {run}")))
        except (ValueError, AttributeError) as error:
            raise JournalError(f"{HISTORY}, line {number} cannot be read ({error}); mend it first") from error
    return highest, segment, ids


def _line(record: TOLD) -> str:
    try:
        return encode(record)
    except ValueError as error:
        name = record.name if isinstance(record, Header) else getattr(record, "id", "an audit")
        raise JournalError(f"{name} holds a number that JSON cannot hold ({error}); nothing was added") from error
