"""Whole nights in which Claude writes the proposals, against a Messages API that others wrote: whatever an answer can
be, the night goes on, nothing half made is ever measured, and every dollar is told."""

import json
import os
import re
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from agent.calls import Reserved, Spent
from agent.git import Repo, here
from agent.journal import Journal, open_journal
from agent.records import Experiment, Measured
from agent.transcript import as_text, read_transcript
from bench.data import Dataset
from bench.files import tree_key
from tests.fakes import git, make_repo, with_prompts
from tests.fakes.aimock import aimock
from tests.fakes.script import (
    EXPERIMENTS,
    IDEAS,
    LEFTOVER,
    UNSCRIPTED,
    Ending,
    Script,
    nightshift,
    run_night,
    the_night,
)

pytestmark = pytest.mark.network


@dataclass(frozen=True)
class Night:
    """A night that is over, and what the server saw of it."""

    root: Path
    done: subprocess.CompletedProcess[str]
    script: Script
    endings: Mapping[str, Ending]
    requests: Sequence[Mapping[str, Any]]
    log: str

    @property
    def folder(self) -> Path:
        return self.root / ".git" / "nightshift" / "n"

    @property
    def journal(self) -> Journal:
        return open_journal(self.folder / "autoresearch.jsonl")

    @property
    def repo(self) -> Repo:
        return here(self.root)

    @property
    def spent(self) -> list[Spent]:
        return [one for one in self.journal.records if isinstance(one, Spent)]

    @property
    def written(self) -> list[Experiment]:
        return [one for one in self.journal.experiments if one.source == "claude"]

    @property
    def drafts(self) -> dict[str, list[Mapping[str, Any]]]:
        return {path.stem: read_transcript(path) for path in sorted((self.folder / "drafts").glob("d*.jsonl"))}

    def of(self, name: str) -> list[Experiment]:
        """The experiments of a draft, by the name it has in the script."""
        draft = self.endings[name].draft
        return [one for one in self.written if one.authored and one.authored.draft == draft]

    def transcript(self, name: str) -> str:
        return as_text(self.drafts[self.endings[name].draft])

    def result(self, call: str) -> str:
        """What the server was told about one of its calls."""
        messages = [message for one in self.requests for message in one["body"]["messages"]]
        told = {message["content"] for message in messages if message.get("tool_call_id") == call}
        assert len(told) == 1, f"{call} was answered with {told}"
        return str(told.pop())


