"""Git by plumbing: what is written, and what is never touched."""

import json
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


def of_script(repo: Repo, *files: str) -> Repo:
    (repo.root / "nightshift.toml").write_text(f'[script]\ncommand = "python a.py"\nfiles = {json.dumps(files)}\n')
    return here(repo.root)


def test_of_a_script_only_the_files_that_are_named_are_read_and_written(repo: Repo) -> None:
    for name in ("a.py", "deep/er/b.py", "deep/er/c.py", "deep/d.py", "src/e.py"):
        (repo.root / name).parent.mkdir(parents=True, exist_ok=True)
        (repo.root / name).write_text(name)
    (repo.root / "link").symlink_to("a.py")
    git(repo.root, "add", ".")
    git(repo.root, "commit", "--quiet", "--message=a script")
    ours = of_script(repo, "a.py", "deep/er/b.py", "src/")
    start = ours.commit_of("HEAD")
    tree = ours.trainer(start)
    assert tree == {name: name.encode() for name in ("a.py", "deep/er/b.py", "src/e.py")}
    rest = ours.rest(start)
    assert {"deep/er/c.py", "deep/d.py", "README.md", "trainer/train.py"} < rest.keys()
    assert not {"link", *tree} & rest.keys()
    changed = {"a.py": b"new", "deep/er/b.py": b"newer", "src/f/g.py": b"made"}
    commit = ours.write_commit(start, changed, "m\n")
    assert ours.trainer(commit) == changed
    assert ours.rest(commit) == rest
    names = git(repo.root, "diff", "--name-status", "--no-renames", start, commit).split("\n")
    assert names == ["M\ta.py", "M\tdeep/er/b.py", "D\tsrc/e.py", "A\tsrc/f/g.py"]
    assert "error" not in git(repo.root, "fsck", "--strict", "--no-dangling")


def test_a_folder_that_is_emptied_is_gone(repo: Repo) -> None:
    ours = of_script(repo, "kb/ideas.md", "README.md")
    start = ours.commit_of("HEAD")
    commit = ours.write_commit(start, {"README.md": b"alone\n"}, "m\n")
    assert git(repo.root, "ls-tree", "--name-only", commit, "kb") == ""


def test_a_file_that_the_commit_lacks_is_named(repo: Repo) -> None:
    with pytest.raises(UsageError, match=r"has no other\.py"):
        of_script(repo, "README.md", "other.py").trainer("HEAD")


def test_what_works_on_the_trainer_alone_says_so_of_a_script(repo: Repo) -> None:
    repo.must_have_trainer("an audit")
    with pytest.raises(UsageError, match="an audit is for trainer/ alone"):
        of_script(repo, "README.md").must_have_trainer("an audit")
