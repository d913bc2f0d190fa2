"""A file layer under a night: every open, write, fsync, rename, mkdir, git command and process start is a point.

`Layer` counts the points, and lets something go wrong at one of them. `Recorder` also knows what a power cut would
leave at each, by the letter of POSIX: of a file, what it held at its last fsync; of a folder, the names it held at its
own last fsync. Git syncs the files it writes (`core.fsync=all`) and not the folders they are named in.
"""

import errno
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

Fault = Literal["none", "kill", "short", "ENOSPC", "EIO"]
TO_WRITE = os.O_WRONLY | os.O_RDWR
CALLS = ("open", "write", "fsync", "replace", "mkdir", "ftruncate")
Image = dict[str, bytes]
"""A folder's files, by their path below it."""


class Point(NamedTuple):
    """Something that a night does to the world."""

    kind: str
    """One of CALLS, `git …` or start."""
    what: str
    """The path below the repository, or the end of the command."""
    site: str
    """The line of ours that did it, with the one that called it where it is a helper."""


@dataclass
class Layer:
    """What is under a night in `root`, with one `fault` at point `at`, counted from 1. A full disk stays full."""

    root: Path
    fault: Fault = "none"
    at: int = 0
    points: list[Point] = field(default_factory=list)
    behind: list[str] = field(default_factory=list)
    """What was opened for writing by other calls than these."""
    ours: bool = False

    @contextmanager
    def under(self) -> Iterator[None]:
        """Be what this process writes through, from now on to the end of the block."""
        real = {name: getattr(os, name) for name in CALLS}
        popen = subprocess.Popen.__init__
        for name in CALLS:
            setattr(os, name, self._call(name, real[name]))

        def start(process: Any, words: Sequence[Any], *rest: Any, **more: Any) -> None:  # noqa: ANN401
            popen(process, self.start(list(map(str, words))), *rest, **more)

        subprocess.Popen.__init__ = start  # type: ignore[assignment, method-assign]
        sys.addaudithook(self._audit)
        try:
            yield
        finally:
            for name, call in real.items():
                setattr(os, name, call)
            subprocess.Popen.__init__ = popen  # type: ignore[method-assign]

    def _call(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        mine: dict[str, Callable[..., Any]] = {"open": self.open, "write": self.write, "fsync": self.fsync}
        special = mine.get(name)

        def call(first: Any, *rest: Any, **more: Any) -> Any:  # noqa: ANN401
            path = _path_of(first) if isinstance(first, int) else Path(os.fspath(first)).absolute()
            if path is None or not path.is_relative_to(self.root):
                return real(first, *rest, **more)
            if special:
                return special(real, path, first, *rest, **more)
            self.reach(name, path)
            return real(first, *rest, **more)

        return call

    def open(self, real: Callable[..., int], path: Path, name: Any, flags: int, *rest: Any, **more: Any) -> int:  # noqa: ANN401
        """Opening is a point where it is for writing."""
        if not flags & TO_WRITE:
            return real(name, flags, *rest, **more)
        self.reach("open", path)
        self.ours = True
        try:
            return real(name, flags, *rest, **more)
        finally:
            self.ours = False

    def write(self, real: Callable[..., int], path: Path, descriptor: int, content: bytes) -> int:
        """What goes wrong in the middle of a write leaves half of it there."""
        if self.reach("write", path, fails=False):
            taken = real(descriptor, content[: (len(content) + 1) // 2])
            if self.fault == "short":
                return taken
            self.fail()
        return real(descriptor, content)

    def fsync(self, real: Callable[[int], None], path: Path, descriptor: int) -> None:
        """A point like any other."""
        self.reach("fsync", path)
        real(descriptor)

    def start(self, words: list[str]) -> list[str]:
        """A git command fails in words of its own; any other process does not start."""
        if words[0] != "git":
            self.reach("start", "a run")
            return words
        name = next(word for word in words[1:] if not word.startswith("-") and "=" not in word)
        if self.reach(f"git {name}", " ".join(words[-3:]), fails=self.fault == "kill"):
            return ["/bin/sh", "-c", f"echo 'fatal: write error: {self.fault}' >&2; exit 128"]
        return words

    def reach(self, kind: str, what: Path | str, *, fails: bool = True) -> bool:
        """Come to a point; whether something goes wrong here, which it does at once if it `fails`."""
        told = os.path.relpath(what, self.root) if isinstance(what, Path) else what
        self.points.append(Point(kind, told, _site()))
        number = len(self.points)
        wrong = number == self.at or (self.fault == "ENOSPC" and number > self.at > 0)
        if wrong and (fails or self.fault == "kill"):
            self.fail()
        return wrong

    def fail(self) -> None:
        """End this process, or raise what the system would."""
        if self.fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.fault in ("ENOSPC", "EIO"):
            number = int(getattr(errno, self.fault))
            raise OSError(number, os.strerror(number))

    def _audit(self, event: str, words: tuple[Any, ...]) -> None:
        if event == "open" and not self.ours and isinstance(words[2], int) and words[2] & TO_WRITE:
            path = Path(words[0]).absolute() if isinstance(words[0], str) else None
            if path and path.is_relative_to(self.root):
                self.behind.append(str(path))


@dataclass
class Recorder(Layer):
    """Takes down what a power cut would leave at every point; nothing goes wrong.

    `unsynced` names a site whose fsyncs do nothing, as though the line were not there.
    """

    unsynced: str = ""
    contents: dict[int, bytes] = field(default_factory=dict)
    """By inode: what is on disk of a file."""
    names: dict[Path, dict[str, int]] = field(default_factory=dict)
    """By folder: the names in it that are on disk, with their inodes."""
    git_ran: bool = False

    def __post_init__(self) -> None:
        for folder, _, files in os.walk(self.root):
            self._take_names(Path(folder))
            for name in files:
                self._take_content(Path(folder) / name)

    def cut(self) -> None:
        """Called before each point: the place to look at `lost` and `torn`."""

    def reach(self, kind: str, what: Path | str, *, fails: bool = True) -> bool:
        """Take in what git has synced since the last point, and come to this one."""
        wrong = super().reach(kind, what, fails=fails)
        if self.git_ran:
            self.git_ran = False
            for part in ("objects", "refs"):
                for folder, _, files in os.walk(self.root / ".git" / part):
                    for name in files:
                        self._take_content(Path(folder) / name)
        self.cut()
        return wrong

    def open(self, real: Callable[..., int], path: Path, name: Any, flags: int, *rest: Any, **more: Any) -> int:  # noqa: ANN401
        """Of a new file, nothing is on disk; an inode may have been another file's before."""
        new = not path.exists()
        descriptor = super().open(real, path, name, flags, *rest, **more)
        if new:
            self.contents[os.fstat(descriptor).st_ino] = b""
        return descriptor

    def fsync(self, real: Callable[[int], None], path: Path, descriptor: int) -> None:
        """Take in what is on disk from here on."""
        super().fsync(real, path, descriptor)
        if self.points[-1].site == self.unsynced:
            return
        if path.is_dir():
            self._take_names(path)
        else:
            self._take_content(path)

    def start(self, words: list[str]) -> list[str]:
        """What git writes is taken in at the next point."""
        found = super().start(words)
        self.git_ran = words[0] == "git"
        return found

    def torn(self) -> Image:
        """What is left where every name comes through, and no unsynced write."""
        return {name: self.contents.get(inode, b"") for name, inode in self._now()}

    def lost(self) -> Image:
        """What is left where no unsynced name comes through either."""
        return dict(self._on_disk(self.root))

    def _now(self) -> Iterator[tuple[str, int]]:
        for folder, _, files in os.walk(self.root):
            for path in (Path(folder) / name for name in files):
                if stat.S_ISREG((found := path.lstat()).st_mode):
                    yield str(path.relative_to(self.root)), found.st_ino

    def _on_disk(self, folder: Path) -> Iterator[tuple[str, bytes]]:
        for name, inode in self.names.get(folder, {}).items():
            path = folder / name
            if path in self.names or path.is_dir():
                yield from self._on_disk(path)
            else:
                yield str(path.relative_to(self.root)), self.contents.get(inode, b"")

    def _take_content(self, path: Path) -> None:
        if stat.S_ISREG((found := path.lstat()).st_mode):
            self.contents[found.st_ino] = path.read_bytes()

    def _take_names(self, folder: Path) -> None:
        with os.scandir(folder) as entries:
            self.names[folder] = {entry.name: entry.inode() for entry in entries}


def _path_of(descriptor: int) -> Path | None:
    try:
        return Path(f"/proc/self/fd/{descriptor}").readlink()
    except OSError:
        return None


def _site() -> str:
    frame, found = sys._getframe(2), list[str]()
    while frame.f_back:
        module = str(frame.f_globals.get("__name__", ""))
        if module.startswith(("agent.", "bench.")):
            found.append(f"{module.partition('.')[2]}.{frame.f_code.co_name}:{frame.f_lineno}")
            if frame.f_code.co_name != "sync_folder":
                break
        frame = frame.f_back
    return " < ".join(found)
