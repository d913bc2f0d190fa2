"""Processes that outlived the night that started them, which its next start ends."""

import contextlib
from pathlib import Path

import psutil

DEATH_S = 10.0


def end_leftovers(folder: Path) -> int:
    """Kill every process that names a path below `folder`, where runs are: the caller's lock says that none may live.

    Returns how many there were. The sandbox ends all that a killed night has begun, but for what is just being started
    (github.com/containers/bubblewrap/issues/633).
    """
    found = [process for process in psutil.process_iter() if _names(process, f"{folder}/")]
    for process in found:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(found, timeout=DEATH_S)
    return len(found)


def _names(process: psutil.Process, folder: str) -> bool:
    try:
        return any(folder in word for word in process.cmdline())
    except (psutil.Error, OSError):
        return False
