"""A night that runs without its terminal: asked to end, seen from elsewhere, and left alone by what happens there."""

import contextlib
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.git import here
from agent.lock import alone, holder
from bench.data import Dataset
from tests.agent.test_night import environment, journal_of, nightshift, run_night, runs_of, verdicts
from tests.fakes import git, make_repo

UNKNOWN = "## A knob that does not exist\n\n```knobs\nQALITY = 0.5\n```\n"
WORSE = '\n## Worse and slow\n\n```knobs\nQUALITY = 0.2\nBEHAVIOUR = "sleep 1"\n```\n'
MANY = "".join(WORSE.replace("slow", f"slow {n}", 1).replace("0.2", f"0.2{n}") for n in range(1, 9))
HANGS = '\n## Hangs\n\n```knobs\nBEHAVIOUR = "hang"\n```\n'
BEFORE = [("baseline", "keep", "baseline"), ("A knob that does not exist", "checks_failed", "unknown_knob")]
DROPPED = ("Worse and slow", "discard", "worse_at_breadth")
WORDS = ("run", "--short", "--researcher", "queue", "--name", "n", "--slots", "2")
LEAD = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
"""A program that makes standard input the terminal of its session, and becomes another."""
STALLED = """
import signal, sys
from rich.console import Console
from agent.screen import Screen
with open(sys.argv[1], "w") as log, Screen(Console(force_terminal=True), log=log) as screen:
    signal.signal(signal.SIGHUP, lambda *_: screen.hang_up())
    print("begins", file=log, flush=True)
    screen.say("x" * 300_000)
    screen.say("goes on")
"""
LAST_WORDS = "the night ended: no idea is left\n"


