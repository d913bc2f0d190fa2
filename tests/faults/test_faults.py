"""Runs that try to take the machine with them: each is contained and has a name, and the next run is none the worse.

A fault is a few lines that the fast fake trainer runs in the middle of its training.
"""

import time
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import pytest

from bench.data import Dataset
from bench.errors import RunFailed
from bench.process import MARK
from tests.fakes import fake_tree
from tests.faults.runs import LIMITS, PROFILE, confined, run, tree_with


@dataclass(frozen=True)
class Fault:
    """Lines of Python, and the names under which they may end; an empty one means that they fail to do harm."""

    code: str
    reasons: tuple[str, ...]
    words: str = ""


FAULTS = {
    "a fork bomb": Fault(
        """
        while True:
            try:
                os.fork()
            except OSError:
                pass
        """,
        ("too_many_processes",),
    ),
    "a double-forked daemon": Fault(
        """
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                time.sleep(613)
            os._exit(0)
        os.wait()
        """,
        ("",),
    ),
    "a daemon that holds the output open": Fault(
        'subprocess.Popen(["/bin/sleep", "614"], start_new_session=True)', ("",)
    ),
    "endless output": Fault('while True:\n    print("x" * 1000, flush=True)', ("endless_output",)),
    "one endless line": Fault('while True:\n    sys.stdout.write("x" * 1000)', ("endless_output",)),
    "SIGTERM ignored": Fault(
        """
        import signal
        for number in range(1, 32):
            try:
                signal.signal(number, signal.SIG_IGN)
            except OSError:
                pass
        time.sleep(615)
        """,
        ("hang",),
    ),
    "memory growth in one piece": Fault("taken = bytearray(8 << 30)", ("over_memory",)),
    "memory growth in many": Fault(
        """
        taken = []
        while True:
            taken.append(b"x" * (1 << 20))
        """,
        ("over_memory",),
    ),
    "memory that several processes take": Fault(
        """
        for _ in range(4):
            if os.fork() == 0:
                taken = b"x" * (400 << 20)
                time.sleep(616)
        time.sleep(616)
        """,
        ("over_memory",),
    ),
    "a disk filled by one file": Fault(
        """
        with open(os.environ["RUN_DIR"] + "/big", "wb") as file:
            while True:
                file.write(bytes(1 << 20))
        """,
        ("disk_full",),
    ),
    "a disk filled by many files": Fault(
        """
        for number in range(10**9):
            with open(os.environ["TMPDIR"] + f"/{number}", "wb") as file:
                file.write(bytes(100_000))
        """,
        ("disk_full",),
    ),
    "scratch space filled": Fault(
        """
        with open("/dev/shm/big", "wb") as file:
            while True:
                file.write(bytes(1 << 20))
        """,
        ("disk_full",),
    ),
    "a FIFO for an artifact": Fault(
        'os.mkfifo(os.environ["RUN_DIR"] + "/artifact.bin"); sys.exit(early())', ("bad_artifact",)
    ),
    "a symbolic link for an artifact": Fault(
        'os.symlink("/etc/hostname", os.environ["RUN_DIR"] + "/artifact.bin"); sys.exit(early())', ("bad_artifact",)
    ),
    "a hard link for an artifact": Fault(
        """
        out = os.environ["RUN_DIR"]
        open(out + "/other", "wb").write(bytes(4096))
        os.link(out + "/other", out + "/artifact.bin")
        sys.exit(early())
        """,
        ("bad_artifact",),
    ),
    "a folder for an artifact": Fault(
        'os.mkdir(os.environ["RUN_DIR"] + "/artifact.bin"); sys.exit(early())', ("bad_artifact",)
    ),
    "a sparse artifact": Fault(
        """
        os.truncate(os.open(os.environ["RUN_DIR"] + "/artifact.bin", os.O_CREAT | os.O_WRONLY), 60 << 20)
        sys.exit(early())
        """,
        ("artifact_too_large",),
    ),
    "a sparse artifact larger than the disk": Fault(
        'os.truncate(os.open(os.environ["RUN_DIR"] + "/artifact.bin", os.O_CREAT | os.O_WRONLY), 1 << 45)',
        ("disk_full",),
    ),
    "a death by signal": Fault("os.kill(os.getpid(), 9)", ("signal",), "SIGKILL"),
    "an exit code": Fault("sys.exit(7)", ("exit_code",), "exited with 7"),
    "its standard input closed": Fault("os.close(0)", ("",)),
    "its parent signalled": Fault(
        """
        try:
            os.kill(os.getppid(), 9)
            os.killpg(os.getpgid(os.getppid()), 9)
        except OSError:
            pass
        """,
        ("",),
    ),
}


def of_the_run(folder: Path) -> list[psutil.Process]:
    """Every process that bears the mark of a run in `folder`."""
    found = []
    for process in psutil.process_iter():
        try:
            seen = process.environ()
            if MARK in seen and seen["HOME"].startswith(str(folder)) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


@confined
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_contained_and_named_and_leaves_nothing(small_data: Dataset, tmp_path: Path, name: str) -> None:
    fault = FAULTS[name]
    reason, detail = "", ""
    try:
        run(small_data, tmp_path, tree_with(fault.code))
    except RunFailed as failure:
        reason, detail = failure.reason, failure.detail
    ended = time.monotonic()
    while (left := of_the_run(tmp_path)) and time.monotonic() - ended < 1.0:
        time.sleep(0.01)
    assert not left
    assert reason in fault.reasons, detail
    assert fault.words in detail
    assert not (tmp_path / "run" / "out").exists()
    assert run(small_data, tmp_path, fake_tree()).val_bpb > 0


@confined
def test_a_fault_in_the_serving_process_is_contained_too(small_data: Dataset, tmp_path: Path) -> None:
    tree = fake_tree()
    faults = {
        "import os\nwhile True:\n    os.fork()\n": "too_many_processes",
        "import time\ntime.sleep(617)\n": "over_time",
        "import sys\nwhile True:\n    print('x' * 1000, file=sys.stderr)\n": "endless_output",
    }
    quick = replace(PROFILE, limits=replace(LIMITS, score_s=4.0))
    for code, reason in faults.items():
        with pytest.raises(RunFailed) as failure:
            run(small_data, tmp_path, tree | {"trainer/model.py": code.encode() + tree["trainer/model.py"]}, quick)
        assert failure.value.reason == reason
