"""Whole nights of the real program on a script that a person brings: real processes, and every view of its word."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from agent.yardstick import UNJUDGED
from tests.agent.test_night import journal_of, nightshift, verdicts
from tests.fakes import HERE, git

LABEL = UNJUDGED.partition(":")[0]


def idea(title: str, old: str, new: str, path: str = "train.py") -> str:
    diff = f"--- a/{path}\n+++ b/{path}\n@@ -1,1 +1,1 @@\n-{old}\n+{new}"
    return f"## {title}\n\n```diff\n{diff}\n```\n\n"


def goes_wrong(title: str, how: str) -> str:
    return idea(title, 'BEHAVIOUR = "well"', f'BEHAVIOUR = "{how}"')


SMOOTHER = idea("Less smoothing", "SMOOTHING = 20.0", "SMOOTHING = 2.0")
IDEAS = "".join(
    (
        "# The queue\n\n",
        SMOOTHER,
        idea("More smoothing", "SMOOTHING = 2.0", "SMOOTHING = 90.0"),
        goes_wrong("Crash", "crash"),
        goes_wrong("Sleep", "sleep"),
        goes_wrong("Say nothing", "mute"),
        goes_wrong("Say it twice", "twice"),
        goes_wrong("Not a number", "nan"),
        idea("Easier text", "LETTERS = 16", "LETTERS = 2", path="text.py"),
        "## A knob\n\n```knobs\nSMOOTHING = 1.0\n```\n",
    )
)
EXPECTED = [
    ("baseline", "keep", "baseline"),
    ("Less smoothing", "keep", "improved"),
    ("More smoothing", "discard", "worse_at_breadth"),
    ("Crash", "crash", "exit_code"),
    ("Sleep", "crash", "over_time"),
    ("Say nothing", "crash", "no_metric"),
    ("Say it twice", "discard", "no_effect"),
    ("Not a number", "crash", "not_finite"),
    ("Easier text", "checks_failed", "outside_files"),
    ("A knob", "checks_failed", "unknown_knob"),
]


def make_repo(folder: Path, ideas: str, *words: str) -> Path:
    """A person's repository with a script in it, adopted with those words of `init`."""
    shutil.copytree(HERE / "script_trainer", folder, ignore=shutil.ignore_patterns("__pycache__"))
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message=the start")
    nightshift(folder, "init", ".", "--script", f"{sys.executable} train.py", "--timeout-minutes", "0.08", *words)
    (folder / "kb" / "ideas.md").write_text(ideas)
    return folder


def run_night(repo: Path, *words: str, check: bool = True) -> str:
    return nightshift(repo, "run", "--name", "n", *words, check=check).stdout


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    repo = make_repo(tmp_path_factory.mktemp("person") / "repo", IDEAS, "--seed-env", "SEED")
    return repo, run_night(repo)


def test_every_way_a_script_can_end_has_its_verdict(night: tuple[Path, str]) -> None:
    assert verdicts(night[0]) == EXPECTED


def test_a_keep_moves_the_branch_by_the_script_alone(night: tuple[Path, str]) -> None:
    repo, _ = night
    assert git(repo, "diff", "--name-only", "main", "nightshift/n") == "train.py"
    assert git(repo, "status", "--porcelain").split() == ["??", "kb/", "??", "nightshift.toml"]
    trailers = git(repo, "log", "-1", "--format=%(trailers:only,unfold)", "nightshift/n")
    assert "Unjudged-Before: val_bpb " in trailers


