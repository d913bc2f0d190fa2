"""Keeps the machine from going to sleep while a night runs: by caffeinate(8) on macOS, systemd-inhibit(1) elsewhere."""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

SETTLED_S = 0.5
"""One that may not do it, such as systemd-inhibit in a container, says so sooner than this."""


@contextlib.contextmanager
def awake() -> Iterator[str | None]:
    """What keeps this machine awake meanwhile, by name; None where nothing here does.

    It ends with this process, however that ends: caffeinate watches it, and systemd-inhibit holds a pipe from it.
    """
    command = _command()
    if command is None:
        yield None
        return
    nothing = subprocess.DEVNULL
    try:
        # A session of its own: a Ctrl-C is for the night.
        keeper = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=nothing, stderr=nothing, start_new_session=True
        )
    except OSError:
        yield None
        return
    with keeper:
        try:
            yield command[0] if _stays(keeper) else None
        finally:
            keeper.terminate()


def _command() -> list[str] | None:
    if sys.platform == "darwin":
        return ["caffeinate", "-is", "-w", str(os.getpid())] if shutil.which("caffeinate") else None
    why = ("--what=idle:sleep", "--mode=block", "--who=Nightshift", "--why=a night of research is running")
    return ["systemd-inhibit", *why, "cat"] if shutil.which("systemd-inhibit") else None


def _stays(keeper: "subprocess.Popen[bytes]") -> bool:
    try:
        keeper.wait(SETTLED_S)
    except subprocess.TimeoutExpired:
        return True
    return False
