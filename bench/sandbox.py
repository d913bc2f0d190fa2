"""Where a run is shut in: the one function every process of a candidate is started through.

Only `none` exists so far: a process group of its own, a scrubbed environment and a private folder, which stop accidents
and not intent. Every measurement and every journal line names the mechanism its run was under.
"""

from collections.abc import Sequence
from pathlib import Path

MECHANISM = "none"


def shut_in(command: Sequence[str], *, readable: Sequence[Path], writable: Path) -> list[str]:
    """The command that runs `command` with `readable` to read, `writable` to write, and nothing else of the person's.

    Under `none` the command comes back as it is.
    """
    del readable, writable
    return list(command)
