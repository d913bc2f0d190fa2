"""The real dashboard in a process of its own, as a person starts it."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

ENDS_S = 10.0


@dataclass
class Served:
    """A dashboard that runs."""

    process: "subprocess.Popen[str]"
    address: str
    """As it was printed."""

    @property
    def token(self) -> str:
        """What its page shows to be let in."""
        found = re.search(r'name="nightshift-token" content="([^"]+)"', httpx.get(self.address).text)
        assert found
        return found[1]

    def end(self, how: signal.Signals = signal.SIGINT) -> tuple[int, str, str]:
        """End it; returns its exit code and what it printed since, here and there."""
        self.process.send_signal(how)
        said, complained = self.process.communicate(timeout=ENDS_S)
        return self.process.returncode, said, complained


@contextlib.contextmanager
def serving(folder: Path, *words: str) -> Iterator[Served]:
    """A dashboard about the repository in `folder`, on a free port; any warning in it is an error."""
    command = [sys.executable, "-P", "-W", "error", "-m", "agent.cli", "dashboard", "--port", "0", *words]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            first = process.stdout.readline()
            assert first, process.communicate()
            process.stdout.readline()
            yield Served(process, first.split()[-1])
        finally:
            process.kill()


def events(answer: httpx.Response) -> Iterator[tuple[str, Any]]:
    """Server-sent events as they come: name and data."""
    name = ""
    for line in answer.iter_lines():
        key, _, value = line.partition(": ")
        if key == "event":
            name = value
        elif key == "data":
            yield name, json.loads(value)
