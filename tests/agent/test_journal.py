"""The journal as a file."""

from pathlib import Path

import pytest

from agent.journal import Journal, encode, open_journal
from agent.records import Repaired
from bench.errors import JournalError
from tests.agent.builders import experiment, header


def written(path: Path) -> Journal:
    journal = Journal(path)
    for record in (header(), experiment(run=1), experiment(run=2, status="discard")):
        journal.append(record)
    return journal


def test_what_was_appended_is_read_back_equal(tmp_path: Path) -> None:
    journal = written(tmp_path / "j.jsonl")
    assert open_journal(tmp_path / "j.jsonl").records == journal.records


def test_a_torn_last_line_is_cut_off_and_said(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    whole = written(path).records
    with path.open("ab") as file:
        file.write(b'{"run":3,"commit":"abc')
    again = open_journal(path)
    assert again.records[:-1] == whole
    assert isinstance(again.records[-1], Repaired)
    assert open_journal(path).records == again.records


def test_garbage_in_the_middle_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    written(path)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], "garbage", *lines[1:]]) + "\n")
    with pytest.raises(JournalError, match="line 2"):
        open_journal(path)


def test_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    written(tmp_path / "real.jsonl")
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "real.jsonl")
    with pytest.raises(JournalError, match="symbolic link"):
        open_journal(tmp_path / "link.jsonl")


def test_records_of_a_kind_not_known_yet_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    written(path)
    with path.open("a") as file:
        file.write('{"type":"foretold","id":"n-0002"}\n')
    assert len(open_journal(path).experiments) == 2


def test_nan_never_reaches_the_file() -> None:
    with pytest.raises(ValueError, match="JSON"):
        encode(experiment(run=1, metric=float("nan")))


def test_the_champion_is_the_last_keep(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.jsonl")
    for record in (
        header(),
        experiment(run=1, status="keep", sha="a" * 40),
        experiment(run=2, status="discard", sha="b" * 40),
    ):
        journal.append(record)
    assert journal.champion == "a" * 40
