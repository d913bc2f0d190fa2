"""Where a run is shut in: what every process of a candidate is started through.

There are three ways: `bubblewrap` on Linux, `sandbox-exec` on macOS, and `none`, which a person asks for by
`NIGHTSHIFT_SANDBOX=none` and which every measurement and every journal line then names. One that does not hold on this
machine is never taken in silence: before it is used, a process is shut in that tries to get out.
"""

import json
import os
import resource
import socket
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

from bench.errors import MachineError, UsageError
from bench.kernels import SYSTEM_PATH
from bench.machine import PYTHON, launcher

SETTING = "NIGHTSHIFT_SANDBOX"
LIBRARIES = ("mlx_cpu.libs", "numpy.libs", "sentencepiece.libs", "nvidia")
PACKAGES = ("mlx", "numpy", "sentencepiece", "zstandard", *LIBRARIES)
"""What a trainer finds installed: folders of site-packages."""


class View(NamedTuple):
    """All that a process sees of the person's files, and whether it has the network."""

    readable: Sequence[Path]
    writable: Sequence[Path]
    network: bool = False


class Root(NamedTuple):
    """The process with which all others of a run die."""

    pid: int
    descriptor: int
    """A pidfd of it."""


class Child(NamedTuple):
    """A process that was started, and how the death of all it leaves behind is known."""

    popen: subprocess.Popen[bytes]
    root: Root | None = None
    """None where there is no such process."""
    held: Sequence[int] = ()
    """Descriptors that are to stay open as long as the process lives."""

    def let_go(self) -> resource.struct_rusage | None:
        """Close the descriptors once `popen` has ended; what the root and all below it took, where nobody knew yet."""
        for descriptor in self.held:
            os.close(descriptor)
        if self.root is None:
            return None
        os.close(self.root.descriptor)
        try:
            return os.wait4(self.root.pid, 0)[2]
        except ChildProcessError:
            return None  # `popen` has waited for it, and what it took is in its own account


class Sandbox(Protocol):
    """A way of shutting a process in."""

    name: str

    def start(
        self, command: Sequence[str], view: View, environment: Mapping[str, str], folder: Path, errors: BinaryIO
    ) -> Child:
        """Start `command` in `folder`, where it sees `view` and the system, in a process group of its own.

        Its standard input and output are pipes. Raises MachineError where it cannot be started.
        """

    def exit_code(self, code: int) -> int:
        """The command's own exit code, negative for a signal, from that of the process that was started."""


class Unconfined:
    """No sandbox: a process group of its own, a scrubbed environment, private folders. Stops accidents, not intent."""

    name = "none"

    def start(
        self, command: Sequence[str], view: View, environment: Mapping[str, str], folder: Path, errors: BinaryIO
    ) -> Child:
        """Start `command` as it is."""
        del view
        return Child(spawn(command, environment, folder, errors))

    def exit_code(self, code: int) -> int:
        """The same."""
        return code


def spawn(
    command: Sequence[str], environment: Mapping[str, str], folder: Path, errors: BinaryIO, keep: Sequence[int] = ()
) -> subprocess.Popen[bytes]:
    """A child in a process group of its own, with pipes to and from it; `keep` are descriptors that it inherits."""
    return subprocess.Popen(
        command,
        env=dict(environment),
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        bufsize=0,
        start_new_session=True,
        pass_fds=tuple(keep),
    )


@cache
def chosen() -> Sandbox:
    """The sandbox of this machine, tried out, or the `none` that the person asked for. Raises MachineError."""
    wanted = os.environ.get(SETTING, "auto")
    if wanted == "none":
        return Unconfined()
    if wanted != "auto":
        raise UsageError(f"{SETTING} is {wanted!r}: set it to none, or leave it out")
    found = _of_this_system()
    if leaks := escapes(found):
        raise MachineError(f"{found.name} does not hold here: {leaks}; {_instead()}")
    return found


def escapes(sandbox: Sandbox) -> str:
    """What a process in `sandbox` still reaches, in words; nothing where it holds.

    Raises MachineError where nothing can be run in it at all.
    """
    with (
        tempfile.TemporaryDirectory() as outside,
        tempfile.TemporaryDirectory() as inside,
        socket.create_server(("127.0.0.1", 0)) as server,
        (Path(outside) / "errors").open("w+b") as errors,
    ):
        secret = Path(outside) / "secret"
        secret.write_text("a person's own file")
        program = launcher("escape")
        command = [*program, str(secret), str(server.getsockname()[1])]
        view = View([Path(program[-1])], [Path(inside)])
        child = sandbox.start(command, view, {"PATH": SYSTEM_PATH}, Path(inside), errors)
        said, _ = child.popen.communicate(timeout=60)
        child.let_go()
        if child.popen.returncode:
            errors.seek(0)
            words = errors.read().decode(errors="replace").strip().splitlines() or ["no word of why"]
            raise MachineError(f"{sandbox.name} does not start here ({words[-1]}); {_instead()}")
        return ", ".join(json.loads(said))


def python() -> list[Path]:
    """The files of this Python and of the packages that a trainer may use."""
    packages = [Path(sysconfig.get_path("platlib")) / name for name in PACKAGES]
    wanted = [Path(sys.base_prefix), PYTHON, Path(sys.prefix) / "pyvenv.cfg", *packages]
    return [path for path in wanted if path.exists()]


def _of_this_system() -> Sandbox:
    if sys.platform == "darwin":
        from bench.seatbelt import Seatbelt

        return Seatbelt()
    from bench.bubblewrap import Bubblewrap

    return Bubblewrap()


def _instead() -> str:
    return f"{SETTING}=none runs candidates without one: only diffs that you trust"
