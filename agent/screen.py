"""What a person sees while runs are under way: a live view below what stays on a terminal, plain lines elsewhere."""

import contextlib
import datetime
import os
from collections.abc import Callable
from types import TracebackType
from typing import IO, Self

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from agent.history import plain
from agent.live import Rows
from agent.now import Board
from agent.records import Experiment
from agent.views import visible
from agent.yardstick import labelled
from bench import clock
from bench.errors import NightshiftError
from bench.job import Job, Progress
from bench.slots import ENDED

LOG_WIDTH = 120
A_SECOND = 1
"""So often a live view is drawn: what is measured has better use for the time."""


class Screen:
    """Shows the runs on `board`, or the `view` of more than these; `show` may be called from any thread.

    Off a terminal a run is one line, or one a phase where `phases` asks for that. All lines go to `log` too, if there
    is one. What cannot be shown, because the terminal is gone or the disk is full, stops nothing.
    """

    def __init__(
        self,
        console: Console,
        board: Board | None = None,
        view: Callable[[], RenderableType] | None = None,
        *,
        phases: bool = False,
        log: IO[str] | None = None,
    ) -> None:
        self.console, self.phases = console, phases
        self.board = board or Board()
        self.view = view or self._rows
        self.log = Console(file=log, width=LOG_WIDTH) if log else None
        self.drawn: RenderableType = ""
        self.live = below(console, self._draw)

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
        self.print(Text(visible(text)))

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
                whole = isinstance(what, Text) and not console.is_terminal  # a terminal would break it within words
                console.print(what, highlight=False, soft_wrap=whole)

    def show(self, job: Job, word: Progress) -> None:
        """Take a run's progress in."""
        before = self.board.show(job, word)
        if word.phase == ENDED:
            return
        if before is None or (self.phases and before.phase != word.phase):
            line = begun(job.label, job.profile.name, job.seed, word.phase if self.phases else "")
            self._print(None if self.live else self.console, Text(line))
            self._print(self.log, Text(line))

    def _draw(self) -> RenderableType:
        with contextlib.suppress(NightshiftError, OSError):
            self.drawn = self.view()
        return self.drawn

    def _rows(self) -> Rows:
        return Rows(tuple(self.board.runs.values()), clock.now_ms())


def below(console: Console, view: Callable[[], RenderableType]) -> Live | None:
    """A view that is drawn again and again below all that is printed; None where the console cannot do that."""
    if not console.is_terminal or console.is_dumb_terminal:
        return None
    return Live(console=console, refresh_per_second=A_SECOND, transient=True, get_renderable=view)


def begun(label: str, profile: str, seed: int, phase: str) -> str:
    """A run that began, or a phase of it, as a line that stays."""
    return " · ".join(filter(None, (f"  {plain(label)}", labelled(profile), f"seed {seed}", phase)))


def verdict_line(experiment: Experiment) -> str:
    """One decided experiment as a line that stays."""
    time = datetime.datetime.fromtimestamp(experiment.timestamp / 1000).strftime("%H:%M:%S")
    bpb = f" · {experiment.yardstick.called} {experiment.metric:.4f}" if experiment.source == "baseline" else ""
    words = f"{experiment.status.upper()} {plain(experiment.description)} · {plain(experiment.detail)}{bpb}"
    return f"{time} {experiment.id} {words}"
