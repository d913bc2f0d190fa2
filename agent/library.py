"""The knowledge base on disk: notes of papers, lessons and past experiments, found by name or by question."""

import contextlib
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from agent import arxiv, index, outcome
from agent.chronicle import Lesson, chronicle
from agent.git import Repo
from agent.history import HISTORY
from agent.ideas import slug_of
from agent.index import Chunk, Hit, Source
from agent.note import Note, parse_note, parts, read_yaml, split_front, without_code
from agent.opening import home
from agent.past import ELSEWHERE, Past, read_past
from agent.queue import IDEAS
from bench import files
from bench.errors import LibraryError, UsageError

KB = Path("kb")
PAPERS = KB / "papers"
CHRONOLOGY = KB / "chronology.md"
WEIGHTS = {"Title": 0.5, "Asks": 1.0, "Claim": 0.7, "Mechanism": 0.7, "lesson": 0.7, "experiment": 0.5}
"""What a chunk counts. Chosen on questions that are not those of the test."""
OTHER = 0.4
"""What every other section of a note counts."""


def read_notes(root: Path) -> tuple[list[Note], list[str]]:
    """The notes that read, by file name, and what is wrong with the others."""
    notes, problems = list[Note](), list[str]()
    for path in sorted((root / PAPERS).glob("*.md")):
        try:
            notes.append(parse_note(path.stem, text_of(path)))
        except LibraryError as error:
            problems.append(str(error))
    return notes, problems


def find_note(notes: Sequence[Note], wanted: str) -> Note:
    """The note of an arXiv identifier in any form, or of a file's name. Raises UsageError."""
    known = arxiv.identifier(wanted)
    for note in notes:
        if wanted in (note.name, note.front.url, f"{PAPERS}/{note.name}.md") or (
            known and known.name == note.front.arxiv
        ):
            return note
    fetch = f": `nightshift kb add {known}` fetches it" if known else "; `nightshift kb list` lists them"
    raise UsageError(f"no note of {wanted!r} in {PAPERS}{fetch}")


def lessons(root: Path) -> list[Path]:
    """The pages of the knowledge base that are about no single paper, but for the queue and the chronology."""
    folders = [root / KB, *(path for path in sorted((root / KB).glob("*/")) if path != root / PAPERS)]
    apart = (root / CHRONOLOGY, root / IDEAS)
    return [path for folder in folders for path in sorted(folder.glob("*.md")) if path not in apart]


def journals(repo: Repo) -> list[Path]:
    """Where experiments are told: the committed history, then the nights of this clone."""
    return [repo.root / HISTORY, *sorted(home(repo).glob("*/autoresearch.jsonl"))]


def experiments(repo: Repo) -> list[Past]:
    """Every experiment that is known here, once; a night's own journal has the last word on its experiments."""
    return list({one.id: one for path in journals(repo) for one in past_of(path)}.values())


def past_of(path: Path) -> list[Past]:
    """The experiments of one file; none where there is no such file."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", errors="replace") as lines:
        return read_past(lines)


def search(repo: Repo, question: str, most: int = 5) -> list[Hit]:
    """The pages and experiments that answer a question best, with the files that they are in.

    Raises UsageError for a question without words.
    """
    papers = sorted(_pages(repo.root / PAPERS))
    sources = [_source(path, state, note_chunks) for path, state in papers]
    sources += [_source(str(path), path.stat(), lesson_chunks) for path in lessons(repo.root)]
    sources += [_source(str(path), path.stat(), experiment_chunks) for path in journals(repo) if path.is_file()]
    return index.search(home(repo) / "search.sqlite", sources, question, most)


def _pages(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """The Markdown files of a folder, without a Path for each: a search looks at them all."""
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        yield from ((entry.path, entry.stat()) for entry in entries if entry.name.endswith(".md"))


def _source(path: str, state: os.stat_result, cut: Callable[[Path], Iterator[Chunk]]) -> Source:
    return Source(path, f"{state.st_size} {state.st_mtime_ns}", lambda: cut(Path(path)))


def note_chunks(path: Path) -> Iterator[Chunk]:
    """A note is found by its title, its questions and its sections; one that does not read by its words."""
    try:
        note = parse_note(path.stem, text_of(path))
    except LibraryError:
        yield Chunk(path.stem, "paper", path.stem, "", text_of(path))
        return
    front = note.front
    texts = {"Title": f"{front.title} {' '.join(front.topics)} {front.lane} {note.key}", "Asks": "\n".join(front.asks)}
    for heading, text in {**texts, **note.sections}.items():
        if text:
            yield Chunk(note.name, "paper", front.title, heading, without_code(text), WEIGHTS.get(heading, OTHER))


def lesson_chunks(path: Path) -> Iterator[Chunk]:
    """Each section of a lesson is found by itself."""
    title = title_of(path)
    for heading, text in parts(split_front(text_of(path))[1]):
        if text:
            page, name = (f"{path.stem}#{slug_of(heading)}", f"{title}: {heading}") if heading else (path.stem, title)
            yield Chunk(page, "lesson", name, "", f"{name}\n{without_code(text)}", WEIGHTS["lesson"])


def experiment_chunks(path: Path) -> Iterator[Chunk]:
    """An experiment is found by what was tried, and why, and what came of it."""
    for one in past_of(path):
        kind, words = "experiment", [one.title, one.lane, one.status, one.reason, one.hypothesis, one.detail]
        if one.elsewhere:
            kind, words = ELSEWHERE, [f"{one.title}: {outcome.told(one)}", one.hypothesis]
        yield Chunk(one.id, kind, one.title, "", "\n".join(words), WEIGHTS["experiment"])


def chronology(root: Path, finished: Sequence[Past]) -> str:
    """The text of kb/chronology.md."""
    pages = [
        Lesson(str(path.relative_to(root / KB)), title_of(path), tuple(front_of(path).get("lanes", ())))
        for path in lessons(root)
    ]
    return chronicle(finished, pages)


def write_learnt(root: Path, finished: Sequence[Past]) -> list[Path]:
    """Write what happened here into the notes, and the chronology; returns the files that changed."""
    pages = {root / CHRONOLOGY: chronology(root, finished)}
    for note in read_notes(root)[0]:
        path = root / PAPERS / f"{note.name}.md"
        pages[path] = outcome.with_happened(text_of(path), outcome.happened(note, finished))
    changed = [path for path, text in pages.items() if not path.exists() or text_of(path) != text]
    for path in changed:
        files.write_atomic(path, pages[path].encode())
    return changed


def title_of(path: Path) -> str:
    """A page's title: of its front matter, of its first heading, or its file's name."""
    found = re.search(r"^# (.+)$", text_of(path), re.MULTILINE)
    return str(front_of(path).get("title") or (found[1].strip() if found else path.stem))


def front_of(path: Path) -> Mapping[str, Any]:
    """A page's front matter; nothing where it has none that reads."""
    head, _ = split_front(text_of(path))
    with contextlib.suppress(yaml.YAMLError):
        front = read_yaml(head or "")
        return front if isinstance(front, dict) else {}
    return {}


def text_of(path: Path) -> str:
    """A page's text; what is not UTF-8 shows as such."""
    return path.read_text(encoding="utf-8", errors="replace")
