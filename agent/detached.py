"""A night without a terminal: how it is begun, and the log through which it is seen."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

from agent.git import Repo
from agent.lock import holder
from agent.opening import journal_path
from bench import clock, files
from bench.errors import MachineError, UsageError

LOG = "night.log"
"""What a night says, beside its journal: for people, and nothing depends on it."""
LOOK_S = 0.2


@contextlib.contextmanager
def log_of(folder: Path) -> Iterator[TextIO | None]:
    """The night's log, to be written to; None where standard output goes there already."""
    files.make_folders(folder)
    with (folder / LOG).open("a", encoding="utf-8", buffering=1) as log:
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(1), os.fstat(log.fileno())):
                yield None
                return
        yield log


def begin(repo: Repo, name: str) -> str:
    """Run this very command again in a session of its own; returns, once the night is open, what to say of it.

    Raises MachineError with the night's own word where it does not open.
    """
    path = journal_path(repo, name).parent / LOG
    files.make_folders(path.parent)
    words = [word for word in sys.argv[1:] if word != "--detach"]
    with path.open("ab") as log, path.open(encoding="utf-8", errors="replace") as reader:
        reader.seek(0, os.SEEK_END)
        child = subprocess.Popen(
            [sys.executable, "-m", "agent.cli", *words, "--name", name],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        begun, said = f"night {name} ", ""
        while not any(line.startswith(begun) for line in said.splitlines()):
            ended = child.poll() is not None
            said += reader.read()
            if ended and not any(line.startswith(begun) for line in said.splitlines()):
                lines = said.strip().splitlines() or ["it said nothing"]
                last = next((line for line in reversed(lines) if line.startswith("nightshift: ")), lines[-1])
                raise MachineError(f"the night did not begin: {last.removeprefix('nightshift: ')}")
            clock.sleep(LOOK_S)
    return f"night {name} runs, process {child.pid}: `nightshift attach` shows it, `nightshift stop` ends it"


def attach(repo: Repo, show: Callable[[str], None]) -> None:
    """Show what the night that runs now has said, and says, until it ends. Raises UsageError where none runs."""
    found = holder(repo)
    if found is None or not found.what.startswith("night "):
        raise UsageError("no night runs here: `nightshift run --detach` begins one, `nightshift log` tells the last")
    path = journal_path(repo, found.what.removeprefix("night ")).parent / LOG
    with path.open(encoding="utf-8", errors="replace") as log:
        while True:
            over = holder(repo) != found
            show(log.read())
            if over:
                return
            clock.sleep(LOOK_S)
