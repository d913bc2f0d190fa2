"""Workspaces: a fresh one has all that a night needs, an adopted one is what it was, and each error is one line."""

import shutil
import tomllib
from pathlib import Path

import pytest

from agent import git as plumbing
from agent.ideas import next_ideas, parse_ideas
from agent.proposal import apply
from agent.researchers import as_proposal
from agent.settings import read_script, read_settings
from agent.workspace import HERE
from bench.errors import UsageError
from tests.agent.test_night import nightshift
from tests.agent.test_script_night import make_repo
from tests.fakes import git

SCRIPT = ("--script", "python train.py")


def complaint(at: Path, *words: str) -> str:
    done = nightshift(at, *words, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr.strip()


def snapshot(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_workspace_is_a_repository_with_the_shipped_trainer_committed(tmp_path: Path) -> None:
    said = nightshift(tmp_path, "init", "new/place").stdout
    assert "cd new/place && nightshift data prepare && nightshift run" in said
    place = tmp_path / "new" / "place"
    assert git(place, "status", "--porcelain") == ""
    assert git(place, "rev-list", "--count", "HEAD") == "1"
    repo, shipped = plumbing.here(place), plumbing.here()
    assert repo.trainer("HEAD") == {
        path: (shipped.root / path).read_bytes() for path in shipped.trainer("HEAD") if (shipped.root / path).exists()
    }
    assert (place / "AGENTS.md").read_bytes() == (shipped.root / "AGENTS.md").read_bytes()
    (place / "data").mkdir()
    (place / "data" / "manifest.json").write_text("{}")
    assert git(place, "status", "--porcelain") == ""


def test_its_starter_ideas_fit_the_trainer(tmp_path: Path) -> None:
    ideas, problems = parse_ideas((HERE / "first_ideas.md").read_text())
    assert not problems
    champion = {
        path.relative_to(HERE.parent).as_posix(): path.read_bytes() for path in (HERE.parent / "trainer").glob("*.py")
    }
    assert len(next_ideas(ideas, ())) == 3
    for idea in ideas:
        assert apply(as_proposal(idea), champion, "tiny") != champion
    assert parse_ideas((HERE / "script_ideas.md").read_text()) == ([], [])


def test_a_folder_that_holds_anything_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("my own")
    before = snapshot(tmp_path)
    assert "not empty, and nothing is overwritten" in complaint(tmp_path, "init", ".")
    assert "not empty" in complaint(tmp_path, "init", "mine.txt")
    assert snapshot(tmp_path) == before


def test_a_script_is_adopted_by_two_files_and_nothing_else_changes(tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "repo", "", "--seed-env", "SEED")
    for name in ("nightshift.toml", "kb/ideas.md"):
        (repo / name).unlink()
    before, head = snapshot(repo), git(repo, "rev-parse", "HEAD")
    words = ("--set", 'NAME=a "quoted" \\ value', "--reads", "~/data", "--metric", r"score (\d+\.\d+)")
    nightshift(repo, "init", ".", *SCRIPT, *words, "--metric-name", "score", "--higher")
    added = snapshot(repo).keys() - before.keys()
    assert {path.relative_to(repo).as_posix() for path in added} == {"nightshift.toml", "kb/ideas.md"}
    assert {path: text for path, text in snapshot(repo).items() if path in before} == before
    assert git(repo, "rev-parse", "HEAD") == head
    script = read_script(repo)
    assert script is not None
    assert (script.command, script.files, script.direction) == ("python train.py", ("train.py",), "higher")
    assert script.environment == {"NAME": 'a "quoted" \\ value'}
    assert script.pattern.search("score 0.25").group(1) == "0.25"  # type: ignore[union-attr]


def test_a_queue_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "repo", "# mine\n")
    (repo / "nightshift.toml").unlink()
    assert nightshift(repo, "init", ".", *SCRIPT).stdout.count("wrote") == 1
    assert (repo / "kb" / "ideas.md").read_text() == "# mine\n"


def test_each_mistake_is_one_line_and_writes_nothing(tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "repo", "")
    assert "is there already" in complaint(repo, "init", ".", *SCRIPT)
    (repo / "nightshift.toml").unlink()
    before = snapshot(repo)
    (repo / "sub").mkdir()
    assert "is not the repository's top" in complaint(repo, "init", "sub", *SCRIPT)
    assert "no file that is committed stands in" in complaint(repo, "init", ".", "--script", "make train")
    assert "No closing quotation" in complaint(repo, "init", ".", "--script", "python 'train.py")
    assert "has no other.py" in complaint(repo, "init", ".", *SCRIPT, "--file", "other.py")
    assert "with one group" in complaint(repo, "init", ".", *SCRIPT, "--metric", "no group")
    assert "no regular expression" in complaint(repo, "init", ".", *SCRIPT, "--metric", "(")
    assert "--set takes VARIABLE=VALUE" in complaint(repo, "init", ".", *SCRIPT, "--set", "X")
    assert "no path below" in complaint(repo, "init", ".", *SCRIPT, "--file", "../x")
    assert snapshot(repo) == before
    assert "there is no folder" in complaint(tmp_path, "init", "nowhere", *SCRIPT)
    shutil.rmtree(repo / ".git")
    assert "git init && git add --all && git commit" in complaint(repo, "init", ".", *SCRIPT)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ('files = ["train.py"]', "script.command: Field required"),
        ('command = "x"\nfiles = []', "script.files: Tuple should have at least 1 item"),
        ('command = "x"\nfiles = ["a"]\ndirection = "up"', "script.direction: Input should be 'lower' or 'higher'"),
        (
            'command = "x"\nfiles = ["a"]\nprogress = "step (.*)"',
            "script.progress: 'step (.*)' has no group named step",
        ),
        ('command = "x"\nfiles = ["a"]\nseed_env = "A B"', "script.seed_env: 'A B' is no name of a variable"),
        ('command = "x"\nfiles = ["a"]\nspeed = 1', "script.speed: Extra inputs are not permitted"),
    ],
)
def test_settings_that_do_not_read_say_where(tmp_path: Path, table: str, words: str) -> None:
    (tmp_path / "nightshift.toml").write_text(f"[script]\n{table}\n")
    with pytest.raises(UsageError, match=r"^nightshift\.toml, ") as error:
        read_script(tmp_path)
    assert words in str(error.value)


def test_one_file_settles_both_the_script_and_claude(tmp_path: Path) -> None:
    text = 'model = "claude-haiku-5-5"\n[script]\ncommand = "python train.py"\nfiles = ["train.py"]\n'
    (tmp_path / "nightshift.toml").write_text(text)
    assert tomllib.loads(text)["model"] == read_settings(tmp_path).model
    script = read_script(tmp_path)
    assert script is not None
    assert script.files == ("train.py",)
