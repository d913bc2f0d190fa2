"""What is seen while runs are under way."""

import io
from dataclasses import replace

from rich.console import Console
from rich.text import Text

from agent.screen import Screen, verdict_line
from bench.errors import JournalError
from bench.job import Job, Progress
from bench.profiles import profile
from bench.slots import ENDED
from tests.agent.builders import experiment

JOB = Job(tree={}, profile=profile("smoke"), seed=7, label="n-0002 an idea")
WORDS = [Progress(phase="setup"), Progress(phase="train", step=3, loss=2.5), Progress(phase=ENDED)]


def shown(*, terminal: bool, phases: bool = False) -> str:
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=100, color_system=None)
    with Screen(console, phases=phases) as screen:
        for word in WORDS:
            screen.show(JOB, word)
            if screen.live:
                screen.live.refresh()
    return file.getvalue()


def test_on_a_terminal_a_run_is_one_line_that_follows_its_phase_and_goes() -> None:
    text = shown(terminal=True)
    assert "  n-0002 an idea · setup · 0 s · smoke · seed 7" in text
    assert "train 3/8, loss 2.500" in text
    assert text.rindex("train 3/8") < text.rindex("\x1b[")


def test_off_a_terminal_a_run_is_one_plain_line_or_one_a_phase() -> None:
    assert shown(terminal=False) == "  n-0002 an idea · smoke · seed 7\n"
    assert [line.rpartition(" · ")[2] for line in shown(terminal=False, phases=True).splitlines()] == ["setup", "train"]


def test_a_verdict_is_one_line_whatever_its_length() -> None:
    file = io.StringIO()
    long = experiment(2, "discard", description="a change " * 30)
    Screen(Console(file=file, width=60)).say(verdict_line(long))
    assert file.getvalue().count("\n") == 1
    assert f"{long.id} DISCARD a change" in file.getvalue()


def test_what_a_title_says_never_steers_the_terminal() -> None:
    file = io.StringIO()
    evil = experiment(2, "discard", description="[red]a\x1b[2Jb\rc\x07")
    with Screen(Console(file=file, width=100)) as screen:
        screen.say(verdict_line(evil))
        screen.say("Claude writes \x1b[2J")
        screen.show(replace(JOB, label="n-0002 \x1b[2Ja"), WORDS[0])
    assert not {"\x1b", "\r", "\x07"} & set(file.getvalue())
    assert "DISCARD [red]a [2Jb c · in words" in file.getvalue()


def test_a_view_that_cannot_be_made_stops_nothing() -> None:
    views = iter([Text("the first")])

    def view() -> Text:
        for found in views:
            return found
        raise JournalError("a line cannot be read")

    file = io.StringIO()
    with Screen(Console(file=file, force_terminal=True, width=100), view=view) as screen:
        assert screen.live
        screen.live.refresh()
        screen.say("goes on")
    assert "goes on" in file.getvalue()
    assert "the first" in file.getvalue()
