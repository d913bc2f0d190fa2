"""What a person sees of a night in the terminal, and the same as plain data. Pure: records in, renderables out.

Differences are candidate minus champion in thousandths of a bit per byte: below zero is better. Whatever was measured
under a short profile carries that profile's name, and what a script says of itself is called unjudged in every view.
"""

from collections.abc import Collection, Sequence
from itertools import groupby

from rich import box
from rich.console import Group, RenderableType
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from agent import report
from agent.audit import audited_as_json
from agent.calls import Authored
from agent.history import plain
from agent.journal import Journal
from agent.plan import note_on, reached, stage_of
from agent.records import Evidence, Experiment, Header, Status
from agent.yardstick import Yardstick

STYLES: dict[Status, str] = {"keep": "green", "discard": "", "crash": "red", "checks_failed": "yellow"}
VERDICTS: dict[Status, str] = {
    "keep": "Kept",
    "discard": "Discarded",
    "crash": "Crashed",
    "checks_failed": "Refused by a check",
}


def night_table(header: Header, experiments: Sequence[Experiment], reverted: Collection[str] = ()) -> RenderableType:
    """Every decided experiment, two lines each: one table a segment, as numbers of two segments are not comparable.

    `reverted` holds the ids of keeps that a person took out again.
    """
    if not experiments:
        return Text("nothing is decided yet")
    parts: list[RenderableType] = []
    for segment, group in groupby(experiments, key=lambda experiment: experiment.segment):
        rows = list(group)
        if rows[0].segment != experiments[0].segment or rows[-1].segment != experiments[-1].segment:
            parts.append(Text(f"segment {segment}: its numbers compare with no other segment's", style="bold"))
        parts.append(_table(header, rows, reverted))
    parts.append(Text(unit(header.yardstick), style="dim"))
    notes = dict.fromkeys(note_on(reached(experiment)) for experiment in experiments)
    return Group(*parts, *(Text(note, style="yellow") for note in notes if note))


def unit(yardstick: Yardstick) -> str:
    """What the differences of a night's table are."""
    return (
        f"Δ: candidate minus champion, in {yardstick.thousandths}; {yardstick.better} zero is better;"
        " ± one standard error"
    )


def _table(header: Header, rows: Sequence[Experiment], reverted: Collection[str]) -> Table:
    names = {
        name for row in rows for name in (reached(row), *(one.profile for one in (row.breadth, row.confirm) if one))
    }
    measured = max(names, key=len, default="")
    prefix = measured.removesuffix(stage_of(measured)) if measured else header.profiles
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, expand=False)
    table.add_column("run", justify="right")
    table.add_column("verdict", max_width=8)
    table.add_column("experiment\nid, reason", ratio=1)
    breadth, confirm = (f"{prefix}\n{stage}" if prefix else stage for stage in ("breadth", "confirm"))
    table.add_column(f"{breadth}\nΔ ×10⁻³", justify="right")
    table.add_column(f"{confirm}\nΔ ×10⁻³", justify="right")
    table.add_column(f"{confirm}\n{header.yardstick.name}", justify="right")
    table.add_column("wall s", justify="right")
    for row in rows:
        status = "keep, reverted" if row.id in reverted else row.status.replace("_", " ")
        table.add_row(
            str(row.run),
            Text(status, style=STYLES[row.status]),
            Text.assemble(plain(row.description), "\n", (f"{plain(row.id)}, {plain(row.reason)}", "dim")),
            report.difference(row.breadth, precise=False),
            report.difference(row.confirm),
            f"{row.metric:.4f}" if row.metric else "–",
            f"{row.wall_s:.0f}",
        )
    return table


def show_experiment(experiment: Experiment) -> RenderableType:
    """All that is known of one experiment: why, the verdict, the evidence pair by pair, every run, and the patch."""
    facts = Table.grid(padding=(0, 2))
    parent = experiment.parent[:7] or "–"
    for name, value in (
        ("description", experiment.description),
        ("hypothesis", experiment.asi.get("hypothesis", "")),
        ("from", " ".join(filter(None, (experiment.source, experiment.idea or "", *experiment.notes)))),
        ("expected", experiment.asi.get("expected_effect", "")),
        ("written", _authored(experiment.authored)),
        ("lane", experiment.lane),
        ("commit", f"{experiment.commit or '–'}, tried on {parent}"),
        ("knobs", ", ".join(f"{knob} = {value}" for knob, value in experiment.knobs.items())),
        ("wall", report.duration(experiment.wall_s)),
    ):
        if value:
            facts.add_row(Text(name, style="dim"), Text(plain(value)))
    parts: list[RenderableType] = [
        Text(plain(experiment.id), style="bold"),
        facts,
        Text(),
        Text(verdict_in_words(experiment)),
    ]
    parts += [_pairs(evidence) for evidence in (experiment.breadth, experiment.confirm) if evidence]
    if experiment.runs:
        parts.append(_runs(experiment))
    if note := note_on(reached(experiment)):
        parts.append(Text(note, style="yellow"))
    if experiment.patch:
        parts.append(Syntax(visible(experiment.patch), "diff", word_wrap=True, background_color="default"))
    return Group(*parts)


