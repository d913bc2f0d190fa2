"""The search index: any text is a question, a changed file is read again, and a damaged index is made anew."""

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.index import Chunk, Source, quoted, search
from bench.errors import MachineError, UsageError

TEXTS = {
    "norm": "normalise the inputs of a layer so that training does not blow up",
    "quant": "store weights in 1.58 bits, c++ and all",
    "loop": "run the same block twice to save bytes",
}


def source(name: str, text: str, stamp: str = "1") -> Source:
    return Source(name, stamp, lambda: [Chunk(name, "paper", name.title(), "text", text)])


@pytest.fixture
def library() -> list[Source]:
    return [source(name, text) for name, text in TEXTS.items()]


def pages(path: Path, sources: list[Source], question: str) -> list[str]:
    return [hit.page for hit in search(path, sources, question)]


def test_words_are_found_in_other_forms(tmp_path: Path, library: list[Source]) -> None:
    assert pages(tmp_path / "i", library, "normalising layers")[0] == "norm"
    assert pages(tmp_path / "i", library, "saves a byte")[0] == "loop"


@pytest.mark.parametrize(
    "question", ["1.58-bit", "c++", '"', 'say "bits" (NEAR)', "bits AND", "weights*", "a:bits", "-bits"]
)
def test_no_text_is_an_error_of_the_query_language(tmp_path: Path, library: list[Source], question: str) -> None:
    try:
        found = pages(tmp_path / "i", library, question)
    except UsageError as error:
        assert question == '"'
        assert "words" in str(error)
    else:
        assert found in (["quant"], [])


@given(question=st.text(max_size=60))
@settings(deadline=None, max_examples=200)
def test_nor_is_any_other(question: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "any.sqlite"
    try:
        assert len(pages(path, [source(name, text) for name, text in TEXTS.items()], question)) <= 3
    except UsageError:
        assert not any(character.isalnum() or character == "_" for character in question)


def test_stop_words_alone_are_still_words() -> None:
    assert quoted("to be or not to be") == ['"to"', '"be"', '"or"', '"not"']
    assert quoted("the norm of a layer") == ['"norm"', '"layer"']


def test_a_file_that_changed_is_read_again_and_one_that_is_gone_is_not_found(
    tmp_path: Path, library: list[Source]
) -> None:
    path = tmp_path / "i"
    assert pages(path, library, "bytes") == ["loop"]
    assert pages(path, [*library[:2], source("loop", "something else", stamp="2")], "bytes") == []
    assert pages(path, library[:2], "else") == []


def test_a_file_that_did_not_change_is_not_read_again(tmp_path: Path, library: list[Source]) -> None:
    def never() -> list[Chunk]:
        raise AssertionError("read again")

    pages(tmp_path / "i", library, "bytes")
    assert pages(tmp_path / "i", [Source(one.name, one.stamp, never) for one in library], "bytes") == ["loop"]


@pytest.mark.parametrize("damage", ["not a database at all" * 100, "", None])
def test_a_damaged_index_is_made_anew(tmp_path: Path, library: list[Source], damage: str | None) -> None:
    path = tmp_path / "i"
    pages(path, library, "bytes")
    if damage is None:
        with sqlite3.connect(path) as index:
            index.execute("DROP TABLE chunks")
        index.close()
    else:
        path.write_text(damage)
    assert pages(path, library, "bytes") == ["loop"]


def test_where_none_can_be_made_that_is_one_line(tmp_path: Path, library: list[Source]) -> None:
    (tmp_path / "i").mkdir()
    with pytest.raises(MachineError, match="no search index can be made"):
        pages(tmp_path / "i", library, "bytes")


def test_the_best_chunk_counts_whole_and_the_others_half(tmp_path: Path) -> None:
    def both() -> list[Chunk]:
        return [Chunk("two", "paper", "Two", "a", "bytes"), Chunk("two", "paper", "Two", "b", "bytes")]

    filler = [source(f"f{number}", "nothing of the kind") for number in range(20)]
    one, two = search(tmp_path / "i", [source("one", "bytes"), Source("two", "1", both), *filler], "bytes")[::-1]
    assert two.score == pytest.approx(1.5 * one.score)


def test_a_piece_that_two_files_have_counts_once(tmp_path: Path) -> None:
    twice = [
        Source(name, "1", lambda: [Chunk("one", "experiment", "One", "", "bytes")]) for name in ("history", "night")
    ]
    filler = [source(f"f{number}", "nothing of the kind") for number in range(20)]
    single = search(tmp_path / "a", [twice[0], source("x", "bytes"), *filler], "bytes")
    double = search(tmp_path / "b", [*twice, *filler], "bytes")
    assert [hit.page for hit in double] == ["one"]
    assert double[0].score == pytest.approx(single[0].score, rel=0.2)


def test_a_common_word_is_left_out_where_there_are_many_chunks(tmp_path: Path) -> None:
    many = [
        Source(
            "all",
            "1",
            lambda: [Chunk(f"p{n}", "paper", "P", "", f"layer {'bytes' if n == 7 else ''}") for n in range(2000)],
        )
    ]
    assert pages(tmp_path / "i", many, "layer bytes") == ["p7"]
    assert len(pages(tmp_path / "i", many, "layer")) == 5
