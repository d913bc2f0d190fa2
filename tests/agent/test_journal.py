"""The journal as a file."""

import errno
import gc
import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from agent.journal import Journal, encode, open_journal, read_journal
from agent.records import VERSION, Experiment, Repaired
from bench.errors import DiskError, JournalError
from tests.agent.builders import dropped, experiment, header, knob

OLD = Path(__file__).parent / "journals" / "lineage.jsonl"
"""The first lines of the committed history, as the version of that day wrote them. Never to be written anew."""


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


TORN = b'{"run":3,"commit":"abc'


def torn(path: Path) -> list[Any]:
    """A journal whose last line is not whole, and the records before it."""
    whole = list(written(path).records)
    with path.open("ab") as file:
        file.write(TORN)
    return whole


def test_a_reader_changes_nothing_while_a_write_is_under_way(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    whole = torn(path)
    before = path.read_bytes(), path.stat()
    assert read_journal(path).records == whole
    after = path.stat()
    assert path.read_bytes() == before[0]
    assert (after.st_mtime_ns, after.st_ino) == (before[1].st_mtime_ns, before[1].st_ino)
    assert list(tmp_path.iterdir()) == [path]


def test_whoever_opens_it_to_write_on_cuts_a_torn_line_off_and_journals_that(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    torn(path)
    whole = path.read_bytes().removesuffix(TORN)
    journal = open_journal(path)
    assert journal.repairs == [f"cut off a torn last line of {len(TORN)} bytes"]
    assert path.read_bytes().startswith(whole + b'{"type":"repaired"')
    assert path.read_bytes().endswith(b"\n")


def half_then_full() -> Callable[[int, bytes], int]:
    """A disk that has room for half of what is written to it next, and for nothing after that."""
    usual, room = os.write, [True]

    def write(descriptor: int, content: bytes) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        room[0] = False
        return usual(descriptor, bytes(content)[: len(content) // 2])

    return write


def broken(descriptor: int) -> None:
    """A disk that does not say that it holds what it was given."""
    raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.mark.parametrize("fault", ["no room", "broken"])
def test_after_a_failed_append_nothing_follows_until_it_is_opened_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    path = tmp_path / "j.jsonl"
    journal = written(path)
    whole = list(journal.records)
    with monkeypatch.context() as disk:
        if fault == "no room":
            disk.setattr(os, "write", half_then_full())
        else:
            disk.setattr(os, "fsync", broken)
        with pytest.raises(DiskError, match=str(path)) as failed:
            journal.append(experiment(run=3))
    content = path.read_bytes()
    assert journal.records == whole
    with pytest.raises(DiskError) as again:  # the disk is well again, but what the file ends in is not known
        journal.append(experiment(run=4))
    assert again.value is failed.value
    assert path.read_bytes() == content
    reopened = open_journal(path)
    assert reopened.records[:3] == whole
    assert bool(reopened.repairs) is (fault == "no room")
    reopened.append(experiment(run=4))
    assert read_journal(path).records == reopened.records
    assert reopened.experiments[-1].run == 4


def test_a_newer_version_s_journal_is_read_but_not_written_to(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    journal = Journal(path)
    journal.append(header(version=VERSION + 1))
    journal.append(experiment(run=1))
    before = path.read_bytes() + TORN
    path.write_bytes(before)
    assert len(read_journal(path).experiments) == 1
    with pytest.raises(JournalError, match="newer nightshift") as refused:
        open_journal(path)
    assert len(str(refused.value).splitlines()) == 1
    assert path.read_bytes() == before


def test_keys_that_are_not_known_are_carried_along(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    lines = [json.loads(encode(one)) for one in (header(), dropped(1))]
    lines[0]["mood"] = lines[1]["mood"] = {"of": ["the", "day"]}
    lines[1]["runs"][0]["mood"] = lines[1]["breadth"]["pairs"][0]["mood"] = 1
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert [json.loads(encode(record)) for record in open_journal(path).records] == lines


def test_what_an_older_version_wrote_still_reads() -> None:
    journal = read_journal(OLD)
    assert [one.id for one in journal.experiments] == [f"lineage-000{number}" for number in (1, 2, 3)]
    written = [json.loads(line) for line in OLD.read_text().splitlines()]
    for record, line in zip(journal.records, written, strict=True):
        assert kept_in(line, json.loads(encode(record)))


LATER = {"training_s", "artifact_sha256", "log", "fresh", "chance", "authored", "compiler", "slots", "version"}
"""Keys that the first nights' journals did not have yet, or may lack."""


def test_keys_that_came_later_may_be_missing(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    first = [without(json.loads(line), LATER) for line in OLD.read_text().splitlines()]
    path.write_text("".join(json.dumps(line) + "\n" for line in first))
    journal = open_journal(path)
    assert len(journal.experiments) == 3
    assert {run.training_s for one in journal.experiments for run in one.runs} == {0.0}


def kept_in(before: Any, after: Any) -> bool:  # noqa: ANN401  # whatever JSON takes
    """Whether all of `before` is in `after`, which may have more keys."""
    if isinstance(before, dict):
        return all(name in after and kept_in(value, after[name]) for name, value in before.items())
    if isinstance(before, list):
        return len(before) == len(after) and all(map(kept_in, before, after))
    return bool(before == after)


def without(word: Any, names: set[str]) -> Any:  # noqa: ANN401  # whatever JSON takes
    """`word` with those keys taken out, however deep they are."""
    if isinstance(word, dict):
        return {name: without(value, names) for name, value in word.items() if name not in names}
    return [without(one, names) for one in word] if isinstance(word, list) else word


def test_lines_that_many_threads_append_stay_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "j.jsonl"
    journal, usual = Journal(path), os.write
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    # The system may take a part at a time, and then another thread's turn comes.
    monkeypatch.setattr(os, "write", lambda descriptor, content: usual(descriptor, bytes(content)[:97]))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: journal.append(experiment(run=number)), range(1, 161)))
    assert read_journal(path).records == journal.records
    assert sorted(one.run for one in journal.experiments) == list(range(1, 161))


@pytest.mark.parametrize(
    "line",
    [
        b"garbage",
        b"",
        b"[]",
        b'"run"',
        b"5",
        b"null",
        b'{"id":"n-0002"}',
        b'{"run":3}',
        b'{"type":"m\xff"}',
        b"\xff\xfe",
    ],
    ids=repr,
)
@pytest.mark.parametrize("use", [read_journal, open_journal])
def test_what_cannot_be_read_in_the_middle_is_refused_with_its_line_and_stays(
    tmp_path: Path, line: bytes, use: Callable[[Path], Journal]
) -> None:
    path = tmp_path / "j.jsonl"
    written(path)
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([*lines[:2], line, *lines[2:]]))
    before = path.read_bytes()
    with pytest.raises(JournalError, match="line 3 cannot be read") as refused:
        use(path)
    assert len(str(refused.value).splitlines()) == 1
    assert path.read_bytes() == before


MANY = 2_000


def test_a_long_journal_is_read_without_looking_for_garbage_and_parsed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looking doubles what reading takes, and so does parsing twice: scripts/measure_journal.py."""
    path = tmp_path / "j.jsonl"
    line = encode(dropped(2, **knob("MATRIX_LR", 0.04, 0.06)))
    lines = [line.replace('"run":2,', f'"run":{number},', 1) for number in range(1, MANY + 1)]
    path.write_text("\n".join([encode(header()), *lines]) + "\n")
    looks, by_way_of_json = list[str](), list[object]()
    loads = json.loads

    def counted(text: bytes) -> object:
        by_way_of_json.append(text)
        return loads(text)

    monkeypatch.setattr(json, "loads", counted)

    def looked(phase: str, info: dict[str, int]) -> None:
        looks.append(f"{phase}, generation {info['generation']}")

    gc.callbacks.append(looked)
    try:
        journal = open_journal(path)
    finally:
        gc.callbacks.remove(looked)
    assert len(journal.experiments) == MANY
    assert len(by_way_of_json) == 1, "the header's line alone"
    assert not [look for look in looks if look.startswith("start")][1:], "one may come as it is switched on again"
    young = [one for generation in (0, 1) for one in gc.get_objects(generation)]
    assert not [one for one in young if type(one) is Experiment], "and it would look through every record"
    assert gc.isenabled()
