"""Runs that try to take the machine with them: each is contained and has a name, and the next run is none the worse.

A fault is a few lines that the fast fake trainer runs in the middle of its training.
"""

import json
import os
import textwrap
import time
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event

import psutil
import pytest

from bench import sandbox
from bench.data import Dataset
from bench.errors import RunFailed
from bench.job import Job, Measurement
from bench.measure import measure
from bench.process import MARK
from bench.profiles import Limits, Profile
from tests.fakes import fake_tree

LIMITS = Limits(
    setup_s=10.0,
    train_s=20.0,
    stall_s=4.0,
    score_s=60.0,
    output_bytes=100_000,
    memory_bytes=1 << 30,
    disk_bytes=64 << 20,
    disk_files=500,
)
PROFILE = Profile("test", "tiny", steps=4, window=64, val_tokens=2_000, baseline_bytes=20_000, limits=LIMITS)
confined = pytest.mark.skipif(sandbox.chosen().name == "none", reason="no sandbox works here: nightshift doctor")


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
        with open("/tmp/big", "wb") as file:
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
EARLY = """
def early():
    say(phase="train", step=4, loss=6.0, tokens=400, elapsed_s=0.0)
    return 0
"""


def tree_with(code: str) -> dict[str, bytes]:
    """The fake trainer with `code` in the middle of its training."""
    tree = fake_tree()
    source = tree["trainer/train.py"].decode()
    begin = source.index("def go_wrong(")
    end = source.index('if __name__ == "__main__"')
    body = 'def go_wrong(behaviour):\n    """Misbehave."""\n' + textwrap.indent(textwrap.dedent(code).strip(), "    ")
    return tree | {"trainer/train.py": f"{source[:begin]}{EARLY}\n\n{body}\n\n\n{source[end:]}".encode()}


def run(data: Dataset, folder: Path, tree: dict[str, bytes], profile: Profile = PROFILE) -> Measurement:
    return measure(Job(tree=tree, profile=profile, seed=1), data, folder / "run", lambda word: None, Event())


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


@pytest.fixture(scope="module")
def undisturbed(small_data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> float:
    return run(small_data, tmp_path_factory.mktemp("undisturbed"), fake_tree()).val_bpb


def that_worked(data: Dataset, folder: Path, tries: dict[str, str]) -> list[str]:
    """Which of some lines a run can execute without an error of the system's."""
    code = f"""
    import socket
    worked = []
    for name, line in {tries!r}.items():
        try:
            exec(line)
            worked.append(name)
        except OSError:
            continue
    print(json.dumps(worked), file=sys.stderr)
    """
    run(data, folder, tree_with(code))
    found: list[str] = json.loads((folder / "run" / "stderr.txt").read_text().splitlines()[-1])
    return found


OWN = "its own folder"
CONTROL = {OWN: "open(os.environ['RUN_DIR'] + '/mine', 'w')"}
FAMILIES = ("AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK", "AF_PACKET", "AF_VSOCK", "AF_ALG", "AF_BLUETOOTH", "AF_CAN")
SOCKETS = {
    f"{family} {kind}": f"socket.socket(getattr(socket, '{family}', 0), socket.{kind})"
    for family in FAMILIES
    for kind in ("SOCK_STREAM", "SOCK_DGRAM", "SOCK_RAW", "SOCK_SEQPACKET")
}
OUTSIDE = {
    "its own tree": "open(settings.__file__, 'a')",
    "beside its own tree": "open(os.path.dirname(settings.__file__) + '/planted.py', 'w')",
    "the training data": "open(os.environ['DATA_DIR'] + '/planted', 'w')",
    "the system": "open('/usr/lib/planted', 'w')",
    "the packages": "open(np.__file__, 'a')",
    "this Python": "open(os.__file__, 'a')",
    "the root": "open('/planted', 'w')",
    "settings of the kernel": "open('/proc/sys/vm/drop_caches', 'w').write('1')",
}


@confined
def test_no_socket_of_any_family_can_be_opened(small_data: Dataset, tmp_path: Path) -> None:
    assert that_worked(small_data, tmp_path, SOCKETS | CONTROL) == [OWN]


@confined
def test_nothing_outside_its_folders_can_be_written(small_data: Dataset, tmp_path: Path) -> None:
    assert that_worked(small_data, tmp_path, OUTSIDE | CONTROL) == [OWN]


@confined
def test_nothing_but_its_contract_can_be_read(small_data: Dataset, tmp_path: Path) -> None:
    theirs, data = tmp_path / "theirs", small_data.train_dir.parent
    theirs.write_text("precious")
    hidden = {
        "the validation text": f"os.listdir({str(data / 'val')!r})",
        "what lies around its data": f"open({str(data / 'manifest.json')!r})",
        "a file of the person's": f"open({str(theirs)!r})",
        "the bench": f"open({str(Path(sandbox.__file__))!r})",
        "another process": f"open('/proc/{os.getpid()}/environ')",
    }
    assert that_worked(small_data, tmp_path, hidden | CONTROL) == [OWN]


@confined
def test_what_it_writes_to_scratch_space_is_gone(small_data: Dataset, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.write_text("precious")
    run(small_data, tmp_path, tree_with(f"open({str(theirs)!r}, 'w').write('x')\nopen('/dev/shm/left', 'w')"))
    assert theirs.read_text() == "precious"
    assert not Path("/dev/shm/left").exists()


@confined
def test_what_a_run_leaves_among_its_kernels_is_found_by_no_other_run_of_the_same_code(
    small_data: Dataset, tmp_path: Path, undisturbed: float
) -> None:
    leaves = """
    if any("planted" in name for _, _, names in os.walk(os.environ["TMPDIR"]) for name in names):
        raise SystemExit("found what another run left")
    folder = os.environ["TMPDIR"] + "/mlx/9.9/cpu"
    os.makedirs(folder)
    open(folder + "/planted.so", "wb").write(b"weights, for one")
    os.symlink("/etc", os.environ["TMPDIR"] + "/mlx/9.9/link")
    """
    tree = tree_with(leaves)
    assert run(small_data, tmp_path, tree).val_bpb == undisturbed
    assert run(small_data, tmp_path, tree).val_bpb == undisturbed


@confined
def test_what_serves_leaves_nothing_to_what_trains_or_serves_later(small_data: Dataset, tmp_path: Path) -> None:
    tree = fake_tree()
    leaves = """
import os
HOME = os.environ["TMPDIR"]
FOUND = [name for _, _, names in os.walk(HOME) for name in names if "seen" in name]
def note(tokens):
    if tokens.max().item() > 0:
        os.makedirs(HOME + "/mlx/9.9/cpu", exist_ok=True)
        open(HOME + "/mlx/9.9/cpu/seen.so", "wb").write(bytes(4))
    if FOUND:
        raise RuntimeError("found the text that was served before")
"""
    source = tree["trainer/model.py"].decode()
    spied = source.replace("        return mx.broadcast_to", "        note(tokens)\n        return mx.broadcast_to")
    assert spied != source
    for _ in range(2):
        run(small_data, tmp_path, tree | {"trainer/model.py": (leaves + spied).encode()})


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


@confined
def test_shut_in_and_not_shut_in_give_the_same_number(
    small_data: Dataset, tmp_path: Path, undisturbed: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "chosen", lambda: sandbox.Unconfined())
    assert run(small_data, tmp_path, fake_tree()).val_bpb == undisturbed
