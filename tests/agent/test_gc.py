"""What `nightshift gc` may take: runs and old candidates, and nothing that a person or a journal needs."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from agent.attempt import CANDIDATES
from agent.cli import cli
from agent.garbage import Garbage, Ref, Runs, look, plan, remove
from agent.git import Repo, here
from agent.journal import Journal, encode
from agent.lock import alone
from agent.records import AnyRecord, Experiment
from bench import clock, files
from bench.data import Dataset
from bench.errors import MachineError, NightshiftError
from tests.agent.builders import baseline, confirmed, dropped, header, journal, knob, sha
from tests.agent.test_night import environment, nightshift, run_night
from tests.fakes import git, make_repo

DAY_MS = 24 * 3600 * 1000
OLD = 1_793_000_000_000
"""Long before any clock that these tests run by says."""


@dataclass
class World:
    """A person's repository with a night in it whose experiments are: 2 old, 3 kept, 4 of today, 5 not decided."""

    repo: Repo
    night: Path

    @property
    def kept(self) -> str:
        """Bytes of all that must not change: a journal, a log, conversations, what was learnt, the lock."""
        home = self.repo.common / "nightshift"
        paths = sorted(path for path in home.rglob("*") if path.is_file() and not is_run(path) and path.name != "lock")
        return "\n".join(f"{path} {path.read_bytes()!r}" for path in paths)

    @property
    def refs(self) -> set[str]:
        """The ids that a ref holds."""
        said = git(self.repo.root, "for-each-ref", "--format=%(refname)", CANDIDATES)
        return {name.removeprefix(f"{CANDIDATES}/") for name in said.splitlines()}

    @property
    def runs(self) -> set[str]:
        """The folders of runs, by their path below the nights' home."""
        home = self.repo.common / "nightshift"
        return {str(path.relative_to(home)) for path in home.rglob("*-short-smoke-*") if path.is_dir()}

    def commit(self, number: int) -> str:
        """A candidate."""
        base = self.repo.commit_of("HEAD")
        tree = self.repo.trainer(base) | {"trainer/settings.py": b"X = %d\n" % number}
        return self.repo.write_commit(base, tree, f"candidate {number}\n")


def is_run(path: Path) -> bool:
    return any("-short-smoke-" in part for part in path.parts)


def run_folder(folder: Path, number: int, size: int = 50_000) -> Path:
    path = folder / f"{number:012x}-short-smoke-{number}"
    (path / "out").mkdir(parents=True)
    (path / "out" / "artifact.bin").write_bytes(b"a" * size)
    return path


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    (tmp_path / "data").mkdir()
    repo = here(make_repo(tmp_path / "person", tmp_path / "data"))
    found = World(repo, repo.common / "nightshift" / "night")
    start, commits = repo.commit_of("HEAD"), {number: found.commit(number) for number in (2, 3, 4, 5)}
    lr = knob("MATRIX_LR", 0.04, 0.06)
    records: list[AnyRecord] = [
        header(base=start),
        baseline(sha=start, timestamp=OLD),
        dropped(2, sha=commits[2], timestamp=OLD, parent=start, **lr),
        confirmed(3, "keep", [-0.02, -0.018], sha=commits[3], timestamp=OLD, parent=start, **lr),
        dropped(4, sha=commits[4], timestamp=clock.now_ms(), parent=commits[3], **lr),
    ]
    files.make_folders(found.night)
    (found.night / "autoresearch.jsonl").write_text("".join(encode(one) + "\n" for one in records))
    for number, commit in commits.items():
        repo.point(f"{CANDIDATES}/night-{number:04d}", commit)
    repo.point("refs/heads/nightshift/night", commits[3])
    (found.night / "night.log").write_text("what it said\n")
    (found.night / "drafts").mkdir()
    (found.night / "drafts" / "d0001.jsonl").write_text('{"draft": "d0001"}\n')
    (found.night.parent / "experience.json").write_text("{}\n")
    run_folder(found.night / "runs", 1)
    run_folder(found.night / "runs", 2)
    run_folder(found.night.parent / "bench", 3)
    run_folder(found.night.parent / "replay", 4)
    monkeypatch.chdir(repo.root)
    return found


def gc(*words: str) -> str:
    done = CliRunner().invoke(cli, ["gc", *words])
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


ALL_RUNS = {
    *("bench/000000000003-short-smoke-3", "replay/000000000004-short-smoke-4"),
    *("night/runs/000000000001-short-smoke-1", "night/runs/000000000002-short-smoke-2"),
}
ALL_REFS = {"night-0002", "night-0003", "night-0004", "night-0005"}


def test_off_a_terminal_it_only_says_what_may_go_and_the_words_to_type(world: World) -> None:
    said = gc()
    assert f"2 runs in {world.night / 'runs'}" in said
    assert "1 refs  candidates of night night, decided more than 14 days ago and not kept" in said
    assert said.splitlines()[-1] == "nothing was removed; `nightshift gc --yes` removes it"
    assert "`nightshift gc --days 3 --yes`" in gc("--days", "3")
    assert (world.runs, world.refs) == (ALL_RUNS, ALL_REFS)


