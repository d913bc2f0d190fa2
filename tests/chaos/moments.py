"""When a night is killed, and what of it: moments drawn at random, and how they are waited for."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import psutil

from tests.agent.test_night import environment
from tests.chaos.intact import content

LOOK_S = 0.001
SHARES = {
    "early": 12,  # at any time after its start: most fall into imports and into opening
    "later": 22,  # at any time after it has journalled something
    "line": 15,  # right after a line of the journal
    "keep": 10,  # right after a kept change was journalled, when the branch is to move
    "move": 6,  # right after the research branch has moved
    "run": 15,  # as a run's first process is started
    "commit": 5,  # as a git command runs
    "git": 8,  # a git command, and not the night: which has to end with one line, or to go on
    "all": 7,  # every process of it, in any order
}
"""What is killed and when, with how many in a hundred; where nothing else is said, the night's own process."""


class Pace(NamedTuple):
    """How fast nights are, in seconds."""

    opening: float
    """An `early` kill comes within so long."""
    later: float
    patience: float
    """What a kill waits for is given up within this and twice this, from the first line that is journalled."""


FAST = Pace(opening=2.5, later=2.5, patience=4.0)
REAL = Pace(opening=2.5, later=12.0, patience=15.0)


class Moment(NamedTuple):
    """What is to happen, and when."""

    what: str
    wait_s: float
    nth: int
    """Of the lines, or of the processes, that it waits for."""
    patience_s: float
    torn: bool
    """Whether half a line is put at the journal's end afterwards: what a kill in the middle of a write leaves."""
    locked: bool
    """Whether a ref's lock is put beside it afterwards: what a git that is killed in the middle of a move leaves."""


def draw(rng: random.Random, pace: Pace) -> Moment:
    """The next moment."""
    what = rng.choices([*SHARES], [*SHARES.values()])[0]
    waits = {"early": pace.opening, "later": pace.later, "all": pace.later, "run": 0.03, "git": 0.003, "commit": 0.006}
    wait_s = rng.uniform(0, waits.get(what, 0.04))
    most = {"git": 25, "commit": 25, "run": 5, "line": 4}
    nth = rng.randint(1, most.get(what, 1))
    patience_s = rng.uniform(1, 2) * pace.patience * (3 if what in ("keep", "move") else 1)
    torn, locked = rng.random() < 0.15, rng.random() < 0.25
    return Moment(what, wait_s, nth, patience_s, torn and what != "git", locked and what in ("git", "all"))


@dataclass
class Running:
    """A night that was started, and what has been seen of it."""

    repo: Path
    process: "subprocess.Popen[bytes]"
    started: float
    before: bytes
    """The journal as it was found."""
    branch: bytes
    """Where the branch was."""
    seen: dict[int, str] = field(default_factory=dict)
    """Its children so far, by process id: what they run."""

    @property
    def ended(self) -> bool:
        """Whether it has ended by itself."""
        return self.process.poll() is not None

    def new_lines(self) -> list[bytes]:
        """What it has journalled."""
        return content(self.repo)[len(self.before) :].split(b"\n")[:-1]

    def children(self, name: str) -> list[int]:
        """Its children so far that ran the program `name`, in the order they were seen."""
        for child in _children(self.process.pid):
            if self.seen.get(child, "python") == "python":
                with contextlib.suppress(psutil.Error):
                    words = psutil.Process(child).cmdline()
                    self.seen[child] = "python" if not words or "seeded" in " ".join(words[:5]) else Path(words[0]).name
        return [child for child, found in self.seen.items() if found == name]


def start(repo: Path, seed: int) -> Running:
    """Begin the night, or go on with it, by the same command every time; what it says goes into a file beside."""
    before, workplace = content(repo), repo.parent
    scratch = workplace / "tmp"
    scratch.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "tests.chaos.seeded", str(seed), "run", "--short", "--researcher", "queue"]
    with (workplace / "said.txt").open("ab") as said, (workplace / "errors.txt").open("wb") as errors:
        process = subprocess.Popen(
            [*command, "--name", "n", "--slots", "2"],
            cwd=repo,
            env=environment() | {"TMPDIR": str(scratch)},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=errors,
            start_new_session=True,
        )
    return Running(repo, process, time.monotonic(), before, branch_tip(repo))


