"""Whole nights of the real program on the fast fake trainer: real processes, real git, a person's own repository."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from agent.journal import Journal, open_journal
from bench.data import Dataset
from tests.fakes import git, make_repo

IDEAS = """# The queue

## Better quality

The measured distribution is worth more than the uniform one.

```knobs
QUALITY = 0.9
```

## Worse quality

```knobs
QUALITY = 0.2
```

## Nothing at all

## Write NaN

```knobs
BEHAVIOUR = "nan"
```

## A knob that does not exist

```knobs
QALITY = 0.5
```

## A diff that does not apply

```diff
--- a/trainer/train.py
+++ b/trainer/train.py
@@ -1,1 +1,1 @@
-there is no such line
+at all
```

## No effect

```knobs
NUDGE = 0.5
```

## Quality again

after: worse quality

```knobs
QUALITY = 0.9
```

## Worse quality by another name

```knobs
QUALITY = 0.20
```

## Only a comment

```diff
--- a/trainer/model.py
+++ b/trainer/model.py
@@ -1,1 +1,2 @@
 from collections.abc import Callable
+# nothing new
```
"""
EXPECTED = [
    ("baseline", "keep", "baseline"),
    ("Better quality", "keep", "improved"),
    ("Worse quality", "discard", "worse_at_breadth"),
    ("Write NaN", "crash", "not_finite"),
    ("A knob that does not exist", "checks_failed", "unknown_knob"),
    ("A diff that does not apply", "checks_failed", "no_match"),
    ("No effect", "discard", "no_effect"),
    # With two slots what waits for a verdict lets others begin before it.
    ("Quality again", "checks_failed", "no_change"),
    ("Worse quality by another name", "checks_failed", "already_tried"),
    ("Only a comment", "checks_failed", "no_change"),
]


def nightshift(repo: Path, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "agent.cli", *words]
    done = subprocess.run(
        command, cwd=repo, capture_output=True, text=True, check=False, env=environment(), timeout=240
    )
    assert not check or done.returncode == 0, done.stderr + done.stdout
    return done


def environment() -> dict[str, str]:
    root = str(Path(__file__).parents[2])
    return {**os.environ, "PYTHONPATH": root, "COLUMNS": "160", "PYTHONWARNINGS": "error"}


def run_night(repo: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return nightshift(repo, "run", "--short", "--researcher", "queue", "--name", "n", "--slots", "2", *words)


def journal_of(repo: Path) -> Journal:
    return open_journal(repo / ".git" / "nightshift" / "n" / "autoresearch.jsonl")


def verdicts(repo: Path) -> list[tuple[str, str, str]]:
    return [(one.description, one.status, one.reason) for one in journal_of(repo).experiments]


def a_persons_own(repo: Path) -> dict[str, object]:
    """All that a night must leave as it was."""
    files = {
        str(path.relative_to(repo)): path.read_bytes()
        for path in sorted(repo.rglob("*"))
        if path.is_file() and ".git" not in path.relative_to(repo).parts and "data" not in path.relative_to(repo).parts
    }
    return {
        "files": files,
        "index": (repo / ".git" / "index").read_bytes(),
        "head": (repo / ".git" / "HEAD").read_text(),
        "status": git(repo, "--no-optional-locks", "status", "--porcelain"),
        "main": git(repo, "rev-parse", "main"),
    }


@pytest.fixture(scope="module")
def night(small_data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, dict[str, object]]:
    repo = make_repo(tmp_path_factory.mktemp("person"), small_data.root, IDEAS)
    (repo / "trainer" / "train.py").write_text((repo / "trainer" / "train.py").read_text() + "# half an idea\n")
    before = a_persons_own(repo)
    said = run_night(repo).stdout
    return repo, said, before


Night = tuple[Path, str, dict[str, object]]


def test_every_idea_gets_its_verdict_in_order(night: Night) -> None:
    assert verdicts(night[0]) == EXPECTED


def test_the_person_s_files_index_branch_and_status_are_untouched(night: Night) -> None:
    repo, _, before = night
    assert a_persons_own(repo) == before


def test_an_uncommitted_trainer_and_a_malformed_idea_are_said_at_once(night: Night) -> None:
    _, said, _ = night
    assert "uncommitted changes in trainer/ are not part of this night: trainer/train.py" in said
    assert f"kb/ideas.md, line {IDEAS.splitlines().index('## Nothing at all') + 1}" in said


def test_the_branch_has_one_commit_a_keep_with_its_trailers(night: Night) -> None:
    repo, _, _ = night
    assert git(repo, "rev-list", "--count", "main..nightshift/n") == "1"
    assert git(repo, "diff", "--name-only", "main", "nightshift/n") == "trainer/settings.py"
    body = git(repo, "log", "-1", "--format=%(trailers:only,unfold)", "nightshift/n")
    words = dict(line.split(": ", 1) for line in body.splitlines())
    assert words["Nightshift-Experiment"] == "n-0002"
    assert words["Nightshift-Idea"] == "better-quality"
    assert float(words["Val-Bpb-After"]) < float(words["Val-Bpb-Before"])
    kept = journal_of(repo).experiments[1]
    assert kept.confirm is not None
    assert len(kept.confirm.pairs) >= 2
    assert kept.sha == git(repo, "rev-parse", "nightshift/n")


def test_what_was_discarded_is_still_reachable(night: Night) -> None:
    repo, _, _ = night
    discarded = journal_of(repo).experiments[2]
    assert git(repo, "rev-parse", f"refs/nightshift/candidates/{discarded.id}") == discarded.sha


def test_numbers_of_short_profiles_say_so(night: Night) -> None:
    repo, said, _ = night
    assert "short-confirm" in said
    assert "short-confirm" in nightshift(repo, "log").stdout
    assert "short-confirm" in nightshift(repo, "show", "2").stdout
    assert "short-confirm" in git(repo, "log", "-1", "nightshift/n")


def test_running_again_changes_nothing_that_was_decided(night: Night) -> None:
    repo, _, _ = night
    before = (repo / ".git" / "nightshift" / "n" / "autoresearch.jsonl").read_bytes()
    run_night(repo)
    assert (repo / ".git" / "nightshift" / "n" / "autoresearch.jsonl").read_bytes() == before


def test_a_kept_number_comes_back_on_replay(night: Night) -> None:
    repo, _, _ = night
    said = json.loads(nightshift(repo, "replay", "2", "--json").stdout)
    assert said["came_back"]
    assert all(row["recorded"] == row["replayed"] for row in said["runs"])


def test_a_diff_is_printed_as_git_takes_it(night: Night) -> None:
    repo, _, _ = night
    patch = nightshift(repo, "diff", "n-0002").stdout
    assert "+QUALITY = 0.9" in patch
    assert json.loads(nightshift(repo, "diff", "n-0002", "--json").stdout)["patch"] == patch
    subprocess.run(["git", "apply", "--check", "-"], cwd=repo, input=patch, text=True, check=True)


def test_an_unknown_experiment_is_one_line(night: Night) -> None:
    done = nightshift(night[0], "show", "99", check=False)
    assert done.returncode != 0
    assert done.stderr.strip() == "nightshift: no experiment '99'; there are n-0001 to n-0010"


def begin(repo: Path) -> "subprocess.Popen[str]":
    """A night under way, some of whose experiments are decided."""
    words = [sys.executable, "-m", "agent.cli", "run", "--short", "--researcher", "queue", "--name", "n"]
    words += ["--slots", "2"]
    running = subprocess.Popen(words, cwd=repo, env=environment(), stdout=subprocess.PIPE, text=True)
    path = repo / ".git" / "nightshift" / "n" / "autoresearch.jsonl"
    while not path.exists() or path.read_text().count('"run":') < 2:
        assert running.poll() is None
        time.sleep(0.05)
    time.sleep(0.3)
    return running


def runs_of(repo: Path) -> list[psutil.Process]:
    """Every living process of a run of this repository's."""
    return [one for one in psutil.process_iter() if any(str(repo) in word for word in _words(one))]