def test_runs_and_old_candidates_go_and_nothing_else(world: World) -> None:
    before, branches = world.kept, git(world.repo.root, "for-each-ref", "refs/heads")
    said = gc("--yes")
    assert world.runs == set()
    assert world.refs == ALL_REFS - {"night-0002"}
    assert world.kept == before
    assert git(world.repo.root, "for-each-ref", "refs/heads") == branches
    assert "in 4 runs, and 1 refs" in said
    assert "git gc" in said
    assert gc("--yes").splitlines()[0] == "nothing may go"


@pytest.mark.parametrize(("number", "why"), [(3, "kept"), (4, "decided of late"), (5, "not decided yet")])
def test_why_a_ref_stays_is_said(world: World, number: int, why: str) -> None:
    assert {"id": f"night-{number:04d}", "why": why} in json.loads(gc("--json"))["stay"]
    assert f"1 refs  stay, of night night: {why}" in gc()


def test_no_days_at_all_spare_what_is_kept_or_not_decided(world: World) -> None:
    gc("--days", "0", "--yes")
    assert world.refs == {"night-0003", "night-0005"}


@pytest.mark.parametrize("content", [None, b"garbage\n"], ids=["gone", "unreadable"])
def test_refs_of_a_night_without_a_journal_that_reads_are_left_alone_and_that_said(
    world: World, content: bytes | None
) -> None:
    path = world.night / "autoresearch.jsonl"
    path.unlink()
    if content:
        path.write_bytes(content)
    said = gc("--yes", "--days", "0")
    assert world.refs == ALL_REFS
    assert ("its journal cannot be read" if content else "there is no journal of it here") in said


def test_a_ref_that_is_elsewhere_than_its_journal_says_is_left_alone(world: World) -> None:
    world.repo.point(f"{CANDIDATES}/night-0002", world.commit(99))
    for own in ("a-persons-own", "mine"):
        world.repo.point(f"{CANDIDATES}/{own}", world.commit(98))
    assert "not where its journal says" in gc("--yes")
    assert {"night-0002", "a-persons-own", "mine"} <= world.refs


def test_a_night_tells_as_before_and_its_keeps_outlive_branch_and_git_s_own_gc(world: World) -> None:
    words = (["log"], ["show", "2"], ["show", "2", "--json"], ["diff", "2"], ["diff", "3"], ["log", "--json"])
    before = [CliRunner().invoke(cli, word).output for word in words]
    kept, dropped_ = (world.repo.line("rev-parse", f"{CANDIDATES}/night-000{number}") for number in (3, 2))
    gc("--yes")
    git(world.repo.root, "branch", "-D", "nightshift/night")
    git(world.repo.root, "gc", "--quiet", "--prune=now")
    assert [CliRunner().invoke(cli, word).output for word in words] == before
    assert world.repo.trainer(kept)["trainer/settings.py"] == b"X = 3\n"
    with pytest.raises(NightshiftError):
        world.repo.trainer(dropped_)


@pytest.mark.long
def test_a_real_night_is_replayed_from_its_keep_once_all_else_is_gone(small_data: Dataset, tmp_path: Path) -> None:
    ideas = "## Better\n\n```knobs\nQUALITY = 0.9\n```\n\n## Worse\n\n```knobs\nQUALITY = 0.2\n```\n"
    repo = make_repo(tmp_path / "person", small_data.root, ideas)
    run_night(repo)
    path = repo / ".git" / "nightshift" / "n" / "autoresearch.jsonl"
    before = path.read_bytes()
    found = json.loads(nightshift(repo, "gc", "--days", "0", "--yes", "--json").stdout)
    assert found["refs"] == {"n": ["n-0003"]}
    assert found["bytes"] > 0
    assert list((path.parent / "runs").iterdir()) == []
    git(repo, "branch", "-D", "nightshift/n")
    git(repo, "gc", "--quiet", "--prune=now")
    assert json.loads(nightshift(repo, "replay", "2", "--json").stdout)["came_back"]
    assert path.read_bytes() == before


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """Both ends of one: the person's, and the program's."""
    ends = pty.openpty()
    yield ends
    for end in ends:
        os.close(end)


@pytest.mark.parametrize(("answer", "gone"), [("n", False), ("y", True)])
def test_on_a_terminal_it_asks_once_all_is_said(
    world: World, terminal: tuple[int, int], answer: str, gone: bool
) -> None:
    person, program = terminal
    os.write(person, f"{answer}\n".encode())
    words = [sys.executable, "-m", "agent.cli", "gc"]
    done = subprocess.run(words, stdin=program, capture_output=True, text=True, env=environment(), timeout=60)
    assert done.returncode == 0, done.stderr
    told, _, after = done.stdout.partition("remove all this? [y/N]:")
    assert "2 runs in" in told
    assert "1 refs" in told
    assert ("gone: " in after) is gone
    assert (world.runs == set()) is gone
    assert ("night-0002" not in world.refs) is gone


