"""What `nightshift kb check` says of a knowledge base."""

import json
from pathlib import Path

import pytest

from agent import checks, library
from agent.past import Past, read_past
from tests.fakes import fake_tree

NOTE = """---
title: A paper
arxiv: '2505.08823'
---

## Claim

See [the other](2001.00001-other.md#claim) and [the web](https://example.org/dead).

## What to change in trainer/

```knobs
QUALITY = 0.9
```
"""
LINE = json.dumps(
    {"run": 2, "id": "n-0002", "status": "discard", "reason": "none", "description": "it", "notes": ["2505.08823"]}
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A sound knowledge base of two notes, a lesson and a chronology."""
    for name, content in fake_tree().items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    papers = tmp_path / "kb" / "papers"
    papers.mkdir(parents=True)
    (papers / "2505.08823-paper.md").write_text(NOTE)
    other = NOTE.replace("2505.08823", "2001.00001").replace("2001.00001-other.md", "../lesson.md")
    (papers / "2001.00001-other.md").write_text(other.replace("#claim", "#what-it-was"))
    (tmp_path / "kb" / "lessons").mkdir()
    (tmp_path / "autoresearch.jsonl").write_text(LINE + "\n")
    (tmp_path / "kb" / "lesson.md").write_text("# A lesson\n\n## What it was\n\n`n-0002` showed nothing.\n")
    library.write_learnt(tmp_path, finished())
    return tmp_path


def finished() -> list[Past]:
    return read_past([LINE])


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_sound_one_has_no_problems(root: Path) -> None:
    assert checks.problems(root, finished()) == []


def test_what_happened_was_written_and_is_looked_at(root: Path) -> None:
    path = root / "kb/papers/2505.08823-paper.md"
    assert "[n-0002](../../autoresearch.jsonl) it: discard (none)" in path.read_text()
    change(path, "discard (none)", "keep (improved)")
    assert [one for one in checks.problems(root, finished()) if "is not what the committed history says" in one]


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        ("papers/2505.08823-paper.md", "2001.00001-other.md", "2001.00001-gone.md", "leads nowhere"),
        ("papers/2505.08823-paper.md", "other.md#claim", "other.md#risks", "no heading of that name"),
        ("papers/2505.08823-paper.md", "2001.00001-other.md", "/etc/passwd", "leads nowhere"),
        ("papers/2001.00001-other.md", "arxiv: '2001.00001'", "arxiv: '2505.08823'", "has 2 notes"),
        ("papers/2505.08823-paper.md", "QUALITY = 0.9", "QALITY = 0.9", "there is no knob QALITY"),
        ("papers/2505.08823-paper.md", "QUALITY = 0.9", "quality: much", "is not a knob line"),
        ("papers/2505.08823-paper.md", "## What to change in trainer/", "## What to do", "say which function or knob"),
        ("papers/2505.08823-paper.md", "title: A paper", "title: [", "no YAML"),
        ("lesson.md", "`n-0002`", "`n-0003`", "cites the experiment n-0003"),
        ("chronology.md", "1 experiment", "2 experiments", "chronology.md is not what"),
    ],
)
def test_each_fault_is_named_with_its_file(root: Path, file: str, old: str, new: str, says: str) -> None:
    change(root / "kb" / file, old, new)
    found = [one for one in checks.problems(root, finished()) if says in one]
    assert len(found) == 1
    assert found[0].startswith("kb/")
    assert "\n" not in found[0]


def test_a_link_inside_a_fence_is_code(root: Path) -> None:
    change(root / "kb" / "lesson.md", "showed nothing.", "showed nothing.\n\n```python\nx = [a](b)\n```")
    assert checks.problems(root, finished()) == []
