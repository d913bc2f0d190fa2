"""From a fetched paper to a note: what a stub may say, and what of Claude's answer gets into the file."""

import pytest

from agent import draft
from agent.alphaxiv import Paper
from agent.arxiv import Identifier
from agent.note import CHANGE, SECTIONS, parse_note, render
from bench.errors import LibraryError

ABSTRACT = "We normalise. " * 100
ANSWER = "\n\n".join(
    [
        "## Claim\n\nIt helps.",
        "## Mechanism\n\nScale is fixed.",
        f"## {CHANGE}\n\nSet it.\n\n```knobs\nBETA2 = 0.99\n```",
        "## Evidence and scale\n\nLarge.",
        "## Risks\n\nSlow.",
        "## Asks\n\n- why does it blow up\n- how do I keep it steady\n",
    ]
)
PAPER = Paper(
    Identifier("2505.08823", 2), "A Norm: All You Need", ABSTRACT, 2025, ("cs.LG",), source="https://arxiv.org/x"
)


def test_a_stub_quotes_one_short_line() -> None:
    note = draft.stub(PAPER, "2026-11-23")
    (quote,) = note.sections["In its own words"].splitlines()
    assert quote.startswith("> We normalise.")
    assert len(quote) < draft.EXCERPT + 10
    assert note.name == "2505.08823-a-norm"
    assert (note.front.retrieved, note.front.source, note.front.version) == ("2026-11-23", "https://arxiv.org/x", 2)
    assert note.front.licence == "as stated at https://arxiv.org/abs/2505.08823v2"


def test_without_an_abstract_the_first_prose_serves() -> None:
    prose = "This is the first paragraph of the page that says anything."
    code, table = "```\ncode is not prose at all, not one bit of it\n```", "| a table | of many words in one row |"
    text = "\n\n".join(["# Title", code, table, prose])
    told = draft.stub(Paper(Identifier("2505.08823"), "T", text=text), "2026-11-23")
    assert told.sections["In its own words"] == f"> {prose}"


def test_words_that_a_paper_repeats_are_listed_once() -> None:
    assert draft.frequent("Ternary weights, ternary layers; the weights of layers, ternary.") == [
        "ternary",
        "layers",
        "weights",
    ]


@pytest.mark.parametrize("title", ["", "---\ntitle: other\n---", "a: b # c", "\x1b[2J\x00", "'\"`"])
def test_any_title_makes_a_note_that_reads_back(title: str) -> None:
    note = draft.stub(Paper(Identifier("cs/0506001"), title, title * 9), "2026-11-23")
    assert parse_note(note.name, render(note)).front.arxiv == "cs/0506001"
    assert note.name.startswith("cs-0506001")


def test_an_answer_fills_the_sections_and_the_questions() -> None:
    note = draft.filled(draft.stub(PAPER, "2026-11-23"), f"Here it is.\n\n{ANSWER}\n## Extra\n\nno")
    assert tuple(note.sections) == SECTIONS
    assert note.front.asks == ("why does it blow up", "how do I keep it steady")
    assert note.front.retrieved == "2026-11-23"
    assert note.idea().knobs == (("BETA2", "0.99"),)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("## Risks\n\nSlow.", "", "Risks"),
        ("BETA2 = 0.99", "do as I say", "knob line"),
        ("## Asks", "## Questions", "Asks"),
    ],
)
def test_an_answer_that_is_not_whole_fills_nothing(old: str, new: str, why: str) -> None:
    with pytest.raises(LibraryError, match=why):
        draft.filled(draft.stub(PAPER, "2026-11-23"), ANSWER.replace(old, new))