def test_json_says_what_would_go_and_then_what_went(world: World) -> None:
    would = json.loads(gc("--json"))
    assert (world.runs, world.refs) == (ALL_RUNS, ALL_REFS)
    went = json.loads(gc("--json", "--yes"))
    assert would["removed"] is False
    assert would | {"removed": True} == went
    assert went["refs"] == {"night": ["night-0002"]}
    assert {Path(one["folder"]).name: one["runs"] for one in went["folders"]} == {"bench": 1, "replay": 1, "runs": 2}
    assert went["bytes"] >= 4 * 50_000
    assert json.loads(gc("--json"))["folders"] == []


def test_while_a_night_runs_it_is_refused_in_a_line_and_nothing_goes(world: World) -> None:
    with alone(world.repo, "night night"):
        done = nightshift(world.repo.root, "gc", "--yes", check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("nightshift: one at a time: night night, process")
    assert len(done.stderr.splitlines()) == 1
    assert (world.runs, world.refs) == (ALL_RUNS, ALL_REFS)


def test_a_night_called_bench_keeps_its_journal_and_what_has_no_run_s_name_stays(world: World) -> None:
    home = world.repo.common / "nightshift"
    (home / "bench" / "autoresearch.jsonl").write_text(encode(header(name="bench")) + "\n")
    (world.night / "runs" / "mine").mkdir()
    (world.night / "runs" / "mine" / "notes.txt").write_text("a person's own\n")
    before = world.kept
    gc("--yes")
    assert world.kept == before


def test_no_link_is_followed(world: World, tmp_path: Path) -> None:
    elsewhere = run_folder(tmp_path / "elsewhere", 7)
    (world.night / "runs" / f"{7:012x}-short-smoke-7").symlink_to(elsewhere)
    other = world.night.parent / "other"
    other.mkdir()
    (other / "runs").symlink_to(elsewhere.parent)
    assert "could not be removed" not in gc("--yes")
    assert (elsewhere / "out" / "artifact.bin").exists()


def test_a_ref_that_moved_since_it_was_looked_at_stays_with_all_others(world: World) -> None:
    found = look(world.repo, clock.now_ms())
    world.repo.point(f"{CANDIDATES}/night-0002", world.commit(99))
    with pytest.raises(MachineError, match="night-0002"):
        remove(world.repo, found)
    assert world.refs == ALL_REFS


def test_a_ref_that_is_another_s_name_does_not_take_that_one_with_it(world: World) -> None:
    root, name = world.repo.root, f"{CANDIDATES}/night-0002"
    git(root, "update-ref", "refs/heads/mine", world.repo.line("rev-parse", name))
    git(root, "symbolic-ref", name, "refs/heads/mine")
    gc("--yes")
    assert git(root, "rev-parse", "--verify", "refs/heads/mine")
    assert "night-0002" not in world.refs


def test_what_could_not_be_removed_is_not_said_to_be_gone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = world.night / "runs" / f"{1:012x}-short-smoke-1"
    usual = files.remove
    monkeypatch.setattr(files, "remove", lambda path: None if path == stuck else usual(path))
    assert "1 runs could not be removed" in gc("--yes")
    assert world.runs == {f"night/runs/{stuck.name}"}
    went = json.loads(gc("--yes", "--json"))
    assert went["folders"] == [{"folder": str(stuck.parent), "runs": 0, "bytes": 0}]


def test_a_repository_without_a_night_has_nothing_to_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(make_repo(tmp_path / "person", tmp_path / "data"))
    assert gc() == "nothing may go\n"
    assert not (tmp_path / "person" / ".git" / "nightshift").exists()


def judged(one: Experiment | None, *, ref: Ref, before: int) -> Garbage:
    journals: dict[str, Journal | None] = {"night": journal(*([one] if one else []))}
    return plan([], [ref], journals, before)


def test_a_candidate_is_old_from_the_moment_on_that_is_named() -> None:
    ref, one = Ref("night-0002", sha(2)), dropped(2, timestamp=1000)
    assert judged(one, ref=ref, before=1001).refs == (ref,)
    assert judged(one, ref=ref, before=1000).refs == ()


def test_a_night_whose_name_is_the_start_of_another_s_is_another() -> None:
    journals: dict[str, Journal | None] = {"night": journal(dropped(2, timestamp=1000))}
    ref = Ref("night-0002-0002", sha(2))
    assert ref.night == "night-0002"
    assert plan([], [ref], journals, 2000).stay == ((ref, "there is no journal of it here"),)


def test_folders_without_a_run_are_not_spoken_of() -> None:
    assert not plan([Runs(Path("runs"), (), 0)], [], {}, 0)