def errors_of(running: Running) -> str:
    """What the night wrote to standard error."""
    return (running.repo.parent / "errors.txt").read_text(errors="replace").strip()


def reached(moment: Moment, running: Running) -> bool:
    """Wait for the moment; False where the night ended by itself before it came."""
    come: dict[str, Callable[[], bool]] = {
        "later": lambda: len(content(running.repo)) > len(running.before),
        "all": lambda: len(content(running.repo)) > len(running.before),
        "line": lambda: len(running.new_lines()) >= moment.nth,
        "keep": lambda: any(b'"status":"keep"' in line and b'"baseline"' not in line for line in running.new_lines()),
        "move": lambda: branch_tip(running.repo) != running.branch,
        "run": lambda: len(running.children("bwrap")) >= moment.nth,
        "git": lambda: len(running.children("git")) >= moment.nth,
        "commit": lambda: len(running.children("git")) >= moment.nth,
    }
    test, until = come.get(moment.what, lambda: True), time.monotonic() + 10 * moment.patience_s
    while not test() and time.monotonic() < until:
        if running.ended:
            return False
        if running.new_lines():
            until = min(until, time.monotonic() + moment.patience_s)
        time.sleep(LOOK_S)
    until = time.monotonic() + moment.wait_s
    while (left := until - time.monotonic()) > 0:
        if running.ended:
            return False
        time.sleep(min(left, 0.05))
    return not running.ended


def strike(moment: Moment, running: Running, rng: random.Random) -> None:
    """Kill what the moment says; the night's own process is dead afterwards, and waited for."""
    night = running.process
    if moment.what == "git":
        for child in running.children("git")[-1:]:
            _kill(child)
        with contextlib.suppress(subprocess.TimeoutExpired):
            night.wait(1.0)
            return
    elif moment.what == "all":
        _kill(night.pid, signal.SIGSTOP)  # so that it sees none of the others die
        with contextlib.suppress(psutil.Error):
            victims = [night.pid, *(child.pid for child in psutil.Process(night.pid).children(recursive=True))]
            rng.shuffle(victims)
            for victim in victims:
                _kill(victim)
    night.kill()
    night.wait()


def tear(repo: Path, rng: random.Random) -> None:
    """Leave what a kill in the middle of a write leaves: the start of a line."""
    lines = content(repo).splitlines() or [b'{"type":"config","name":"n"}']
    path = repo / ".git" / "nightshift" / "n" / "autoresearch.jsonl"
    if path.parent.is_dir() and content(repo)[-1:] in (b"\n", b""):
        with path.open("ab") as file:
            file.write(lines[-1][: rng.randint(1, len(lines[-1]))])


def lock(repo: Path, rng: random.Random) -> None:
    """Leave what a git that is killed in the middle of a move leaves: the lock of the branch, or of a candidate."""
    refs = repo / ".git" / "refs"
    folders = [folder for name in ("heads/nightshift", "nightshift/candidates") if (folder := refs / name).is_dir()]
    for folder in folders[: rng.randint(1, 2)][-1:]:
        names = [path.name for path in folder.iterdir() if path.suffix != ".lock"] or ["n"]
        (folder / f"{max(names)}.lock").touch()


def branch_tip(repo: Path) -> bytes:
    """What stands in the branch's file; nothing where there is none."""
    path = repo / ".git" / "refs" / "heads" / "nightshift" / "n"
    return path.read_bytes() if path.exists() else b""


def _kill(pid: int, number: signal.Signals = signal.SIGKILL) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _children(pid: int) -> list[int]:
    """Its children now: from the kernel's own lists, which takes no time, or by looking at every process."""
    tasks = Path(f"/proc/{pid}/task")
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in tasks.iterdir():
            found += map(int, (task / "children").read_text().split())
        return found
    with contextlib.suppress(psutil.Error):
        return [child.pid for child in psutil.Process(pid).children()]
    return found
