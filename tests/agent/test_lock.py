"""One at a time: who holds a repository's lock, and that it is let go however its process ends."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.git import Repo, here
from agent.journal import Journal
from agent.lock import alone, holder
from agent.opening import journal_path
from bench.errors import UsageError
from tests.agent.builders import NIGHT, header
from tests.agent.test_night import environment, nightshift
from tests.fakes import make_repo

HOLD = """
import sys
from agent.git import here
from agent.lock import alone
with alone(here(), "night n"):
    print("held", flush=True)
    sys.stdin.read()
"""
LOOK = """
import sys
from agent.git import here
from agent.lock import holder
repo = here()
print("looking", flush=True)
while True:
    holder(repo)
"""


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    (tmp_path / "data").mkdir()
    return here(make_repo(tmp_path / "person", tmp_path / "data"))


@contextlib.contextmanager
def another(repo: Repo, program: str) -> Iterator["subprocess.Popen[str]"]:
    """Another process at work in the repository, once it has said so; killed in the end."""
    words, pipe = [sys.executable, "-c", program], subprocess.PIPE
    with subprocess.Popen(words, cwd=repo.root, env=environment(), stdin=pipe, stdout=pipe, text=True) as running:
        assert running.stdout is not None
        try:
            assert running.stdout.readline()
            yield running
        finally:
            running.kill()


def test_the_second_says_who_holds_it(repo: Repo) -> None:
    with another(repo, HOLD) as running:
        with pytest.raises(UsageError, match=f"one at a time: night n, process {running.pid} on .*`nightshift stop`"):
            alone(repo, "revert").__enter__()
        found = holder(repo)
    assert found is not None
    assert (found.pid, found.what) == (running.pid, "night n")


def test_once_its_holder_is_done_nobody_holds_it_and_the_next_one_may(repo: Repo) -> None:
    assert holder(repo) is None
    for what in ("data prepare", "a"):
        with alone(repo, what):
            found = holder(repo)
            assert found is not None
            assert (found.pid, found.what) == (os.getpid(), what)
        assert holder(repo) is None


def test_an_error_lets_go_of_it(repo: Repo) -> None:
    with pytest.raises(ZeroDivisionError), alone(repo, "night n"):
        raise ZeroDivisionError
    assert holder(repo) is None


def test_a_holder_that_is_killed_holds_it_no_longer(repo: Repo) -> None:
    with another(repo, HOLD) as running:
        assert holder(repo) is not None
        running.send_signal(signal.SIGKILL)
        running.wait(20)
        assert holder(repo) is None
        with alone(repo, "night m"):
            assert (holder(repo) or pytest.fail()).what == "night m"


def test_whoever_only_looks_keeps_nobody_from_working(repo: Repo) -> None:
    with another(repo, LOOK):
        for _ in range(600):
            with alone(repo, "night n"):
                pass


def test_two_that_only_look_do_not_take_each_other_for_a_holder(repo: Repo) -> None:
    with alone(repo, "night n"):
        pass
    with another(repo, LOOK):
        assert [found for found in (holder(repo) for _ in range(3000)) if found] == []


def test_what_is_half_written_is_no_crash(repo: Repo) -> None:
    with alone(repo, "night n"):
        path = repo.common / "nightshift" / "lock"
        for half in (path.read_bytes()[:20], b"", b"\xff\x00"):
            path.write_bytes(half)
            assert holder(repo) is None
            with pytest.raises(UsageError, match="one at a time: another is at work here"):
                alone(repo, "revert").__enter__()


def test_all_working_trees_of_a_repository_share_it(repo: Repo, tmp_path: Path) -> None:
    repo.git("worktree", "add", "--quiet", "--detach", str(tmp_path / "beside"))
    with alone(repo, "night n"):
        assert holder(here(tmp_path / "beside")) == holder(repo)


def test_reading_goes_on_while_it_is_held(repo: Repo) -> None:
    journal = Journal(journal_path(repo, "night"))
    for record in (header(), *NIGHT):
        journal.append(record)
    with alone(repo, "night night"):
        assert "GRAD_CLIP_NORM 1.0" in nightshift(repo.root, "log").stdout
        assert "MATRIX_LR 0.06" in nightshift(repo.root, "show", "3").stdout
