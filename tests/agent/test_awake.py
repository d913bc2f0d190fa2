"""What keeps the machine awake runs as long as the night, and no longer, however that ends."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from agent.awake import awake
from tests.agent.test_night import environment

KEEPS = 'echo "$0" "$@" > {log}.args\necho $$ > {log}\nexec cat'
HOLD = """
import sys
from agent.awake import awake
with awake() as keeper:
    print(keeper, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where programs are found first; the usual ones that keep a machine awake are not found at all."""
    for name in ("sh", "cat", "sleep"):
        (tmp_path / name).symlink_to(next(Path(at) / name for at in os.get_exec_path() if (Path(at) / name).exists()))
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def put(folder: Path, name: str, script: str) -> Path:
    """A program of that name, which `script` is; returns where it may leave word."""
    log = folder / f"{name}.log"
    (folder / name).write_text(f"#!/bin/sh\n{script.format(log=log)}\n")
    (folder / name).chmod(0o755)
    return log


def until(holds: Callable[[], bool]) -> None:
    for _ in range(1000):
        if holds():
            return
        time.sleep(0.02)
    pytest.fail("that never came")


def pid_in(log: Path) -> int:
    until(lambda: log.exists() and log.read_text().endswith("\n"))
    return int(log.read_text())


def gone(pid: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    return True


@pytest.fixture
def on_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")


@pytest.mark.usefixtures("on_linux")
def test_it_runs_meanwhile_and_is_gone_afterwards(folder: Path) -> None:
    log = put(folder, "systemd-inhibit", KEEPS)
    with awake() as keeper:
        assert keeper == "systemd-inhibit"
        pid = pid_in(log)
        assert not gone(pid)
    assert gone(pid)
    said = log.with_suffix(".log.args").read_text()
    assert "--what=idle:sleep --mode=block" in said
    assert said.endswith(" cat\n")


@pytest.mark.usefixtures("on_linux")
def test_it_is_gone_after_an_error_too(folder: Path) -> None:
    log = put(folder, "systemd-inhibit", KEEPS)
    with pytest.raises(ZeroDivisionError), awake():
        pid = pid_in(log)
        raise ZeroDivisionError
    assert gone(pid)


@pytest.mark.skipif(sys.platform == "darwin", reason="caffeinate watches the process itself")
def test_it_ends_with_its_night_even_where_that_is_killed(folder: Path) -> None:
    log = put(folder, "systemd-inhibit", KEEPS)
    words, pipe = [sys.executable, "-c", HOLD], subprocess.PIPE
    with subprocess.Popen(words, env=environment(), stdin=pipe, stdout=pipe, text=True) as night:
        assert night.stdout is not None
        assert night.stdout.readline() == "systemd-inhibit\n"
        pid = pid_in(log)
        assert not gone(pid)
        night.send_signal(signal.SIGKILL)
    until(lambda: gone(pid))


@pytest.mark.usefixtures("on_linux")
def test_a_ctrl_c_is_not_for_it(folder: Path) -> None:
    log = put(folder, "systemd-inhibit", KEEPS)
    with awake():
        assert os.getpgid(pid_in(log)) != os.getpgrp()


@pytest.mark.usefixtures("on_linux")
def test_one_that_may_not_do_it_is_none(folder: Path) -> None:
    put(folder, "systemd-inhibit", "echo 'Failed to inhibit: Access denied' >&2\nexit 1")
    with awake() as keeper:
        assert keeper is None


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_where_there_is_none_a_night_runs_without(platform: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    with awake() as keeper:
        assert keeper is None


def test_on_macos_it_is_caffeinate_which_watches_this_process(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    put(folder, "systemd-inhibit", "exit 1")
    log = put(folder, "caffeinate", KEEPS.replace("exec cat", "exec sleep 600"))  # it reads nothing
    with awake() as keeper:
        assert keeper == "caffeinate"
        pid = pid_in(log)
    assert gone(pid)
    assert log.with_suffix(".log.args").read_text().split()[1:] == ["-is", "-w", str(os.getpid())]
