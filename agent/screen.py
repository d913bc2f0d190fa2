"""What a person sees while runs are under way: a live line a run on a terminal, a plain line a run elsewhere."""

import contextlib
import datetime
import os
from types import TracebackType
from typing import IO, NamedTuple, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from agent.records import Experiment
from bench import clock
from bench.job import Job, Progress
from bench.slots import ENDED

LOG_WIDTH = 120


class Screen:
    """Shows the runs of all slots; `show` may be called from any thread.

    Off a terminal a run is one line, or one a phase where `phases` asks for that. All lines go to `log` too, if there
    is one. What cannot be shown, because the terminal is gone or the disk is full, stops nothing.
    """

    def __init__(self, console: Console, *, phases: bool = False, log: IO[str] | None = None) -> None:
        self.console, self.phases = console, phases
        self.log = Console(file=log, width=LOG_WIDTH) if log else None
        self.lines: dict[tuple[str, str, int], _Line] = {}
        self.live: Live | None = None
        if console.is_terminal:
            self.live = Live(console=console, refresh_per_second=2, transient=True, get_renderable=self._rows)

    def __enter__(self) -> Self:
        if self.live:
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.live:
            self.live.stop()

    def say(self, text: str) -> None:
        """One line that stays."""
        self.print(Text(text))

    def print(self, what: RenderableType) -> None:
        """Text or a table that stays."""
        self._print(self.console, what)
        self._print(self.log, what)

    def hang_up(self) -> None:
        """Do without the terminal, which is gone: what is shown goes to the log alone."""
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nowhere, descriptor)
        os.close(nowhere)

    @staticmethod
    def _print(console: Console | None, what: RenderableType) -> None:
        with contextlib.suppress(OSError, SystemExit):  # rich ends the process where a pipe is closed
            if console:
                console.print(what, highlight=False, soft_wrap=isinstance(what, Text))

    def show(self, job: Job, word: Progress) -> None:
        """Take a run's progress in."""
        name = (job.label, job.profile.name, job.seed)
        phase = word.phase
        before = self.lines.get(name)
        if phase == ENDED:
            self.lines.pop(name, None)
            return
        goes_on = before is not None and before.phase == phase
        self.lines[name] = _Line(phase, _detail(word, job), before.since if before and goes_on else clock.monotonic())
        if before is None or (self.phases and not goes_on):
            line = f"  {job.label} · {job.profile.name} · seed {job.seed}" + (f" · {phase}" if self.phases else "")
            self._print(None if self.live else self.console, Text(line))
            self._print(self.log, Text(line))

    def _rows(self) -> Group:
        now = clock.monotonic()
        rows = [
            Text(
                f"  {label} · {profile} · seed {seed} · {line.phase}{line.detail} · {now - line.since:.0f} s",
                no_wrap=True,
                overflow="ellipsis",
            )
            for (label, profile, seed), line in list(self.lines.items())
        ]
        return Group(*rows)


class _Line(NamedTuple):
    phase: str
    detail: str
    since: float


def _detail(word: Progress, job: Job) -> str:
    if not word.step:
        return ""
    return f" {word.step}/{job.profile.steps}" + (f", loss {word.loss:.3f}" if word.loss is not None else "")


def verdict_line(experiment: Experiment) -> str:
    """One decided experiment as a line that stays."""
    time = datetime.datetime.fromtimestamp(experiment.timestamp / 1000).strftime("%H:%M:%S")
    bpb = f" · val_bpb {experiment.metric:.4f}" if experiment.source == "baseline" else ""
    return f"{time} {experiment.id} {experiment.status.upper()} {experiment.description} · {experiment.detail}{bpb}"