@pytest.fixture(scope="module")
def night(small_data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    repo = with_prompts(make_repo(tmp_path_factory.mktemp("person"), small_data.root, IDEAS))
    script, endings = the_night()
    with aimock(tmp_path_factory.mktemp("aimock"), [*script.fixtures, UNSCRIPTED]) as server:
        done = run_night(repo, server, "claude", EXPERIMENTS)
        assert done.returncode == 0, done.stderr + done.stdout + server.log.read_text(encoding="utf-8")
        yield Night(repo, done, script, endings, server.journal(), server.log.read_text(encoding="utf-8"))


def outcome(one: Experiment) -> tuple[str, str]:
    """Verdict and reason; a spot check says at confirm what breadth has said of the others."""
    return (one.status, "worse at breadth" if one.reason in ("worse", "worse_at_breadth") else one.reason)


def test_the_night_ends_as_any_other(night: Night) -> None:
    assert f"the night ended: {EXPERIMENTS} experiments decided, the most asked for" in night.done.stdout
    assert night.done.stderr == ""
    assert len([one for one in night.journal.experiments if one.source != "baseline"]) == EXPERIMENTS


def test_every_draft_ends_as_its_answers_deserve(night: Night) -> None:
    found = {name: [outcome(one) for one in night.of(name)] for name in night.endings}
    assert found == {name: list(ending.outcomes) for name, ending in night.endings.items()}


def test_every_draft_that_was_begun_has_its_experiments(night: Night) -> None:
    assert set(night.drafts) == {one.draft for one in night.endings.values()}
    assert len(night.written) == EXPERIMENTS


def test_every_answer_was_asked_for_once_and_nothing_else_was(night: Night) -> None:
    served = Counter(json.dumps(one["response"]["fixture"]["match"], sort_keys=True) for one in night.requests)
    scripted = Counter(json.dumps(one["match"], sort_keys=True) for one in night.script.fixtures)
    assert served == scripted


def test_a_commit_holds_exactly_the_patch_that_is_journalled(night: Night, tmp_path: Path) -> None:
    tried = [one for one in night.written if one.sha]
    assert len(tried) > EXPERIMENTS / 2
    for one in tried:
        assert git(night.root, "rev-parse", f"{one.sha}^") == one.parent
        assert git(night.root, "diff", "--name-only", one.parent, one.sha).startswith("trainer/")
        assert applied(night.root, one.parent, one.patch, tmp_path / one.id) == git(
            night.root, "rev-parse", f"{one.sha}^{{tree}}"
        )


def applied(root: Path, parent: str, patch: str, index: Path) -> str:
    """The tree that git makes of a commit and a patch, in an index of its own."""
    environment = os.environ | {"GIT_INDEX_FILE": str(index)}
    for words, given in ((["read-tree", parent], ""), (["apply", "--cached", "-"], patch)):
        subprocess.run(["git", *words], cwd=root, env=environment, input=given, text=True, check=True)
    made = subprocess.run(["git", "write-tree"], cwd=root, env=environment, capture_output=True, text=True, check=True)
    return made.stdout.strip()


def test_no_run_of_a_proposal_is_a_run_of_its_champion(night: Night) -> None:
    measured = [one for one in night.journal.records if isinstance(one, Measured)]
    for one in night.written:
        if not one.sha:
            assert not one.runs
            continue
        assert one.tree == tree_key(night.repo.trainer(one.sha)) != tree_key(night.repo.trainer(one.parent))
        own = {(run.profile, run.seed, run.reason) for run in measured if run.tree == one.tree}
        assert {(run.profile, run.seed, run.reason) for run in one.runs if run.role == "candidate"} <= own


def test_nothing_of_an_answer_that_was_thrown_away_is_ever_tried(night: Night) -> None:
    commits = git(night.root, "rev-list", "--all").splitlines()
    assert len(commits) > len([one for one in night.written if one.sha])
    found = subprocess.run(["git", "grep", "--quiet", LEFTOVER, *commits], cwd=night.root, check=False)
    assert found.returncode == 1
    assert not [one.id for one in night.written if LEFTOVER in one.patch + one.description]
    assert LEFTOVER in json.dumps(night.drafts)


def test_the_champion_is_what_was_kept_and_nothing_else(night: Night) -> None:
    kept = [one for one in night.written if one.status == "keep"]
    line = git(night.root, "rev-list", "--reverse", "main..nightshift/n").splitlines()
    assert line == [one.sha for one in kept]
    assert night.journal.champion == line[-1]
    settings = git(night.root, "show", "nightshift/n:trainer/settings.py")
    assert "QUALITY = 0.9" in settings
    assert "(1 + float(knob(" in git(night.root, "show", "nightshift/n:trainer/train.py")


def test_every_dollar_is_told_and_none_twice(night: Night) -> None:
    told = sum(Decimal(repr(one.usd)) for one in night.spent)
    assert round(told, 12) == round(night.script.usd(), 12)
    shown = json.loads(nightshift(night.root, "log", "--json").stdout)
    assert round(Decimal(repr(shown["claude"]["usd"])), 12) == round(night.script.usd(), 12)
    assert shown["claude"]["calls"] == len(night.requests)
    charged = [one.authored for one in night.written if one.authored]
    assert round(sum(Decimal(repr(one.usd)) for one in charged), 12) == round(night.script.usd(), 12)
    assert sum(one.usage.output_tokens for one in charged) == sum(written for _, written in night.script.tokens)


def test_every_request_is_reserved_before_it_is_made_and_settled_once(night: Night) -> None:
    reserved = [one for one in night.journal.records if isinstance(one, Reserved)]
    assert [one.call for one in reserved] == [*range(1, len(night.requests) + 1)]
    assert sorted(one.call for one in night.spent) == [one.call for one in reserved]
    records = night.journal.records
    assert all(records.index(reserved[one.call - 1]) < records.index(one) for one in night.spent)
    cut = [one for one in night.spent if one.at_most > one.usd]
    assert len(cut) == 1
    assert cut[0].at_most == reserved[cut[0].call - 1].usd
    assert cut[0].usd > 0


def test_an_answer_that_came_to_nothing_is_journalled_with_its_reason(night: Night) -> None:
    ends = Counter(one.stop_reason for one in night.spent if not one.error)
    assert {reason: ends[reason] for reason in ("refusal", "max_tokens", "end_turn")} == {
        "refusal": 2,
        "max_tokens": 2,
        "end_turn": 2,
    }
    assert sum(ends.values()) == ends["tool_use"] + 6
    errors = sorted(one.error for one in night.spent if one.error)
    assert [error.partition(":")[0] for error in errors[:3]] == ["400", "429", "529"]
    assert len(errors) == 5
    assert errors[-1] == "a tool's input was no JSON object"


def test_what_claude_looks_up_comes_back_to_it(night: Night) -> None:
    assert "nothing has any of these words" in night.result("idea_a")
    assert "no experiment is like that" in night.result("idea_b")
    assert "nudge" in night.result("read_a")
    assert re.search(r"no note (of )?'2505.08823'", night.result("read_b"))
    assert "NUDGE = 0.0  # has no effect whatever" in night.result("read_c")
    assert "A nudge" in night.result("read_d")
    assert "there is no tool 'run_shell'; there are search_library, read_note" in night.result("shell")
    assert "the trainer has no '../bench/score.py'" in night.result("outside")
    assert "question: Field required" in night.result("empty")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("moved_a", "no_match"),
        ("longer_a", "the longer widget is bent"),
        ("misfit_a", "no_match: trainer/train.py holds no such text"),
        ("crash_a", "the widget is bent"),
        ("bent_a", "not_finite"),
        ("bent_b", "This is the last time."),
        ("whole_a", "files: only after two proposals whose edits did not fit"),
        ("whole_b", "several_matches"),
        ("lane_a", "lane_closed"),
        ("unread_a", "hypothesis: Field required"),
        ("unread_b", "edits: Input should be a valid"),
        ("two_b", "one proposal at a time"),
        ("same_a", "already_tried"),
        ("same_b", "no_change"),
    ],
)
def test_a_proposal_that_fails_comes_back_with_its_reason(night: Night, call: str, words: str) -> None:
    assert words in night.result(call)


