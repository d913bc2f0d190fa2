"""How a command that measures is asked to end, and ends cleanly: in its runs, never in the middle of a write.

SIGINT (Ctrl-C) and SIGTERM end the runs under way, which are repeated next time. SIGUSR1, which `nightshift stop`
sends, lets them finish, and no other begins. SIGHUP, a terminal that was closed, ends nothing: the night goes on.
"""

import contextlib
import os
import signal
import socket
from collections.abc import Callable, Iterator
from threading import Event
from typing import Protocol

from agent.git import Repo
from agent.lock import Holder, holder
from bench.errors import UsageError

NOW, AFTER_THE_RUN = signal.SIGTERM, signal.SIGUSR1


class Bench(Protocol):
    """What makes runs, and can be asked to end."""

    stop: Event

    def close(self) -> None:
        """Begin no other run."""


def ask_to_stop(repo: Repo, how: signal.Signals = AFTER_THE_RUN) -> Holder | None:
    """Ask whatever works in `repo` to end; returns who was asked, without waiting. Raises UsageError off its host."""
    found = holder(repo)
    if found is not None:
        if found.host != socket.gethostname():
            raise UsageError(f"{found}: type `nightshift stop` there")
        with contextlib.suppress(ProcessLookupError):
            os.kill(found.pid, how)
    return found


@contextlib.contextmanager
def asked_to_stop(bench: Bench, hang_up: Callable[[], None]) -> Iterator[None]:
    """Let signals ask `bench` to stop; a second one does what it always did. `hang_up` leaves the terminal."""

    def now(*_: object) -> None:
        bench.stop.set()
        restore()

    handlers = {
        signal.SIGINT: now,
        NOW: now,
        AFTER_THE_RUN: lambda *_: bench.close(),
        signal.SIGHUP: lambda *_: hang_up(),
    }
    before = {number: signal.getsignal(number) for number in handlers}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    for number, handler in handlers.items():
        if before[number] is not signal.SIG_IGN:  # under nohup a hang-up is ignored, and stays so
            signal.signal(number, handler)
    try:
        yield
    finally:
        restore()
