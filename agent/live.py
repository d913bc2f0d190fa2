"""A night while it runs, as a person sees it in a terminal of any size, and the same as plain data. Pure.

A language model may have written a title: it is shown as text, and nothing in it is acted on.
"""

import sys
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.text import Text

from agent import report
from agent.chart import MARKS, chart
from agent.curves import thinned
from agent.history import plain
from agent.now import Running
from agent.plan import note_on
from agent.records import Experiment
from agent.watch import LAST, Seen, Standing, Trace
from agent.yardstick import labelled

CHART_WIDTH, CURVE_ROWS, STAIRS_ROWS = 72, 5, 3
LEAST_TITLE = 14
"""Characters that are left of a title, however narrow the terminal is."""
IN_ASCII = str.maketrans("·…→–", "-.>-")
"""A character for each, so that widths stay."""


@dataclass(frozen=True)
class Rows:
    """Runs under way, a line each."""

    runs: Sequence[Running]
    at: int
    """Epoch milliseconds."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Fit the lines to the terminal's width."""
        for run in self.runs:
            yield from _fitted(run_line(run, self.at, options.max_width), console, options)


@dataclass(frozen=True)
class View:
    """What is seen of a night: as much as the terminal has room for, or the `whole`."""

    seen: Seen
    whole: bool = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Fit it to the terminal's width and height."""
        left = sys.maxsize if self.whole else options.max_height - 1
        parts = sections(self.seen, options.max_width, ascii_only=options.ascii_only)
        shown = set[int]()
        for number in sorted(range(len(parts)), key=lambda number: parts[number].rank):
            if len(parts[number].lines) <= left:
                shown.add(number)
                left -= len(parts[number].lines)
        for number in sorted(shown):
            for line in parts[number].lines:
                yield from _fitted(line, console, options)


@dataclass(frozen=True)
class Section:
    """Lines that are shown together or not at all; where room is short the lowest `rank` is served first."""

    rank: int
    lines: Sequence[Text]


def sections(seen: Seen, width: int, *, ascii_only: bool = False) -> list[Section]:
    """What is seen of a night, from top to bottom."""
    standing = seen.standing
    return [
        Section(0, _prose(headline(seen), width, style="bold")),
        Section(1, [run_line(trace.run, seen.at, width) for trace in seen.traces]),
        Section(3, _losses(seen.traces, width, ascii_only=ascii_only)),
        Section(5, _stairs(standing, width, ascii_only=ascii_only)),
        Section(4, [Text.assemble(("next  ", "dim"), " · ".join(map(plain, waiting(seen))) or "nothing in the queue")]),
        Section(2, _prose(note_on(standing.profiles) or "", width, style="yellow")),
    ]


def headline(seen: Seen) -> str:
    """How far the night has come, and what is left of its time and money."""
    now, standing = seen.now, seen.standing
    decided = f"{standing.decided}" + (f" of {now.max_experiments}" if now else "")
    parts = [f"{decided} experiment{'s' * (decided != '1')}"]
    if now:
        left = (now.until - seen.at) / 1000
        parts.append(f"{report.duration(left)} left" if left > 0 else "its time is up")
    if now and now.max_usd:
        parts.append(f"${standing.usd:.2f} of ${now.max_usd:.2f}")
    elif standing.usd:
        parts.append(f"${standing.usd:.2f}")
    if not seen.running:
        parts.append("does not run")
    return " · ".join([f"night {seen.name}", *parts])


def run_line(run: Running, at: int, width: int) -> Text:
    """A run under way: whose it is, its phase and for how long, and under which profile; the title gives way first."""
    step = f" {run.step}" + (f"/{run.steps}" if run.steps else "") if run.step else ""
    loss = f", loss {run.loss:.3f}" if run.step and run.loss is not None else ""
    took = report.duration(max(at - run.since, 0) / 1000)
    facts = f" · {plain(run.phase)}{step}{loss} · {took} · {labelled(run.profile)} · seed {run.seed}"
    title = Text(plain(run.label))
    title.truncate(max(width - len(facts) - 2, LEAST_TITLE), overflow="ellipsis")
    return Text.assemble("  ", title, facts)


def waiting(seen: Seen) -> list[str]:
    """Titles of what comes next, the first of them first; what is being tried now is not among them."""
    labels = [trace.run.label for trace in seen.traces]
    return [title for title in seen.standing.waiting if not any(label.endswith(f" {title}") for label in labels)]


