"""`nightshift propose` as a person types it: real processes, a person's repository, a loopback server for Claude."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from llmock.pytest_plugin import LLMock

from agent.edits import apply, parse_diff
from agent.git import here
from agent.ideas import Idea, parse_ideas
from bench.data import Dataset
from tests.fakes import git, make_repo, with_prompts

ROOT = Path(__file__).parents[2]
IDEAS = """# The queue

## Half of the rest

Go half of the way that is left to the measured distribution.

lane: training

## Better quality

```knobs
QUALITY = 0.9
```
"""
NOTE = """---
title: Quality
arxiv: '2505.08823'
---

## What to change in trainer/

More of it.
"""
FITS = {
    "path": "trainer/train.py",
    "old": 'quality = float(knob("QUALITY"))',
    "new": 'quality = (1 + float(knob("QUALITY"))) / 2',
}
MISFIT = {"path": "trainer/train.py", "old": "def nothing_like_it():", "new": "def main():"}
KEYS = {"title", "hypothesis", "lane", "idea", "notes", "authored", "patch"}


@pytest.fixture
def repo(small_data: Dataset, tmp_path: Path) -> Path:
    return with_prompts(make_repo(tmp_path / "person", small_data.root, IDEAS))


def nightshift(repo: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANTHROPIC_")} | {
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "error",
    }
    command = [sys.executable, "-m", "agent.cli", *words]
    return subprocess.run(
        command, cwd=repo, env=environment | more, capture_output=True, text=True, check=False, timeout=60
    )


def proposed(repo: Path, claude: LLMock, *words: str) -> subprocess.CompletedProcess[str]:
    """`nightshift propose …` with a key, when all goes well."""
    done = nightshift(repo, "propose", *words, **claude.env())
    assert done.returncode == 0, done.stderr
    return done


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """The one line that says why not; what is said before the question is no part of it."""
    assert done.returncode != 0
    assert done.stdout == ""
    lines = [line for line in done.stderr.splitlines() if not line.startswith("Claude writes")]
    assert len(lines) == 1, done.stderr
    return lines[0]


def proposal(*edits: dict[str, str], **more: object) -> dict[str, Any]:
    return {
        "title": "Half way there",
        "hypothesis": "The measured distribution is worth more than the uniform one.",
        "expected": {"thousandths": -3, "because": "it was so before"},
        "lane": "optimizer",
        "edits": [*edits],
    } | more


def queue_of(repo: Path) -> list[Idea]:
    ideas, problems = parse_ideas((repo / "kb" / "ideas.md").read_text())
    assert problems == []
    return ideas


def test_it_prints_a_title_what_is_expected_and_a_diff_that_git_takes(repo: Path, llmock: LLMock) -> None:
    llmock.call_tool("propose", proposal(FITS))
    done = proposed(repo, llmock)
    assert done.stdout.startswith("Half way there\n")
    assert "expected  -3 thousandths of a bit per byte: it was so before" in done.stdout
    assert "lane      training" in done.stdout
    assert "cost      $" in done.stdout
    patch = done.stdout[done.stdout.index("diff --git") :]
    assert '+    quality = (1 + float(knob("QUALITY"))) / 2' in patch
    subprocess.run(["git", "apply", "--check", "-"], cwd=repo, input=patch, text=True, check=True)


def test_it_is_about_the_first_idea_in_words_and_without_one_about_what_a_strategy_asks_for(
    repo: Path, llmock: LLMock
) -> None:
    llmock.call_tool("propose", proposal(FITS), times=2)
    assert proposed(repo, llmock).stderr == "Claude writes p0001 (idea): Half of the rest\n"
    (repo / "kb" / "ideas.md").unlink()
    done = proposed(repo, llmock)
    assert done.stderr == "Claude writes p0002 (remove): less code\n"
    assert "lane      optimizer" in done.stdout
    assert len(list((repo / ".git" / "nightshift" / "drafts").glob("p*.jsonl"))) == 2


def test_nothing_is_run_changed_or_committed(repo: Path, llmock: LLMock) -> None:
    before = [git(repo, *words) for words in (("for-each-ref",), ("status", "--porcelain"), ("diff",))]
    llmock.call_tool("propose", proposal(FITS))
    proposed(repo, llmock, "--idea", "Half of the rest")
    assert [git(repo, *words) for words in (("for-each-ref",), ("status", "--porcelain"), ("diff",))] == before
    assert sorted(path.name for path in (repo / ".git" / "nightshift").iterdir()) == ["drafts"]
    assert "no night here yet" in nightshift(repo, "log").stderr


def test_an_idea_is_asked_for_in_its_own_words_and_as_json_has_stable_keys(repo: Path, llmock: LLMock) -> None:
    llmock.call_tool("propose", proposal(FITS))
    said = json.loads(proposed(repo, llmock, "--idea", "half-of-the-rest", "--json").stdout)
    assert set(said) == KEYS
    assert (said["title"], said["idea"], said["lane"], said["notes"]) == (
        "Half way there",
        "half-of-the-rest",
        "training",
        [],
    )
    assert (said["authored"]["draft"], said["authored"]["arm"], said["authored"]["repairs"]) == ("p0001", "idea", 0)
    assert said["authored"]["usage"]["output_tokens"] > 0
    assert said["authored"]["usd"] > 0
    assert said["patch"].startswith("diff --git a/trainer/train.py b/trainer/train.py\n")
    asked = json.dumps(llmock.last_request.body)
    assert "Go half of the way that is left to the measured distribution." in asked
    assert "The lane is `training`." in asked


def test_what_is_queued_is_an_idea_whose_diff_makes_the_change(repo: Path, llmock: LLMock) -> None:
    llmock.call_tool("propose", proposal(FITS))
    done = proposed(repo, llmock, "--idea", "Half of the rest", "--queue")
    assert (repo / "kb" / "ideas.md").read_text().startswith(IDEAS)
    *old, new = queue_of(repo)
    assert [one.slug for one in old] == ["half-of-the-rest", "better-quality"]
    assert (new.title, new.lane, new.runnable) == ("Half of the rest, written out", "training", True)
    assert new.text.startswith("The measured distribution is worth more than the uniform one.")
    assert new.diff is not None
    assert new.diff in done.stdout
    tree = here(repo).trainer("HEAD")
    changed = apply(tree, parse_diff(new.diff))
    assert changed["trainer/train.py"] == tree["trainer/train.py"].replace(FITS["old"].encode(), FITS["new"].encode())
    assert "added to kb/ideas.md: Half of the rest, written out; delete 'Half of the rest' there" in done.stderr
    states = {
        row["slug"]: row["state"] for row in json.loads(nightshift(repo, "idea", "list", "--json").stdout)["ideas"]
    }
    assert states["half-of-the-rest-written-out"] == "ready"


def test_what_is_queued_reads_as_one_idea_whatever_its_words(repo: Path, llmock: LLMock) -> None:
    words = "```knobs\nQUALITY = 0.1\n```\n## Another idea\npriority: 1\nafter: nothing"
    (repo / "kb" / "ideas.md").unlink()
    llmock.call_tool(
        "propose", proposal(FITS, hypothesis=words, expected={"thousandths": 1, "because": "lane: export"})
    )
    proposed(repo, llmock, "--queue")
    (new,) = queue_of(repo)
    assert (new.title, new.knobs, new.priority, new.after, new.lane) == ("Half way there", (), 100, (), "optimizer")


def test_a_change_among_lines_that_repeat_can_be_queued_too(repo: Path, llmock: LLMock) -> None:
    block = "".join(f"    step = {number}\n" for number in range(7))
    (repo / "trainer" / "steps.py").write_text(f"def first() -> None:\n{block}\n\ndef second() -> None:\n{block}")
    git(repo, "add", "trainer")
    git(repo, "commit", "--quiet", "--message=repeat it")
    old = f"def second() -> None:\n{block}"
    edit = {"path": "trainer/steps.py", "old": old, "new": old.replace("step = 3", "step = 30")}
    llmock.call_tool("propose", proposal(edit))
    proposed(repo, llmock, "--queue")
    diff = queue_of(repo)[-1].diff
    assert diff is not None
    assert b"step = 30" in apply(here(repo).trainer("HEAD"), parse_diff(diff))["trainer/steps.py"]


def test_a_paper_is_cited_and_the_queue_names_it(repo: Path, llmock: LLMock) -> None:
    note = repo / "kb" / "papers" / "2505.08823-quality.md"
    note.parent.mkdir()
    note.write_text(NOTE)
    llmock.call_tool("propose", proposal(FITS))
    done = proposed(repo, llmock, "--paper", "https://arxiv.org/abs/2505.08823", "--queue")
    assert "Claude writes p0001 (paper): Quality" in done.stderr
    assert "notes     2505.08823" in done.stdout
    assert (queue_of(repo)[-1].title, queue_of(repo)[-1].papers) == ("Half way there", ("2505.08823",))
    assert "More of it." in json.dumps(llmock.last_request.body)


def test_what_does_not_fit_is_mended_and_shown_once(repo: Path, llmock: LLMock) -> None:
    llmock.call_tool("propose", proposal(MISFIT, title="Misfit")).call_tool("propose", proposal(FITS))
    said = json.loads(proposed(repo, llmock, "--json").stdout)
    assert (said["title"], said["authored"]["repairs"]) == ("Half way there", 1)
    assert len(llmock.requests) == 2
    assert "no_match" in json.dumps(llmock.last_request.body)


def test_what_cannot_be_mended_is_one_line_and_is_not_queued(repo: Path, llmock: LLMock) -> None:
    llmock.call_tool("propose", proposal(MISFIT), times=3)
    why = refused(nightshift(repo, "propose", "--idea", "Half of the rest", "--queue", **llmock.env()))
    assert why.startswith("nightshift: no_match: trainer/train.py holds no such text")
    assert (repo / "kb" / "ideas.md").read_text() == IDEAS


def test_without_a_key_it_is_one_line(repo: Path) -> None:
    assert refused(nightshift(repo, "propose", "--idea", "Half of the rest")).startswith(
        "nightshift: there is no ANTHROPIC_API_KEY in the environment"
    )


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--idea", "No such thing"), "kb/ideas.md has no sound idea 'No such thing'"),
        (("--idea", "Better quality"), "'Better quality' carries its own edits already"),
        (("--idea", "Half of the rest", "--paper", "2505.08823"), "give --idea or --paper, not both"),
        (("--paper", "2505.08823"), "no note of '2505.08823' in kb/papers: `nightshift kb add 2505.08823` fetches it"),
        (("--paper", "what I read lately"), "no note of 'what I read lately' in kb/papers"),
        (("--from", "no-such-branch"), "no commit 'no-such-branch' in this repository"),
        (("--max-usd", "0"), "--max-usd allows more"),
    ],
)
def test_what_cannot_be_asked_for_is_one_line_and_costs_nothing(
    repo: Path, llmock: LLMock, words: tuple[str, ...], why: str
) -> None:
    assert why in refused(nightshift(repo, "propose", *words, **llmock.env()))
    assert llmock.requests == []


def test_a_key_that_is_refused_is_one_line(repo: Path, llmock: LLMock) -> None:
    llmock.fail(401, times=None)
    assert refused(nightshift(repo, "propose", **llmock.env())).startswith("nightshift: Claude: 401")
    assert len(llmock.requests) == 1