def _words(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def assert_whole(repo: Path) -> None:
    """Every experiment decided once, and nothing measured twice."""
    assert verdicts(repo) == EXPECTED
    journal = journal_of(repo)
    assert journal.path.read_text().count('"type":"measured"') == len(journal.measured)
    keeps = [one.id for one in journal.experiments if one.status == "keep" and one.source != "baseline"]
    assert list(journal.regained) == keeps
    assert journal.path.read_text().count('"type":"regained"') == len(keeps)
    assert git(repo, "rev-parse", "nightshift/n") == journal.champion


@pytest.mark.long
def test_interrupting_loses_nothing_and_running_again_goes_on(small_data: Dataset, tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "person", small_data.root, IDEAS)
    running = begin(repo)
    running.send_signal(signal.SIGINT)
    said, _ = running.communicate(timeout=20)
    assert running.returncode == 0
    assert "nightshift run --name n --short" in said
    assert runs_of(repo) == []
    run_night(repo)
    assert_whole(repo)


@pytest.mark.long
def test_a_night_that_is_killed_leaves_no_process_and_goes_on(small_data: Dataset, tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "person", small_data.root, IDEAS)
    running = begin(repo)
    running.kill()
    running.communicate(timeout=20)
    psutil.wait_procs(runs_of(repo), timeout=5)
    assert runs_of(repo) == []
    run_night(repo)
    assert_whole(repo)


def test_while_a_night_runs_a_second_one_and_new_data_are_refused(small_data: Dataset, tmp_path: Path) -> None:
    from agent.git import here
    from agent.lock import alone

    repo = make_repo(tmp_path / "person", small_data.root, IDEAS)
    with alone(here(repo), "night n"):
        refused = [nightshift(repo, *words, check=False) for words in (("run", "--short"), ("data", "prepare"))]
    for done in refused:
        assert done.returncode != 0
        assert "one at a time: night n, process" in done.stderr


def test_a_kept_change_can_be_taken_out_again_and_only_once(small_data: Dataset, tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "person", small_data.root, IDEAS)
    run_night(repo, "--max-experiments", "1")
    nightshift(repo, "revert", "2")
    assert git(repo, "diff", "main", "nightshift/n") == ""
    assert journal_of(repo).champion == git(repo, "rev-parse", "nightshift/n")
    assert "reverted already" in nightshift(repo, "revert", "2", check=False).stderr
    run_night(repo, "--max-experiments", "2")
    assert verdicts(repo)[-1] == ("Worse quality", "discard", "worse_at_breadth")


def test_a_kept_change_under_a_later_one_is_not_taken_out_alone(small_data: Dataset, tmp_path: Path) -> None:
    steps = "".join(f"## Step to {to}\n\n```knobs\nQUALITY = {to}\n```\n\n" for to in (0.7, 0.9))
    repo = make_repo(tmp_path / "person", small_data.root, steps)
    run_night(repo)
    before = journal_of(repo).champion
    refused = nightshift(repo, "revert", "2", check=False)
    assert refused.returncode != 0
    assert "n-0002 cannot be taken out alone" in refused.stderr
    assert "(n-0003)" in refused.stderr
    assert journal_of(repo).champion == before
    nightshift(repo, "revert", "3")
    nightshift(repo, "revert", "2")
    assert git(repo, "diff", "main", "nightshift/n") == ""


def test_without_a_queue_the_knob_search_goes_on(small_data: Dataset, tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "person", small_data.root)
    nightshift(repo, "run", "--short", "--name", "n", "--max-experiments", "3")
    found = journal_of(repo).experiments
    assert [one.source for one in found] == ["baseline", "search", "search", "search"]
    assert all(one.knobs for one in found[1:])


def test_finish_writes_the_history_once(night: Night, tmp_path: Path) -> None:
    repo = shutil.copytree(night[0], tmp_path / "person", symlinks=True)
    nightshift(repo, "finish")
    lines = [json.loads(line) for line in (repo / "autoresearch.jsonl").read_text().splitlines()]
    told = [line.get("type", line.get("run")) for line in lines]
    under_way = 4  # with two slots: what was begun before the first of them was kept is decided first
    first = range(1, 2 + under_way)
    assert told == ["config", *first, "regained", *range(len(first) + 1, len(EXPECTED) + 1)]
    assert "already" in nightshift(repo, "finish").stdout
    assert len((repo / "autoresearch.jsonl").read_text().splitlines()) == len(lines)


def test_finish_alone_writes_what_happened_into_the_notes_that_were_cited(small_data: Dataset, tmp_path: Path) -> None:
    idea = "## Better quality\n\n```knobs\nQUALITY = 0.9\n```\n\npaper: 2505.08823\n"
    repo = make_repo(tmp_path / "person", small_data.root, idea)
    note = repo / "kb" / "papers" / "2505.08823-quality.md"
    note.parent.mkdir()
    note.write_text("---\ntitle: Quality\narxiv: '2505.08823'\n---\n\n## What to change in trainer/\n\nMore.\n")
    run_night(repo)
    assert "What happened here" not in note.read_text()
    assert (
        "[n-0002](../../autoresearch.jsonl) Better quality: keep" in nightshift(repo, "kb", "show", "2505.08823").stdout
    )
    said = nightshift(repo, "finish").stdout
    assert "git add autoresearch.jsonl kb/chronology.md kb/papers/2505.08823-quality.md" in said
    assert note.read_text() == nightshift(repo, "kb", "show", "2505.08823").stdout
    assert "`n-0002` Better quality: keep" in (repo / "kb" / "chronology.md").read_text()
    assert nightshift(repo, "kb", "check", check=False).stdout == "1 notes, 0 problems\n"
    assert json.loads(nightshift(repo, "kb", "ideas", "--json").stdout)["ideas"][0]["state"] == "tried"


def test_no_data_prepared_is_one_line(small_data: Dataset, tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "person", small_data.root, IDEAS)
    (repo / "data").unlink()
    done = nightshift(repo, "run", check=False)
    assert done.returncode != 0
    assert len(done.stderr.strip().splitlines()) == 1
    assert "nightshift data prepare" in done.stderr


def test_a_baseline_that_does_not_run_ends_the_night_with_one_line(small_data: Dataset, tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "person", small_data.root, IDEAS)
    (repo / "trainer" / "train.py").write_text("raise RuntimeError('broken at home')\n")
    git(repo, "commit", "--all", "--message=break it")
    done = run_night_unchecked(repo)
    assert done.returncode != 0
    assert "broken at home" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def run_night_unchecked(repo: Path) -> subprocess.CompletedProcess[str]:
    return nightshift(repo, "run", "--short", "--name", "n", check=False)
