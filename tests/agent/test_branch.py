"""The research branch: it goes where the journal says, and nobody's commit is dropped on the way."""

import contextlib
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent import branch
from agent.git import Repo, here
from agent.journal import Journal, read_journal
from agent.records import Reverted
from bench.errors import UsageError
from tests.agent.builders import baseline, experiment, header
from tests.fakes import git, make_repo

REF = "refs/heads/nightshift/n"
LOCK = f"{REF}.lock"


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    (tmp_path / "data").mkdir()
    return here(make_repo(tmp_path / "person", tmp_path / "data"))


@pytest.fixture
def start(repo: Repo) -> str:
    return repo.commit_of("HEAD")


def commit_on(repo: Repo, parent: str, name: str) -> str:
    return repo.write_commit(parent, repo.trainer(parent) | {f"trainer/{name}.py": b""}, f"{name}\n")


@pytest.fixture
def kept(repo: Repo, start: str) -> str:
    return commit_on(repo, start, "kept")


@pytest.fixture
def journal(tmp_path: Path, start: str, kept: str) -> Journal:
    """A night that began at `start` and stands at `kept`."""
    written = Journal(tmp_path / "journal.jsonl")
    for record in (header(name="n", base=start), baseline(sha=start), experiment(2, "keep", sha=kept)):
        written.append(record)
    written.found = len(written.records)
    return written


@pytest.mark.parametrize(
    ("tip", "checked_out", "wanted"),
    [
        ("champion", False, "there"),
        ("champion", True, "there"),
        (None, False, "move"),
        ("base", False, "move"),
        ("kept before", False, "move"),
        (None, True, "checked out"),
        ("base", True, "checked out"),
        ("a person's", False, "theirs"),
        ("a person's", True, "theirs"),
    ],
)
def test_what_there_is_to_do(tip: str | None, checked_out: bool, wanted: str) -> None:
    assert branch.step(tip, "champion", {"base", "kept before", "champion"}, checked_out=checked_out) == wanted


def test_a_branch_that_is_behind_is_moved(repo: Repo, journal: Journal, start: str, kept: str) -> None:
    repo.move(REF, start, None)
    assert branch.follow(repo, "n", journal) is None
    assert repo.tip(REF) == kept


def test_a_branch_that_is_not_there_is_made(repo: Repo, journal: Journal, kept: str) -> None:
    assert branch.follow(repo, "n", journal) is None
    assert repo.tip(REF) == kept


def test_a_night_without_an_experiment_stands_where_it_began(repo: Repo, journal: Journal, start: str) -> None:
    del journal.records[1:]
    assert branch.follow(repo, "n", journal) is None
    assert repo.tip(REF) == start


def test_a_kept_change_that_is_taken_out_is_followed_too(repo: Repo, journal: Journal, kept: str) -> None:
    repo.move(REF, kept, None)
    for name in ("out", "in-again"):
        sha = commit_on(repo, journal.champion or "", name)
        journal.append(Reverted(timestamp=1, id="n-0002", parent=kept, sha=sha))
        assert branch.follow(repo, "n", journal) is None
        assert repo.tip(REF) == sha


def test_a_branch_that_is_there_is_not_written(repo: Repo, journal: Journal, kept: str) -> None:
    repo.move(REF, kept, None)
    before = (repo.common / "logs" / REF).read_text()
    assert branch.follow(repo, "n", journal) is None
    branch.repair(repo, "n", journal)
    assert (repo.common / "logs" / REF).read_text() == before
    assert journal.repairs == []


def test_another_person_s_commit_stays_and_both_hashes_are_said(repo: Repo, journal: Journal, kept: str) -> None:
    theirs = commit_on(repo, kept, "theirs")
    repo.move(REF, theirs, None)
    said = branch.follow(repo, "n", journal) or ""
    assert theirs[:7] in said
    assert f"stands at {kept[:7]}" in said
    assert repo.tip(REF) == theirs
    with pytest.raises(UsageError, match="which is not this night's"):
        branch.repair(repo, "n", journal)
    assert repo.tip(REF) == theirs


def test_the_command_that_is_said_keeps_their_commit_and_lets_the_night_go_on(
    repo: Repo, journal: Journal, kept: str
) -> None:
    theirs = commit_on(repo, kept, "theirs")
    repo.move(REF, theirs, None)
    said = branch.follow(repo, "n", journal) or ""
    subprocess.run(said.rpartition(": ")[2], shell=True, cwd=repo.root, check=True, capture_output=True)
    assert git(repo.root, "rev-parse", "mine") == theirs
    assert branch.follow(repo, "n", journal) is None
    assert repo.tip(REF) == kept


