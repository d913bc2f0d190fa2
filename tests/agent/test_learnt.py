"""What was learnt: past experiments as notes, the chronology and the ranking of what to try next show them."""

import json
from pathlib import Path

import pytest

from agent import library
from agent.chronicle import MOST, Lesson, chronicle
from agent.history import append_to_history
from agent.journal import encode
from agent.leads import Lead, leads
from agent.note import CHANGE, Front, Note
from agent.outcome import happened, told, with_happened
from agent.past import Past, read_past
from agent.records import Experiment, Header, Regained, Reverted
from tests.agent.builders import NIGHT, confirmed, dropped, evidence, header
from tests.fakes import fake_tree

ROOT = Path(__file__).parents[2]
FRESH = Regained(timestamp=1, id="night-0003", evidence=evidence("short-confirm", -0.004, -0.006))
TAKEN_OUT = Reverted(timestamp=2, id="night-0003", parent="c" * 40, sha="d" * 40)


def past(*records: Header | Experiment | Regained | Reverted) -> list[Past]:
    return read_past(encode(record) for record in records)


def note(name: str = "2505.08823-norm", change: str = "Write it.", **front: object) -> Note:
    usual: dict[str, object] = {"title": name, "arxiv": name[:10], "lane": "papers"}
    return Note(name, Front.model_validate(usual | front), {CHANGE: change})


def test_a_night_is_told_without_its_baseline() -> None:
    history = past(header(), *NIGHT)
    assert [one.id for one in history] == [f"night-{run:04d}" for run in range(2, 7)]
    assert {one.night for one in history} == {"night"}
    assert [one.kept for one in history] == [False, True, False, False, False]


def test_an_effect_is_confirms_where_it_came_so_far_and_breadths_elsewhere() -> None:
    drop, keep, crash, *_ = past(header(), *NIGHT)
    assert drop.effect is not None
    assert keep.effect is not None
    assert (drop.effect.profile, drop.effect.confirmed) == ("short-breadth", False)
    assert (keep.effect.profile, keep.effect.confirmed, keep.effect.pairs) == ("short-confirm", True, 2)
    assert keep.effect.mean == pytest.approx(-0.019)
    assert keep.effect.low < keep.effect.mean < keep.effect.high
    assert crash.effect is None


def test_a_keep_counts_what_it_gained_on_fresh_pairs() -> None:
    keep = past(header(), *NIGHT, FRESH)[1]
    assert keep.effect is not None
    assert keep.effect.mean == pytest.approx(-0.005)


def test_a_keep_that_was_taken_out_again_is_none() -> None:
    keep = past(header(), *NIGHT, FRESH, TAKEN_OUT)[1]
    assert (keep.kept, keep.reverted) == (False, True)


def test_lines_of_other_programs_are_passed_over() -> None:
    theirs = [
        "",
        "no JSON",
        "7",
        '{"run": 3, "commit": "abc", "metric": 1.0, "status": "keep", "description": "theirs"}',
    ]
    foreign = '{"run": 4, "status": "keep", "asi": "words", "confirm": {"pairs": [1]}, "wall_s": "long"}'
    (one,) = read_past([*theirs, foreign])
    assert (one.id, one.title, one.lane, one.effect) == ("run-0003", "theirs", "other", None)


def test_the_history_tells_what_the_journal_tells() -> None:
    text = append_to_history("", [header(), *NIGHT, FRESH, TAKEN_OUT])
    assert read_past(text.splitlines()) == past(header(), *NIGHT, FRESH, TAKEN_OUT)


def test_a_note_shows_the_experiments_that_cited_it() -> None:
    cited = confirmed(2, "keep", [-0.02, -0.018], notes=("2505.08823",), description="Norm")
    other = dropped(3, notes=("1910.07467",))
    section = happened(note(), past(header(), cited, other))
    assert section.startswith("- [night-0002](../../autoresearch.jsonl) Norm: keep (improved), −19.0 (−25.9 to −12.1)")
    assert "night-0003" not in section
    assert happened(note("1706.03762-attention"), past(header(), cited, other)) == ""


def test_scores_that_are_identical_are_called_so() -> None:
    (one,) = past(header(), dropped(2, breadth=evidence("short-breadth", 0.0, 0.0), reason="no_effect"))
    assert told(one) == "discard (no_effect), identical scores at short-breadth"


def test_what_happened_is_the_last_section_and_replaces_what_it_said_before() -> None:
    page = "---\ntitle: A\n---\n\n## Claim\n\nIt works.\n"
    once = with_happened(page, "- first")
    assert once == f"{page}\n## What happened here\n\n- first\n"
    assert with_happened(once, "- second") == f"{page}\n## What happened here\n\n- second\n"
    assert with_happened(once, "") == page
    assert with_happened(page, "") == page


def test_the_shipped_chronology_is_what_the_committed_history_says() -> None:
    finished = library.past_of(ROOT / "autoresearch.jsonl")
    assert (ROOT / "kb" / "chronology.md").read_text() == library.chronology(ROOT, finished)


def test_a_lane_is_told_with_its_keeps_its_failures_and_its_lessons() -> None:
    nights = [
        *past(header(), *NIGHT, FRESH),
        *past(header(name="other"), dropped(8, id="other-0008", lane="optimizer")),
    ]
    page = chronicle(nights, [Lesson("lessons/a.md", "A lesson", ("optimizer",)), Lesson("b.md", "B", ("export",))])
    other, optimizer = page.index("## other"), page.index("## optimizer")
    assert "`night-0003` MATRIX_LR 0.06: keep (improved), −5.0" in page[optimizer:] + page[other:]
    assert "`night-0006`" in page
    assert "diverged (1)" in page
    assert "Lessons: [A lesson](lessons/a.md)." in page
    assert "b.md" not in page