def test_every_call_of_a_tool_is_answered_in_the_next_message(night: Night) -> None:
    for one in night.requests:
        waiting: set[str] = set()
        for message in one["body"]["messages"]:
            if message["role"] == "tool":
                waiting.remove(message["tool_call_id"])
            else:
                assert not waiting
            waiting |= {call["id"] for call in message.get("tool_calls") or ()}
        assert not waiting


def test_no_message_holds_blanks_alone(night: Night) -> None:
    contents = [message["content"] for one in night.requests for message in one["body"]["messages"]]
    assert not [content for content in contents if content is not None and not content.strip()]


def test_an_idea_in_words_is_written_out_once_and_one_that_cannot_be_is_given_up(night: Night) -> None:
    (written,), (given_up,) = night.of("idea"), night.of("no idea")
    assert (written.idea, written.lane) == ("half-of-the-rest", "training")
    assert (given_up.idea, given_up.sha, given_up.runs) == ("what-nobody-can-write", "", ())
    about = {one.id for one in night.written if one.authored and one.authored.arm == "idea"}
    assert about == {written.id, given_up.id}
    openings = [json.dumps(lines[1]) for lines in night.drafts.values()]
    assert sum("Write the change for this idea of a person's" in one for one in openings) == 2
    assert (night.root / "kb" / "ideas.md").read_text() == IDEAS


def test_an_experiment_tells_how_often_its_proposal_was_mended(night: Night) -> None:
    found = {name: [one.authored.repairs for one in night.of(name) if one.authored] for name in night.endings}
    assert found == {name: list(ending.mended) for name, ending in night.endings.items()}


def test_every_transcript_reads(night: Night) -> None:
    for draft, lines in night.drafts.items():
        assert lines[0]["draft"] == draft
        assert (night.folder / "drafts" / lines[0]["system"]).is_file()
        text = as_text(lines)
        assert "── Nightshift ──" in text
        assert text.count("tokens in") == sum("usage" in line for line in lines)
    assert "(thinks) It can do no harm." in night.transcript("nudge")
    assert "calls propose\ntitle: A nudge" in night.transcript("nudge")


def test_a_person_can_read_what_was_said_before_an_experiment(night: Night) -> None:
    (crashed,) = night.of("bent")
    shown = nightshift(night.root, "show", crashed.id, "--transcript")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.strip() == night.transcript("bent").strip()
    draft = night.endings["bent"].draft
    said = json.loads(nightshift(night.root, "show", crashed.id, "--transcript", "--json").stdout)
    assert said == {"id": crashed.id, "draft": draft, "lines": night.drafts[draft]}


def test_the_key_stands_in_nothing_that_is_kept(night: Night) -> None:
    kept = [path for path in night.folder.rglob("*") if path.is_file()]
    assert kept
    key = b"a key that is looked at by nobody"
    assert not [path for path in kept if key in path.read_bytes()]
    assert key.decode() not in night.done.stdout


def test_running_it_again_asks_for_nothing(night: Night) -> None:
    before = (night.folder / "autoresearch.jsonl").read_bytes()
    words = ("run", "--short", "--researcher", "claude", "--name", "n", "--slots", "2")
    away = {"ANTHROPIC_BASE_URL": "http://127.0.0.1:9", "ANTHROPIC_API_KEY": "another"}
    done = nightshift(night.root, *words, "--max-experiments", str(EXPERIMENTS), **away)
    assert done.returncode == 0, done.stderr
    assert (night.folder / "autoresearch.jsonl").read_bytes() == before
