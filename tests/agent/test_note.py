"""Notes: what a page of kb/papers/ holds, and what is said of one that does not read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.note import CHANGE, Front, Note, parse_note, parts, render
from bench.errors import LibraryError

PAGE = """---
title: "Norms: one more"
arxiv: 2410.20670
year: 2024
topics: [normalization, stability]
lane: papers
shipped: partly
source: by hand
asks:
  - why does it blow up
  - what is "normal"
---

## Claim

It helps.

## What to change in trainer/

Set it.

```knobs
BETA2 = 0.99
```

```python
## no heading, this stands in a fence
```

## Risks

Few.
"""


def test_a_note_is_read() -> None:
    note = parse_note("2410.20670-norms", PAGE)
    assert note.front.title == "Norms: one more"
    assert note.front.asks == ("why does it blow up", 'what is "normal"')
    assert list(note.sections) == ["Claim", CHANGE, "Risks"]
    assert "no heading" in note.sections[CHANGE]
    assert note.sections["Risks"] == "Few."


def test_an_identifier_is_no_number() -> None:
    assert parse_note("n", PAGE).key == "2410.20670"


def test_what_to_change_is_an_idea() -> None:
    idea = parse_note("n", PAGE).idea()
    assert (idea.knobs, idea.lane, idea.papers) == ((("BETA2", "0.99"),), "papers", ("2410.20670",))


def test_a_block_that_does_not_read_is_named() -> None:
    broken = parse_note("norms", PAGE.replace("BETA2 = 0.99", "beta = much"))
    with pytest.raises(LibraryError, match=r"norms: 'beta = much' is not a knob line"):
        broken.idea()


def test_a_page_of_the_web_has_its_name_for_a_key() -> None:
    note = parse_note("muon", "---\ntitle: Muon\nurl: https://example.org/muon\n---\n\n## Claim\n\nIt works.\n")
    assert note.key == "muon"
    assert note.cited_in(("https://example.org/muon",))
    assert not note.cited_in(("2410.20670",))


@pytest.mark.parametrize(
    ("page", "why"),
    [
        ("## Claim\n", "begins with front matter"),
        ("---\ntitle: [\n---\n", "no YAML"),
        ("---\ntitle: A\n---\n", "neither arxiv: nor url:"),
        ("---\narxiv: 2410.20670\n---\n", "title: Field required"),
        ("---\ntitle: A\narxiv: 2410.20670v2\n---\n", "without its version"),
        ("---\ntitle: A\narxiv: a paper\n---\n", "without its version"),
        ("---\ntitle: A\nurl: u\nauthor: me\n---\n", "author"),
        ("---\ntitle: A\nurl: u\nyear: soon\n---\n", "year"),
        ("---\n- a list\n---\n", "it"),
    ],
)
def test_what_does_not_read_is_one_line_that_names_the_note(page: str, why: str) -> None:
    with pytest.raises(LibraryError, match=why) as error:
        parse_note("name", page)
    assert str(error.value).startswith("name")
    assert "\n" not in str(error.value)


LINES = st.text(st.characters(exclude_categories=("C", "Z"), exclude_characters="#`~\x85"), min_size=1, max_size=40)


@given(title=LINES, asks=st.lists(LINES, max_size=4), text=LINES, year=st.none() | st.integers(1990, 2100))
def test_a_note_that_is_written_reads_back(title: str, asks: list[str], text: str, year: int | None) -> None:
    front = Front(title=title, arxiv="2410.20670", asks=tuple(asks), year=year)
    note = Note("n", front, {"Claim": text, "Risks": f"{text}\n\n{text}"})
    assert parse_note("n", render(note)) == note


def test_a_title_heading_is_no_part() -> None:
    assert list(parts("# Title\n\nfirst\n\n## A\n\na\n")) == [("", "first"), ("A", "a")]
