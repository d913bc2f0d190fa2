"""What a run can reach: its contract and nothing else, and nothing that it leaves reaches another run."""

import json
import os
from pathlib import Path

import pytest

from bench import sandbox
from bench.data import Dataset
from tests.fakes import fake_tree
from tests.faults.runs import confined, run, tree_with


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
    "a folder for everybody": "open('/tmp/planted', 'w')",
    "around its packages": "open(os.path.dirname(os.path.dirname(np.__file__)) + '/planted.pth', 'w')",
    "around its folder": "open(os.path.dirname(os.environ['RUN_DIR']) + '/planted', 'w')",
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
    run(small_data, tmp_path, tree_with("open('/dev/shm/left', 'w')"))
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
def test_shut_in_and_not_shut_in_give_the_same_number(
    small_data: Dataset, tmp_path: Path, undisturbed: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "chosen", lambda: sandbox.Unconfined())
    assert run(small_data, tmp_path, fake_tree()).val_bpb == undisturbed


LAST = """
import atexit, time
def burn(seconds=0.5):
    begun = time.process_time()
    while time.process_time() < begun + seconds:
        pass
def child(work):
    pid = os.fork()
    if not pid:
        work()
        os._exit(0)
    os.waitpid(pid, 0)
"""


@confined
@pytest.mark.parametrize("work", ["burn", "lambda: child(burn)"], ids=["itself", "a child"])
def test_what_a_run_computes_at_its_very_end_is_counted(small_data: Dataset, tmp_path: Path, work: str) -> None:
    idle = run(small_data, tmp_path, tree_with("pass")).training.cpu_s
    assert run(small_data, tmp_path, tree_with(f"{LAST}\natexit.register({work})")).training.cpu_s > idle + 0.2
