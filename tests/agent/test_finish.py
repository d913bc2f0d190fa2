"""`nightshift finish`: all of a night in the committed history, once, whenever and however often it is called."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from agent import git as plumbing
from agent import opening
from agent.cli_finish import PULL_REQUEST
from agent.cli_report import REPORT
from agent.history import TOLD, append_to_history
from agent.journal import Journal, encode, read_journal
from agent.records import AnyRecord, Regained, Reverted
from bench import files
from bench.errors import UsageError
from tests.agent.builders import baseline, confirmed, dropped, evidence, header, sha
from tests.agent.test_night import nightshift
from tests.chaos.night import make_repo

FIRST: list[TOLD] = [header(name="monday"), baseline(id="monday-0001"), dropped(2, id="monday-0002")]
LATER: list[TOLD] = [
    confirmed(3, "keep", [-0.02, -0.018], id="monday-0003"),
    Regained(timestamp=5, id="monday-0003", evidence=evidence("short-confirm", -0.01, -0.012)),
]
OTHER: list[TOLD] = [header(name="tuesday", seed=8), baseline(id="tuesday-0001"), dropped(2, id="tuesday-0002")]
TAKEN_OUT = Reverted(timestamp=9, id="monday-0003", parent=sha(3), sha=sha(9))


def shown(history: str) -> list[str]:
    """Each line in a word or two: a header's night, an experiment's run and id, or the kind of another."""
    words = [json.loads(line) for line in history.splitlines()]
    return [
        f"{word['run']} {word['id']} in {word['segment']}" if "run" in word else word.get("name", word["type"])
        for word in words
    ]


def test_a_night_that_went_on_adds_the_rest_and_nothing_twice() -> None:
    history = append_to_history("", FIRST)
    history = append_to_history(history, [*FIRST, *LATER])
    assert history == append_to_history("", [*FIRST, *LATER])
    assert append_to_history(history, [*FIRST, *LATER]) == history
    history = append_to_history(history, [*FIRST, *LATER, TAKEN_OUT])
    assert shown(history)[-3:] == ["3 monday-0003 in 0", "regained", "reverted"]


def test_where_another_night_was_finished_in_between_the_rest_is_a_part_of_its_own() -> None:
    history = append_to_history(append_to_history("", FIRST), OTHER)
    history = append_to_history(history, [*FIRST, *LATER, TAKEN_OUT])
    assert shown(history) == [
        *("monday", "1 monday-0001 in 0", "2 monday-0002 in 0"),
        *("tuesday", "3 tuesday-0001 in 1", "4 tuesday-0002 in 1"),
        *("monday", "5 monday-0003 in 2", "regained", "reverted"),
    ]
    assert append_to_history(history, OTHER) == history


def test_what_was_learnt_later_needs_no_part_of_its_own() -> None:
    history = append_to_history(append_to_history("", [*FIRST, *LATER]), OTHER)
    assert append_to_history(history, [*FIRST, *LATER, TAKEN_OUT]) == f"{history}{encode(TAKEN_OUT)}\n"


def test_a_line_that_an_older_version_wrote_shorter_is_known_again() -> None:
    old = append_to_history("", [*FIRST, *LATER]).replace(',"chance":0.0', "").replace(',"slots":2', "")
    one_slot: list[TOLD] = [header(name="monday", slots=1), *FIRST[1:], *LATER]
    assert append_to_history(old, one_slot) == old


def test_another_night_of_the_same_name_is_not_taken_for_this_one() -> None:
    elsewhere = [FIRST[0], baseline(id="monday-0001", timestamp=77)]
    with pytest.raises(UsageError, match="monday-0001 is in the committed history already, from another night"):
        append_to_history(append_to_history("", elsewhere), FIRST)


# With a person's repository.


def begin(folder: Path, records: Sequence[AnyRecord]) -> tuple[plumbing.Repo, Journal]:
    """A repository in which that night was run."""
    repo = plumbing.here(make_repo(folder / "person"))
    path = opening.journal_path(repo, "monday")
    files.write_atomic(path, "".join(f"{encode(record)}\n" for record in records).encode())
    return repo, read_journal(path)


def go_on(journal: Journal, records: Sequence[AnyRecord]) -> None:
    for record in records:
        journal.append(record)


def test_all_that_is_told_a_person_and_all_that_is_written_comes_from_one_call(tmp_path: Path) -> None:
    repo, journal = begin(tmp_path, FIRST)
    said = nightshift(repo.root, "finish").stdout
    assert "2 experiments added to autoresearch.jsonl" in said
    assert "git add autoresearch.jsonl kb/chronology.md && git commit" in said
    assert "gh pr create" not in said, "nothing was kept"

    go_on(journal, LATER)
    said = nightshift(repo.root, "finish").stdout
    text = journal.path.with_name(PULL_REQUEST)
    assert "1 experiment added" in said
    assert "gh pr create --head nightshift/monday --title " in said
    assert f"--body-file {text}" in said
    assert "monday-0003" in text.read_text()
    assert text.read_text() == nightshift(repo.root, "report", "--markdown").stdout
    assert "monday-0003" in (repo.root / "kb" / "chronology.md").read_text()
    assert journal.path.with_name(REPORT).read_text().startswith("<!doctype html>")

    go_on(journal, [TAKEN_OUT.model_copy(update={"sha": repo.commit_of("HEAD")})])
    assert "what was learnt of this night since" in nightshift(repo.root, "finish").stdout
    assert "already" in nightshift(repo.root, "finish").stdout
    history = (repo.root / "autoresearch.jsonl").read_text()
    assert shown(history)[-3:] == ["5 monday-0003 in 1", "regained", "reverted"], "after the earlier night"