@pytest.fixture(scope="module")
def measured(small_data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a night has measured its baseline, refused the one idea there was, and ended."""
    repo = make_repo(tmp_path_factory.mktemp("measured") / "person", small_data.root, UNKNOWN)
    run_night(repo)
    assert verdicts(repo) == BEFORE
    return repo


@pytest.fixture
def repo(measured: Path, tmp_path: Path) -> Iterator[Path]:
    """The same, and the night has more to try; whatever is still at work there in the end is killed."""
    repo = with_idea(shutil.copytree(measured, tmp_path / "person", symlinks=True), WORSE)
    yield repo
    if left := holder(here(repo)):
        os.kill(left.pid, signal.SIGKILL)


def with_idea(repo: Path, idea: str) -> Path:
    (repo / "kb" / "ideas.md").write_text(UNKNOWN + idea)
    return repo


def until(holds: Callable[[], bool]) -> None:
    for _ in range(1200):
        if holds():
            return
        time.sleep(0.05)
    pytest.fail("that never came")


def log_of(repo: Path) -> str:
    path = repo / ".git" / "nightshift" / "n" / "night.log"
    return path.read_text() if path.exists() else ""


@contextlib.contextmanager
def night(repo: Path, *before: str, at: int = subprocess.DEVNULL, slots: int = 2) -> Iterator["subprocess.Popen[str]"]:
    """A night whose idea is under way at smoke; `at` is its terminal, or what it has instead."""
    said = len(log_of(repo))
    command = [*before, sys.executable, "-m", "agent.cli", *WORDS, "--slots", str(slots)]
    terminal = subprocess.DEVNULL if at == subprocess.PIPE else at
    with subprocess.Popen(
        command,
        cwd=repo,
        env=environment(),
        stdin=terminal,
        stdout=at,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as running:
        try:
            until(lambda: "short-smoke" in log_of(repo)[said:] or running.poll() is not None)
            assert running.poll() is None
            yield running
        finally:
            running.kill()


def begun(repo: Path) -> int:
    """How many runs the night said that it began."""
    return len(re.findall(r" · short-\w+ · seed \d+$", log_of(repo), re.MULTILINE))


def test_stop_lets_the_run_under_way_end_and_running_again_goes_on(repo: Path) -> None:
    with night(with_idea(repo, MANY)) as running:
        before = len(journal_of(repo).measured)
        said = nightshift(repo, "stop").stdout
        assert holder(here(repo)) is None
        assert running.wait(20) == 0
    assert re.match(rf"asked to end: night n, process {running.pid} on .*\nit has ended; all that was meas", said)
    assert "`nightshift run --name n --short` goes on" in log_of(repo)
    assert len(journal_of(repo).measured) == begun(repo) > before
    decided = verdicts(repo)
    run_night(repo, "--max-experiments", str(len(decided)))
    assert verdicts(repo)[:-1] == decided
    assert verdicts(repo)[-1][2] == "worse_at_breadth"
    journal = journal_of(repo)
    assert journal.path.read_text().count('"type":"measured"') == len(journal.measured) == begun(repo)
    assert git(repo, "rev-parse", "nightshift/n") == journal.champion


def test_stop_now_ends_the_runs_under_way(repo: Path) -> None:
    with night(with_idea(repo, HANGS)) as running:
        nightshift(repo, "stop", "--now")
        assert holder(here(repo)) is None
        assert running.wait(20) == 0
    assert "`nightshift run --name n --short` goes on" in log_of(repo)
    assert runs_of(repo) == []
    assert len(journal_of(repo).measured) == begun(repo) - 1
    assert verdicts(repo) == BEFORE


def test_what_measures_nothing_ends_with_a_line_when_it_is_asked_to(repo: Path, text_dir: Path) -> None:
    (repo / "data").unlink()
    words = [sys.executable, "-m", "agent.cli", "data", "prepare", "--source", str(text_dir)]
    with subprocess.Popen(words, cwd=repo, env=environment(), stderr=subprocess.PIPE, text=True) as running:
        until(lambda: holder(here(repo)) is not None)
        running.send_signal(signal.SIGUSR1)  # as `nightshift stop` does
        _, said = running.communicate(timeout=60)
    assert running.returncode == 1
    assert said.strip().endswith("Aborted!")


def test_with_nothing_running_stop_and_attach_say_so(repo: Path) -> None:
    assert nightshift(repo, "stop").stdout == "nothing runs here\n"
    assert nightshift(repo, "stop", "--json").stdout == '{\n  "stopped": null\n}\n'
    refused = nightshift(repo, "attach", check=False)
    assert refused.returncode != 0
    assert refused.stderr.startswith("nightshift: no night runs here")


def test_a_detached_night_runs_on_is_the_only_one_and_is_shown_to_its_end(repo: Path) -> None:
    said = nightshift(with_idea(repo, HANGS), *WORDS, "--detach")
    found = holder(here(repo))
    assert found is not None
    assert said.stdout.startswith(f"night n runs, process {found.pid}: ")
    assert os.getsid(found.pid) == found.pid
    for more in ((), ("--detach",)):
        refused = nightshift(repo, *WORDS, *more, check=False)
        assert refused.returncode != 0
        assert refused.stdout == ""
        assert f"one at a time: night n, process {found.pid} on " in refused.stderr
        assert len(refused.stderr.splitlines()) == 1
    words, pipe = [sys.executable, "-m", "agent.cli", "attach"], subprocess.PIPE
    with subprocess.Popen(words, cwd=repo, env=environment(), stdout=pipe, text=True) as attached:
        assert attached.stdout is not None
        shown = attached.stdout.readline()
        nightshift(repo, "stop", "--now")
        shown += attached.stdout.read()
    assert attached.returncode == 0
    assert shown == log_of(repo)
    assert "night n goes on after 2 experiments\n" in shown
    assert shown.endswith("`nightshift run --name n --short` goes on\n")
    assert holder(here(repo)) is None


@pytest.mark.parametrize("why", ["no data", "held"])
def test_a_detached_night_that_cannot_begin_says_why_in_one_line(why: str, repo: Path) -> None:
    with contextlib.ExitStack() as stack:
        if why == "held":
            stack.enter_context(alone(here(repo), "revert"))
        else:
            (repo / "data").unlink()
        done = nightshift(repo, *WORDS, "--detach", check=False)
    assert done.returncode != 0
    assert done.stdout == ""
    assert done.stderr.startswith("nightshift: the night did not begin: ")
    assert {"no data": "nightshift data prepare", "held": "one at a time: revert"}[why] in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_night_outlives_its_terminal(repo: Path) -> None:
    master, terminal = pty.openpty()
    with night(repo, sys.executable, "-c", LEAD, at=terminal) as running:
        os.close(terminal)
        os.close(master)
        assert running.wait(60) == 0
    assert log_of(repo).endswith(LAST_WORDS)
    assert verdicts(repo) == [*BEFORE, DROPPED]


def test_a_terminal_that_stalled_before_it_went_holds_nothing_up(tmp_path: Path) -> None:
    master, terminal = pty.openpty()
    log = tmp_path / "log"
    command = [sys.executable, "-c", LEAD, sys.executable, "-c", STALLED, str(log)]
    with subprocess.Popen(
        command, stdin=terminal, stdout=terminal, stderr=terminal, env=environment(), start_new_session=True
    ) as running:
        os.close(terminal)
        until(lambda: log.exists() and "begins" in log.read_text())
        time.sleep(2)  # nobody reads: it waits in the middle of that line, and its live lines wait for it
        os.close(master)
        try:
            assert running.wait(30) == 0
        finally:
            running.kill()
    assert log.read_text().endswith("goes on\n")


@pytest.mark.long
def test_under_nohup_a_hang_up_is_nothing_at_all(repo: Path) -> None:
    with night(repo, "nohup", at=subprocess.PIPE) as running:
        running.send_signal(signal.SIGHUP)
        said, _ = running.communicate(timeout=60)
    assert running.returncode == 0
    assert said.endswith(LAST_WORDS)


@pytest.mark.long
def test_a_night_outlives_whoever_read_what_it_said(repo: Path) -> None:
    with night(repo, at=subprocess.PIPE) as running:
        assert running.stdout is not None
        running.stdout.close()
        assert running.wait(60) == 0
    assert log_of(repo).endswith(LAST_WORDS)
