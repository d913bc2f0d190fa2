"""macOS: the kernel's own sandbox, by `sandbox-exec` and a profile of its language.

Reported to work with MLX; not measured by us. macOS has no PID namespace, so the profile forbids to fork: what cannot
start another process leaves none behind.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from bench.sandbox import Child, View, python, spawn

PROGRAM = "/usr/bin/sandbox-exec"
PROFILE = """\
(version 1)
(deny default)
(import "system.sb")
(allow process-exec*)
(deny process-fork)
(deny network*)
(allow file-read* (subpath "/System") (subpath "/usr") (subpath "/Library") (literal "/bin/sh") (literal "/bin/bash"))
(allow iokit-open
  (iokit-registry-entry-class "AGXDeviceUserClient") (iokit-registry-entry-class "IOSurfaceRootUserClient"))
(allow mach-lookup (global-name "com.apple.MTLCompilerService"))
(deny file-read* file-write* (subpath "/Users") (subpath "/private/var/db"))
(allow file-read* (subpath "/private/var/db/dyld"))
(allow file-write* (literal "/dev/null"))
"""


class Seatbelt:
    """The sandbox of macOS."""

    name = "sandbox-exec"

    def start(
        self, command: Sequence[str], view: View, environment: Mapping[str, str], folder: Path, errors: BinaryIO
    ) -> Child:
        """Start `command` under the profile."""
        return Child(spawn([PROGRAM, "-p", profile(view), *command], environment, folder, errors))

    def exit_code(self, code: int) -> int:
        """The same: the program becomes the command."""
        return code


def profile(view: View) -> str:
    """The profile with what `view` names; of rules that contradict each other the last one holds."""
    lines = ["(allow network*)"] if view.network else []
    lines += [f"(allow file-read* {_subpath(path)})" for path in (*python(), *view.readable)]
    lines += [f"(allow file-read* file-write* {_subpath(path)})" for path in view.writable]
    return PROFILE + "\n".join(lines) + "\n"


def _subpath(path: Path) -> str:
    quoted = str(path.resolve()).replace("\\", "\\\\").replace('"', '\\"')
    return f'({"subpath" if path.is_dir() else "literal"} "{quoted}")'