def _losses(traces: Sequence[Trace], width: int, *, ascii_only: bool) -> list[Text]:
    """The training losses of the run that tells most: one that can be compared, or else one that has any."""
    trace = max(traces, key=lambda one: (one.met is not None, bool(one.curve)), default=None)
    if trace is None or not trace.curve:
        return []
    (step, loss), met = trace.curve[-1], trace.met
    words = f"training loss as the trainer prints it: {plain(trace.run.label).partition(' ')[0]}"
    beside = f"at step {step}: {loss:.4f}"
    if met:
        mine, its = MARKS if ascii_only else ("solid", "dashed")
        words += f" ({mine}), champion ({its})"
        step, loss, champion = met
        beside = f"at step {step}: {loss:.4f}, the champion's {champion:.4f}, difference {loss - champion:+.4f}"
    curves = tuple(thinned(curve, 2 * CHART_WIDTH) for curve in (trace.curve, trace.champion) if curve)
    drawn = chart(curves, min(width, CHART_WIDTH), CURVE_ROWS, plain=ascii_only)
    return [*_prose(words, width, style="dim"), *drawn, *_prose(beside, width)]


def _stairs(standing: Standing, width: int, *, ascii_only: bool) -> list[Text]:
    """val_bpb of one champion after the other in the open segment: no other's numbers compare with these."""
    keeps = standing.keeps
    if not keeps:
        return []
    words = f"the champions' {keeps[0].yardstick.called} at {standing.profiles}confirm, each on seeds of its own"
    points: list[tuple[int, float]] = []
    for keep, until in zip(keeps, [*(one.run for one in keeps[1:]), standing.experiments[-1].run], strict=True):
        points += [(keep.run, keep.metric), (until, keep.metric)]
    drawn = chart((tuple(points),), min(width, CHART_WIDTH), STAIRS_ROWS, plain=ascii_only) if len(keeps) > 1 else ()
    last = f"; {report.UNMEASURED}" * any(keep.id in standing.reverted for keep in keeps)
    steps = [_step(keep, standing) for keep in keeps]
    while len(steps) > 2 and len(" → ".join(steps)) > width:
        steps = [steps[0], "…", *steps[3 if "…" in steps else 2 :]]
    return [*_prose(words, width, style="dim"), *drawn, *_prose(" → ".join(steps) + last, width)]


def _step(keep: Experiment, standing: Standing) -> str:
    name = "baseline" if keep.source == "baseline" else keep.id.rpartition("-")[2]
    return f"{name} {keep.metric:.4f}{' (reverted)' * (keep.id in standing.reverted)}"


def _prose(words: str, width: int, style: str = "") -> list[Text]:
    return [Text(line, style=style) for line in textwrap.wrap(words, width)]


def _fitted(line: Text, console: Console, options: ConsoleOptions) -> Iterable[Segment]:
    """A line cut to the terminal's width, in characters that it has."""
    fitted = line.copy()
    fitted.truncate(options.max_width, overflow="ellipsis")
    if options.ascii_only:
        fitted.plain = fitted.plain.translate(IN_ASCII).encode("ascii", "replace").decode()
    return fitted.render(console, end="\n")


def as_json(seen: Seen) -> dict[str, object]:
    """The same under stable keys: times in epoch milliseconds, or in seconds where the key ends in `_s`."""
    now, standing = seen.now, seen.standing
    return {
        "night": seen.name,
        "running": seen.running,
        "at": seen.at,
        "pid": now.pid if now else None,
        "profiles": standing.profiles,
        "note": note_on(standing.profiles),
        "experiments": {"decided": standing.decided, "most": now.max_experiments if now else None},
        "left_s": max(now.until - seen.at, 0) / 1000 if now else None,
        "usd": {"at_most": standing.usd, "most": now.max_usd if now else None},
        "runs": [run_as_json(trace, seen.at) for trace in seen.traces],
        "champions": [
            {
                "id": one.id,
                "description": one.description,
                "val_bpb": one.metric,
                "reverted": one.id in standing.reverted,
            }
            for one in standing.keeps
        ],
        "verdicts": [
            {
                "id": one.id,
                "description": one.description,
                "status": one.status,
                "reason": one.reason,
                "detail": one.detail,
                "timestamp": one.timestamp,
            }
            for one in standing.experiments[-LAST:]
        ],
        "next": waiting(seen),
    }


def run_as_json(trace: Trace, at: int) -> dict[str, object]:
    """A run under way, at that moment."""
    run, met = trace.run, trace.met
    return {
        "label": run.label,
        "profile": run.profile,
        "seed": run.seed,
        "phase": run.phase,
        "phase_s": max(at - run.since, 0) / 1000,
        "step": run.step,
        "steps": run.steps,
        "training_loss": trace.curve[-1][1] if trace.curve else None,
        "beside_champion": {"step": met[0], "training_loss": met[1], "champion": met[2]} if met else None,
    }
