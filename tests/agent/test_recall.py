"""Whether questions in a person's own words find the note that answers them, over the notes as shipped.

`questions.json` was written from the papers' one-line claims without sight of the notes, in words that share as little
as can be with them: one question a note.
"""

import json
from pathlib import Path

from agent import library
from agent.git import Repo

ROOT = Path(__file__).parents[2]
QUESTIONS = json.loads(Path(__file__).with_name("questions.json").read_text())


def test_every_shipped_note_has_a_question() -> None:
    notes, problems = library.read_notes(ROOT)
    assert problems == []
    assert sorted(one["note"] for one in QUESTIONS) == [note.name for note in notes]


def test_most_questions_find_their_note(tmp_path: Path) -> None:
    repo = Repo(ROOT, tmp_path)
    found = [[hit.page for hit in library.search(repo, one["question"], 5)] for one in QUESTIONS]
    first = sum(pages[:1] == [one["note"]] for pages, one in zip(found, QUESTIONS, strict=True))
    five = sum(one["note"] in pages for pages, one in zip(found, QUESTIONS, strict=True))
    assert five / len(QUESTIONS) >= 0.85
    assert first / len(QUESTIONS) >= 0.60
