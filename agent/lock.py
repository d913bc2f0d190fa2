"""One at a time: the lock of a repository. The kernel holds it, and lets go when its process ends, however it ends."""

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from agent.git import Repo
from agent.opening import home
from bench import clock, files
from bench.errors import UsageError

PATIENCE_S = 1.0
"""Whoever only looks who holds the lock holds it for a moment; so long is waited for that."""


class Holder(BaseModel):
    """Who holds the lock."""

    model_config = ConfigDict(frozen=True)

    pid: int
    host: str
    since: int
    """Epoch milliseconds."""
    what: str
    """What it does, in words: `night 2026-11-23`."""

    def __str__(self) -> str:
        return f"{self.what}, process {self.pid} on {self.host}, since {clock.time_of(self.since)}"


@contextlib.contextmanager
def alone(repo: Repo, what: str) -> Iterator[None]:
    """Hold this repository's lock, to do `what`. Raises UsageError, saying who holds it already."""
    path = _path(repo)
    files.make_folders(path.parent)
    with files.opened(path) as descriptor:
        until = clock.monotonic() + PATIENCE_S
        while not _take(descriptor):
            if clock.monotonic() > until:
                raise UsageError(
                    f"one at a time: {_read(path) or 'another'} is at work here; `nightshift stop` ends it"
                )
            clock.sleep(PATIENCE_S / 20)
        me = Holder(pid=os.getpid(), host=socket.gethostname(), since=clock.now_ms(), what=what)
        with contextlib.suppress(OSError):  # on a full disk others are not told who it is, and `gc` still runs
            os.ftruncate(descriptor, 0)
            files.write_all(descriptor, me.model_dump_json().encode())
        yield


def holder(repo: Repo) -> Holder | None:
    """Who holds this repository's lock now, if anybody does."""
    path = _path(repo)
    if not path.exists():
        return None
    with files.opened(path) as descriptor:
        return None if _take(descriptor, fcntl.LOCK_SH) else _read(path)


def _path(repo: Repo) -> Path:
    return home(repo) / "lock"


def _take(descriptor: int, how: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(path: Path) -> Holder | None:
    """What its holder wrote there; None where that is not whole yet."""
    with contextlib.suppress(ValidationError):
        return Holder.model_validate_json(path.read_bytes())
    return None