def test_every_view_calls_its_numbers_unjudged(night: tuple[Path, str]) -> None:
    repo, said = night
    header = json.loads((repo / ".git/nightshift/n/autoresearch.jsonl").read_text().splitlines()[0])
    assert header["metricUnit"].strip() == LABEL
    assert f"metric   val_bpb, lower is better; {UNJUDGED}" in said
    lines = [line for line in said.splitlines() if " · script-" in line and " · seed " in line]
    assert lines
    assert all(f"({LABEL})" in line for line in lines), "the line of a run under way"
    verdict = next(line for line in said.splitlines() if "KEEP Less smoothing" in line)
    assert f"thousandths of val_bpb ({LABEL})" in verdict
    for words in (["log"], ["show", "2"], ["watch"], ["report", "--markdown"], ["bench"]):
        assert UNJUDGED in nightshift(repo, *words).stdout.replace("\n", " "), words
    for words in (["log"], ["show", "2"], ["watch"], ["report"], ["bench"]):
        assert json.loads(nightshift(repo, *words, "--json").stdout)["note"] == UNJUDGED, words
    assert f"[script-confirm, {LABEL}]" in nightshift(repo, "export", "--tsv").stdout


def test_the_night_goes_on_where_it_was_and_what_it_knows_is_its_own(night: tuple[Path, str]) -> None:
    repo, _ = night
    path = repo / ".git/nightshift/n/autoresearch.jsonl"
    before = path.read_bytes()
    run_night(repo)
    assert path.read_bytes() == before


def test_what_needs_a_judge_is_refused_in_one_line(night: tuple[Path, str]) -> None:
    repo, _ = night
    for words in (["audit"], ["transfer"], ["calibrate"], ["replay", "2"], ["propose"], ["kb", "ideas"], ["proxy"]):
        done = nightshift(repo, *words, check=False)
        assert done.returncode == 1
        assert "trainer/ alone" in done.stderr.splitlines()[-1], words
    for option in (["--short"], ["--researcher", "search"], ["--researcher", "claude"]):
        assert "works on trainer/ alone" in nightshift(repo, "run", *option, check=False).stderr
    assert nightshift(repo, "doctor", check=False).returncode == 0


def test_without_a_seed_repeats_stand_in_and_higher_can_be_better(tmp_path: Path) -> None:
    ideas = idea("Less smoothing", "SMOOTHING = 20.0", "SMOOTHING = 2.0") + idea(
        "A little less", "SMOOTHING = 2.0", "SMOOTHING = 2.01"
    )
    repo = make_repo(tmp_path / "repo", ideas, "--metric", "pi", "--metric-name", "score", "--higher")
    script = repo / "train.py"
    script.write_text(
        script.read_text()
        .replace('FORMAT = "val_bpb:          {:.6f}"', 'FORMAT = "METRIC score={:.6f}"')
        .replace("FORMAT.format(bits)", "FORMAT.format(10 - bits)")
    )
    git(repo, "commit", "--quiet", "--all", "--message=a score")
    said = run_night(repo)
    first, kept, even = journal_of(repo).experiments
    assert [one.reason for one in (first, kept)] == ["baseline", "improved"]
    assert even.status == "discard"
    assert 0 < first.metric < kept.metric
    assert kept.confirm is not None
    assert kept.confirm.mean < 0
    assert f"KEEP Less smoothing · +{-1000 * kept.confirm.mean:.2f} thousandths of score (unjudged)" in said
    told = nightshift(repo, "show", "2").stdout
    assert f"{-kept.confirm.pairs[0].candidate:.6f}" in told
    assert "above zero is better" in nightshift(repo, "log").stdout


def test_a_script_that_always_says_the_same_opens_no_night(tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "repo", SMOOTHER)
    script = repo / "train.py"
    script.write_text(script.read_text().replace('int(os.environ["SEED"]) if "SEED" in os.environ else None', "7"))
    git(repo, "commit", "--quiet", "--all", "--message=one seed")
    done = nightshift(repo, "run", "--name", "n", check=False)
    assert done.returncode == 1
    assert "every time, so its noise cannot be seen" in done.stderr
    assert not journal_of(repo).experiments


def test_other_settings_or_other_files_around_it_begin_a_segment(tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "repo", "# empty\n", "--seed-env", "SEED")
    run_night(repo)
    settings = repo / "nightshift.toml"
    settings.write_text(
        settings.read_text().replace('seed_env = "SEED"', 'seed_env = "SEED"\nenvironment = { X = "1" }')
    )
    assert "the script's settings changed since" in run_night(repo)
    assert [one.reason for one in journal_of(repo).experiments] == ["baseline", "baseline"]