def test_a_branch_that_is_checked_out_stays_until_it_is_free(
    repo: Repo, journal: Journal, start: str, kept: str, tmp_path: Path
) -> None:
    repo.move(REF, start, None)
    git(repo.root, "worktree", "add", "--quiet", str(tmp_path / "beside"), "nightshift/n")
    said = branch.follow(repo, "n", journal) or ""
    assert f"checked out, and stays at {start[:7]}" in said
    assert repo.tip(REF) == start
    with pytest.raises(UsageError, match="checked out"):
        branch.repair(repo, "n", journal)
    git(tmp_path / "beside", "switch", "--quiet", "--detach")
    assert branch.follow(repo, "n", journal) is None
    assert repo.tip(REF) == kept


def after_each_look(monkeypatch: pytest.MonkeyPatch, *acts: Callable[[], object]) -> None:
    """Let somebody else do something after each of the next looks at a ref."""
    look, left = Repo.tip, list(acts)

    def tip(self: Repo, ref: str) -> str | None:
        found = look(self, ref)
        if left:
            left.pop(0)()
        return found

    monkeypatch.setattr(Repo, "tip", tip)


def test_a_branch_that_a_person_deletes_meanwhile_is_made_again(
    repo: Repo, journal: Journal, start: str, kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.move(REF, start, None)
    after_each_look(monkeypatch, lambda: git(repo.root, "branch", "-D", "nightshift/n"))
    assert branch.follow(repo, "n", journal) is None
    assert repo.tip(REF) == kept


@pytest.mark.parametrize("there", [True, False])
def test_a_commit_that_comes_between_look_and_move_is_not_dropped(
    there: bool, repo: Repo, journal: Journal, start: str, kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if there:
        repo.move(REF, start, None)
    theirs = commit_on(repo, kept, "theirs")
    after_each_look(monkeypatch, lambda: git(repo.root, "branch", "--force", "nightshift/n", theirs))
    assert f"is at {theirs[:7]}" in (branch.follow(repo, "n", journal) or "")
    assert repo.tip(REF) == theirs


def test_a_branch_that_never_holds_still_is_given_up(
    repo: Repo, journal: Journal, start: str, kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = commit_on(repo, start, "other")
    journal.records.insert(2, experiment(2, "keep", sha=other))
    repo.move(REF, start, None)
    swaps = [lambda to=to: git(repo.root, "update-ref", REF, to) for to in (other, start) * 20]
    after_each_look(monkeypatch, *swaps)
    with pytest.raises(UsageError, match="is being moved all the time"):
        branch.follow(repo, "n", journal)


def test_a_branch_that_a_crash_left_behind_is_moved_at_a_start_and_that_is_journalled(
    repo: Repo, journal: Journal, start: str, kept: str
) -> None:
    repo.move(REF, start, None)
    branch.repair(repo, "n", journal)
    assert repo.tip(REF) == kept
    assert journal.repairs == [f"branch nightshift/n moved from {start[:7]} to {kept[:7]}, as journalled"]
    assert read_journal(journal.path).records == journal.records


def test_the_branch_of_a_night_that_begins_is_no_repair(repo: Repo, journal: Journal, start: str) -> None:
    del journal.records[1:]
    journal.found = 1
    branch.repair(repo, "n", journal)
    assert repo.tip(REF) == start
    assert journal.repairs == []


@contextlib.contextmanager
def git_that_holds_the_branch(repo: Repo, at: str) -> Iterator["subprocess.Popen[str]"]:
    """A git command in the middle of a write to the branch."""
    words, pipe = ["git", "update-ref", "--stdin"], subprocess.PIPE
    with subprocess.Popen(words, cwd=repo.root, stdin=pipe, stdout=pipe, text=True) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        writer.stdin.write(f"start\nupdate {REF} {at}\nprepare\n")
        writer.stdin.flush()
        assert [writer.stdout.readline() for _ in range(2)] == ["start: ok\n", "prepare: ok\n"]
        assert (repo.common / LOCK).exists()
        yield writer


def test_what_a_killed_git_left_locked_is_removed_and_journalled(repo: Repo, journal: Journal, kept: str) -> None:
    repo.move(REF, kept, None)
    with git_that_holds_the_branch(repo, kept) as writer:
        writer.kill()
    assert (repo.common / LOCK).exists()
    branch.repair(repo, "n", journal)
    assert not (repo.common / LOCK).exists()
    assert journal.repairs == [f"removed {LOCK}, which an interrupted git left behind"]


def test_a_git_that_lives_is_waited_for(repo: Repo, journal: Journal, start: str, kept: str) -> None:
    repo.move(REF, start, None)
    with git_that_holds_the_branch(repo, start) as writer:
        assert writer.stdin is not None
        letting_go = threading.Timer(0.3, writer.stdin.close)  # which ends it without a change
        letting_go.start()
        branch.repair(repo, "n", journal)
        letting_go.join()
    assert repo.tip(REF) == kept
    assert [what.split()[0] for what in journal.repairs] == ["branch"]