def _authored(authored: Authored | None) -> str:
    if authored is None:
        return ""
    mended = f", mended {authored.repairs} times" if authored.repairs > 1 else ", mended once" * authored.repairs
    return f"by {authored.model} in {authored.draft}, asked to follow {authored.arm}{mended}, ${authored.usd:.4f}"


def verdict_in_words(experiment: Experiment) -> str:
    """The verdict, its reason and what it rests on, in a few plain sentences."""
    words = f"{VERDICTS[experiment.status]} ({plain(experiment.reason)}): {plain(experiment.detail)}."
    if experiment.confirm and experiment.source != "baseline":
        words += (
            f" Over {len(experiment.confirm.pairs)} seeds at {experiment.confirm.profile} it differs from its champion"
            f" by {report.difference(experiment.confirm)} {experiment.yardstick.thousandths}"
        )
        words += f" ({report.UNAUDITED})." if experiment.status == "keep" else "."
    elif experiment.breadth and not experiment.confirm:
        words += f" It was weighed at {experiment.breadth.profile} alone, which may drop an idea but never keeps one."
    return words


def _pairs(evidence: Evidence) -> Table:
    title = f"{evidence.profile}: {report.difference(evidence)} thousandths, p = {evidence.p_value:.2g}"
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    own, called = evidence.yardstick.own, evidence.yardstick.called
    for name in ("seed", f"champion {called}", f"candidate {called}", "Δ ×10⁻³"):
        table.add_column(name, justify="right")
    for pair in evidence.pairs:
        table.add_row(
            str(pair.seed),
            f"{own(pair.champion):.6f}",
            f"{own(pair.candidate):.6f}",
            report.thousandths(own(pair.difference)),
        )
    return table


def _runs(experiment: Experiment) -> Table:
    table = Table(title="runs", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("profile", "of", "result"):
        table.add_column(name)
    for name in ("seed", "wall s", "CPU s", "bytes", "MB"):
        table.add_column(name, justify="right")
    for run in experiment.runs:
        score = None if run.val_bpb is None else experiment.yardstick.own(run.val_bpb)
        result = plain(run.reason or "no score") if score is None else f"{score:.6f}"
        table.add_row(
            run.profile,
            run.role if run.fresh else f"{run.role}, measured before",
            Text(result),
            str(run.seed),
            f"{run.wall_s:.1f}",
            f"{run.cpu_s:.1f}",
            f"{run.total_bytes:,}",
            f"{run.peak_memory_bytes / 1e6:.0f}",
        )
    return table


def visible(text: str) -> str:
    """`text` with its lines kept and every other control character shown: what is shown must not steer the terminal."""
    return "".join(character if character.isprintable() or character in "\n\t" else "�" for character in text)


def log_as_json(journal: Journal) -> dict[str, object]:
    """The night under stable keys. Differences in bits per byte, times in seconds; null for what was not measured."""
    header, current = journal.header, journal.in_segment()
    reverted, regained = journal.reverted, journal.regained
    assert header is not None
    return {
        "night": header.name,
        "profiles": header.profiles,
        "metric": header.yardstick.model_dump(),
        "note": note_on(header.profiles),
        "audit": audited_as_json(journal.audited) if journal.audited else None,
        "expected_false_keeps_at_most": report.false_keeps(current),
        "claude": report.calls_as_json(journal.records),
        "simplifications": [one.id for one in report.simplifications(current)],
        "experiments": [
            {
                "run": experiment.run,
                "id": experiment.id,
                "segment": experiment.segment,
                "status": experiment.status,
                "reverted": experiment.id in reverted,
                "reason": experiment.reason,
                "description": experiment.description,
                "source": experiment.source,
                "idea": experiment.idea,
                "lane": experiment.lane,
                "commit": experiment.commit,
                "val_bpb": experiment.metric or None,
                "breadth": _evidence_as_json(experiment.breadth),
                "confirm": _evidence_as_json(experiment.confirm),
                "regained": _evidence_as_json(regained.get(experiment.id)),
                "usd": experiment.authored.usd if experiment.authored else None,
                "wall_s": experiment.wall_s,
            }
            for experiment in journal.experiments
        ],
    }


def _evidence_as_json(evidence: Evidence | None) -> dict[str, object] | None:
    if evidence is None:
        return None
    return {
        "profile": evidence.profile,
        "seeds": len(evidence.pairs),
        "difference": evidence.mean,
        "standard_error": report.standard_error(evidence),
        "p_value": evidence.p_value,
    }


def experiment_as_json(experiment: Experiment) -> dict[str, object]:
    """One experiment: the journal's own keys, and what is to be said beside its numbers."""
    return {**experiment.model_dump(mode="json"), "note": note_on(reached(experiment))}
