"""A cluster of real processes: Dask's own scheduler, and workers as a person starts them."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
DASK = str(Path(sys.executable).parent / "dask")
STARTING_S = 60.0
ENDING_S = 20.0


@dataclass(frozen=True)
class Started:
    """A process that runs, and what it says."""

    process: "subprocess.Popen[bytes]"
    log: Path

    @property
    def said(self) -> str:
        """All so far."""
        return self.log.read_text(errors="replace")

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.wait()

    def below(self) -> list[psutil.Process]:
        """Its own processes: those of runs under way."""
        found: list[psutil.Process] = psutil.Process(self.process.pid).children(recursive=True)
        return found


@contextlib.contextmanager
def started(
    command: Sequence[str], folder: Path, log: Path, ready: str, environment: Mapping[str, str] | None = None
) -> Iterator[Started]:
    """A command that runs in `folder` until the block ends, from when it has said `ready`."""
    usual = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error::ResourceWarning"}
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=folder, env={**usual, **(environment or {})}, stdout=out, stderr=out, start_new_session=True
        )
    this = Started(process, log)
    try:
        until(lambda: ready in this.said or process.poll() is not None, STARTING_S)
        assert process.poll() is None, this.said
        yield this
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            process.wait(ENDING_S)
        except subprocess.TimeoutExpired:
            this.kill()


def scheduler(
    address: str, folder: Path, environment: Mapping[str, str] | None = None, before: Sequence[str] = ()
) -> contextlib.AbstractContextManager[Started]:
    """Dask's scheduler at `address`, as docs/cluster.md has it; `before` leads to another host."""
    scheme, _, rest = address.partition("://")
    host, _, port = rest.rpartition(":")
    where = ["--protocol", scheme, "--host", host, "--port", port, "--dashboard-address", f"{host}:0"]
    log = folder / f"scheduler-{time.monotonic_ns()}.log"
    return started([*before, DASK, "scheduler", *where], folder, log, "Scheduler at:", environment)


def worker(
    address: str,
    repo: Path,
    environment: Mapping[str, str] | None = None,
    before: Sequence[str] = (),
    ready: str = "serves",
) -> contextlib.AbstractContextManager[Started]:
    """`nightshift worker` with one slot, in that repository."""
    command = [*before, sys.executable, "-m", "agent.cli", "worker", address, "--slots", "1"]
    return started(command, repo, repo.parent / f"worker-{time.monotonic_ns()}.log", ready, environment)


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def until(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait until it is so."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "that never came"
        time.sleep(0.05)


def certificates(folder: Path) -> dict[str, str]:
    """What docs/cluster.md has a person type for certificates, typed in `folder`; an environment with its settings."""
    page = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
    for line in re.findall(r"^ {4}((?:openssl|printf) .*)$", page, re.MULTILINE):
        subprocess.run(["bash", "-c", line], cwd=folder, check=True, capture_output=True)
    (settings,) = re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (folder / "dask").mkdir()
    (folder / "dask" / "nightshift.yaml").write_text(settings.replace("/etc/nightshift", str(folder)))
    return {"DASK_CONFIG": str(folder / "dask")}
