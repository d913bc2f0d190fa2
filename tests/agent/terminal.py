"""A terminal for a command of ours, and the screen that a person sees there."""

import contextlib
import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import pyte
import pytest

from tests.agent.test_night import environment


@dataclass
class Terminal:
    """A command on a terminal of its own, and what stands on that."""

    process: "subprocess.Popen[bytes]"
    master: int
    screen: pyte.Screen
    raw: bytearray = field(default_factory=bytearray)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def read(self) -> None:
        """Take in what is written to it, until nobody has it any more."""
        stream = pyte.ByteStream(self.screen)
        with contextlib.suppress(OSError):  # as a terminal says that
            while chunk := os.read(self.master, 1 << 16):
                with self.lock:
                    self.raw += chunk
                    stream.feed(chunk)

    @property
    def text(self) -> str:
        """What stands on the screen."""
        with self.lock:
            return "\n".join(line.rstrip() for line in self.screen.display)

    def until(self, *words: str, seconds: float = 60) -> str:
        """Wait for all these to be on the screen; returns what is there then."""
        until(lambda: all(word in self.text for word in words), lambda: self.text, seconds)
        return self.text

    def resize(self, columns: int, lines: int) -> None:
        """Make it that wide and high, as a person does with a mouse."""
        with self.lock:
            self.screen.resize(lines, columns)
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))


def until(holds: Callable[[], bool], told: Callable[[], str], seconds: float = 60) -> None:
    """Wait for something to hold."""
    for _ in range(round(seconds / 0.05)):
        if holds():
            return
        time.sleep(0.05)
    pytest.fail(f"that never came; there was:\n{told()}")


@contextlib.contextmanager
def terminal(
    root: Path, *words: str, columns: int = 100, lines: int = 40, variables: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Terminal]:
    """Have `nightshift` with those words run in `root` on a terminal of that size."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    usual = {name: value for name, value in environment().items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    with subprocess.Popen(
        [sys.executable, "-m", "agent.cli", *words],
        cwd=root,
        env={**usual, "TERM": "xterm-256color", **variables},
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    ) as process:
        os.close(slave)
        found = Terminal(process, master, pyte.Screen(columns, lines))
        reader = threading.Thread(target=found.read)
        reader.start()
        try:
            yield found
        finally:
            process.kill()
            process.wait()
            reader.join()
            os.close(master)