def test_a_lesson_whose_front_matter_does_not_read_is_still_a_page(tmp_path: Path) -> None:
    (tmp_path / "kb").mkdir()
    (tmp_path / "kb" / "lesson.md").write_text("---\nlanes: [\n---\n# A lesson\n\nIt says little.\n")
    assert library.chronology(tmp_path, []).startswith("# Chronology")
    assert [chunk.title for chunk in library.lesson_chunks(tmp_path / "kb" / "lesson.md")] == ["A lesson"]


def test_a_long_lane_shows_the_largest_gains_and_the_best_measured() -> None:
    keeps = [confirmed(run, "keep", [-run / 1000] * 2, lane="optimizer") for run in range(2, 40)]
    page = chronicle(past(header(), *keeps), [])
    assert page.count("- `night-") == MOST
    assert "night-0039" in page
    assert f"the {MOST} with the largest gains of 38" in page


def test_no_history_is_a_page_too() -> None:
    assert "Nothing has been finished yet" in chronicle([], [])


def test_titles_of_experiments_cannot_break_the_page() -> None:
    page = chronicle(past(header(), dropped(2, description="a\n## heading\x1b[2J", lane="x\n# y")), [])
    assert "\n## heading" not in page
    assert "\x1b" not in page


def ranked(notes: list[Note], history: list[Past], **knobs: str) -> list[Lead]:
    return leads(notes, history, fake_tree(**knobs), "tiny")


READY = "Set it.\n\n```knobs\nQUALITY = 0.9\n```"


def test_what_carries_its_edits_comes_before_words_and_what_is_there_comes_last() -> None:
    notes = [
        note("2001.00001-words"),
        note("2001.00002-ready", READY),
        note("2001.00003-there", shipped="already"),
        note("2001.00004-partly", shipped="partly"),
        note(
            "2001.00005-broken", "```diff\n--- a/trainer/train.py\n+++ b/trainer/train.py\n@@\n-no such line\n+x\n```"
        ),
    ]
    states = [(one.note.name[11:], one.state) for one in ranked(notes, [])]
    assert states == [
        ("ready", "ready"),
        ("words", "words"),
        ("partly", "partly"),
        ("broken", "conflicts"),
        ("there", "contained"),
    ]


def test_what_the_champion_has_is_seen_in_the_champion() -> None:
    assert ranked([note(change=READY)], [])[0].state == "ready"
    assert ranked([note(change=READY)], [], QUALITY="0.9")[0].state == "contained"
    diff = "```diff\n--- a/trainer/train.py\n+++ b/trainer/train.py\n@@\n-import sys\n+import sys as system\n```"
    assert ranked([note(change=diff)], [])[0].state == "ready"
    champion = fake_tree()
    champion["trainer/train.py"] = champion["trainer/train.py"].replace(b"import sys\n", b"import sys as system\n")
    assert leads([note(change=diff)], [], champion, "tiny")[0].state == "contained"


def test_a_lane_that_wins_leads_and_one_that_loses_falls_behind() -> None:
    notes = [note("2001.00001-a", lane="wins"), note("2001.00002-b", lane="new"), note("2001.00003-c", lane="loses")]
    history = past(
        header(),
        *(confirmed(run, "keep", [-0.02, -0.02], lane="wins") for run in range(2, 6)),
        *(dropped(run, lane="loses") for run in range(6, 26)),
    )
    found = ranked(notes, history)
    assert [one.note.front.lane for one in found] == ["wins", "new", "loses"]
    assert found[0].chance > found[1].chance > found[2].chance


def test_a_paper_that_was_tried_is_told_with_what_came_of_it() -> None:
    history = past(header(), dropped(2, notes=("2001.00001",), lane="papers"))
    (one,) = ranked([note("2001.00001-a")], history)
    assert (one.state, one.detail) == ("tried", "night-0002 discard")
    (fresh,) = ranked([note("2001.00002-b")], history)
    assert one.chance < fresh.chance


def test_a_dear_lane_is_worth_less() -> None:
    notes = [note("2001.00001-a", lane="dear"), note("2001.00002-b", lane="cheap")]
    history = past(
        header(),
        *(dropped(run, lane="dear", wall_s=400.0) for run in range(2, 12)),
        *(dropped(run, lane="cheap", wall_s=20.0) for run in range(12, 22)),
    )
    assert [one.note.front.lane for one in ranked(notes, history)] == ["cheap", "dear"]


def test_the_extra_norm_fits_the_shipped_trainer() -> None:
    notes, _ = library.read_notes(ROOT)
    tree = {f"trainer/{path.name}": path.read_bytes() for path in (ROOT / "trainer").glob("*.py")}
    norm = library.find_note(notes, "arXiv:2505.08823v2")
    assert leads([norm], [], tree, "tiny")[0].state == "ready"


def test_every_shipped_note_says_what_to_change_and_every_block_fits() -> None:
    notes, _ = library.read_notes(ROOT)
    tree = {f"trainer/{path.name}": path.read_bytes() for path in (ROOT / "trainer").glob("*.py")}
    assert [(one.note.name, one.detail) for one in leads(notes, [], tree, "tiny") if one.state == "conflicts"] == []
    assert not [one.name for one in notes if not one.sections.get(CHANGE)]


def test_experiments_of_a_line_have_ids_of_their_own() -> None:
    line = json.dumps({"run": 7, "status": "keep"})
    assert read_past(['{"type": "config", "name": "n"}', line])[0].id == "n-0007"
