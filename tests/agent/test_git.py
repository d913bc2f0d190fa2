"""Git by plumbing: what is written, and what is never touched."""

from pathlib import Path

import pytest

from agent.git import RefMoved, Repo, here
from bench.errors import MachineError, UsageError
from tests.fakes import git, make_repo

REF = "refs/heads/nightshift/n"


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    (tmp_path / "data").mkdir()
    return here(make_repo(tmp_path / "person", tmp_path / "data"))


def test_a_commit_replaces_the_trainer_and_nothing_else(repo: Repo) -> None:
    start = repo.commit_of("HEAD")
    tree = repo.trainer(start)
    del tree["trainer/model.py"]
    changed = tree | {"trainer/settings.py": b"X = 1\n", "trainer/deep/new.py": b"Y = 2\n"}
    commit = repo.write_commit(start, changed, "a change\n")
    assert repo.trainer(commit) == changed
    assert git(repo.root, "diff", "--name-only", start, commit, "--", ":!trainer") == ""
    assert git(repo.root, "rev-parse", f"{commit}^") == start


def test_a_file_keeps_its_mode(repo: Repo) -> None:
    path = repo.root / "trainer" / "train.py"
    path.chmod(0o755)
    git(repo.root, "commit", "--all", "--message=executable")
    start = repo.commit_of("HEAD")
    commit = repo.write_commit(start, repo.trainer(start) | {"trainer/train.py": b"pass\n"}, "m\n")
    assert git(repo.root, "ls-tree", commit, "trainer/train.py").startswith("100755")


def test_a_ref_moves_only_from_where_it_is_expected(repo: Repo) -> None:
    start = repo.commit_of("HEAD")
    repo.move(REF, start, None)
    other = repo.write_commit(start, repo.trainer(start) | {"trainer/x.py": b""}, "m\n")
    with pytest.raises(RefMoved):
        repo.move(REF, other, other)
    with pytest.raises(RefMoved):
        repo.move(REF, other, None)
    assert repo.tip(REF) == start
    repo.move(REF, other, start)
    assert repo.tip(REF) == other


def test_writing_a_commit_leaves_index_and_working_tree_alone(repo: Repo) -> None:
    (repo.root / "README.md").write_text("half a thought\n")
    git(repo.root, "add", "README.md")
    before = (repo.root / ".git" / "index").read_bytes()
    start = repo.commit_of("HEAD")
    repo.write_commit(start, repo.trainer(start) | {"trainer/x.py": b""}, "m\n")
    assert repo.uncommitted() == []
    assert (repo.root / ".git" / "index").read_bytes() == before
    assert (repo.root / "README.md").read_text() == "half a thought\n"


def test_the_person_s_hooks_do_not_run(repo: Repo) -> None:
    hook = repo.root / ".git" / "hooks" / "reference-transaction"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\ntouch ran\n")
    hook.chmod(0o755)
    repo.move(REF, repo.commit_of("HEAD"), None)
    assert not (repo.root / "ran").exists()


def test_a_caller_s_git_variables_do_not_lead_elsewhere(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    assert here(repo.root).root == repo.root


def test_a_link_in_the_trainer_is_refused(repo: Repo) -> None:
    (repo.root / "trainer" / "link.py").symlink_to("/etc/passwd")
    git(repo.root, "add", "trainer")
    git(repo.root, "commit", "--message=link")
    with pytest.raises(UsageError, match="not a regular file"):
        repo.trainer(repo.commit_of("HEAD"))


def test_an_unknown_ref_is_one_line(repo: Repo) -> None:
    with pytest.raises(UsageError, match="no commit 'nowhere'"):
        repo.commit_of("nowhere")


def test_outside_a_repository_the_line_says_where_to_go(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="not inside a git repository"):
        here(tmp_path)
