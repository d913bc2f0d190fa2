"""Full-text search over notes, lessons and past experiments: SQLite's FTS5, ranked by BM25.

What is searched is cut into chunks, and a page's score is its best chunk's and half of every other's: a title, a
handful of questions and a paragraph are of such different lengths that BM25 can weigh each only as a text of its own.
Words are stemmed (Porter), stop words are cut, and what is left of a question is quoted and joined with OR, so that no
text whatever is an error of FTS5's query language.

The index is derived: a file is read again when its size or time of change is another, a damaged index is made anew, and
deleting it loses nothing.
"""

import re
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from bench.errors import MachineError, UsageError

VERSION = 1
REST = 0.5
"""What a page's other chunks count beside its best."""
MOST_ROWS = 600
"""Chunks ranked for a question."""
MOST_TAKEN = 150
"""Of those, the best that are put together to pages."""
SNIPPET = 16
"""Words shown around a match."""
BUSY_S = 10.0
"""Waited for another process that brings the index up to date."""
_STOP = """
    a about after again all also am an and any are as at be because been before being but by can could did do does
    doing done for from get gets getting give given go had has have having he her here him his how i if in into is
    it its just let like make makes making may me might more most much must my need no nor not now of off on once
    one only or other our out over own really same she should so some still such than that the their them then there
    these they this those though through to too try under until up us use used using very want was way we were what
    when where whether which while who why will with without would you your
    """
STOP = frozenset(_STOP.split())

_WORD = re.compile(r"\w+(?:[.+-]\w+)*")


@dataclass(frozen=True)
class Chunk:
    """A piece of a page that is weighed as one."""

    page: str
    """What it is a piece of: a note's file name without `.md`, a lesson's with a section, or an experiment's id."""
    kind: str
    """`paper`, `lesson`, `experiment`, or `elsewhere` for one that another program tells of."""
    title: str
    """The page's."""
    part: str
    """Which piece: one that two files have, such as an experiment of a finished night, counts once."""
    text: str
    weight: float = 1.0


@dataclass(frozen=True)
class Hit:
    """A page that was found. The higher the score, the better, within one search only."""

    page: str
    kind: str
    file: str
    """Name of the source it was found in."""
    title: str
    score: float
    snippet: str


@dataclass(frozen=True)
class Source:
    """A file to search: its name, what tells one state of it from another, and how to cut it up."""

    name: str
    stamp: str
    chunks: Callable[[], Iterable[Chunk]]


def search(path: Path, sources: Sequence[Source], question: str, most: int = 5) -> list[Hit]:
    """The `most` best pages for a question, best first, from an index at `path` that is brought up to date first.

    Raises UsageError for a question without a word in it, and MachineError where no index can be had.
    """
    words = quoted(question)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return _search(path, sources, words, most)
    except sqlite3.DatabaseError:
        with suppress(OSError):
            path.unlink()
    try:
        return _search(path, sources, words, most)
    except sqlite3.DatabaseError as error:
        raise MachineError(f"no search index can be made at {path}: {error}") from error


def quoted(question: str) -> list[str]:
    """The words of a question but for stop words, each quoted as FTS5's query language wants it. Raises UsageError."""
    words = list(dict.fromkeys(_WORD.findall(question.lower())))
    if not words:
        raise UsageError("say in words what to search for")
    return [f'"{word}"' for word in words if word not in STOP] or [f'"{word}"' for word in words]


def _search(path: Path, sources: Sequence[Source], words: Sequence[str], most: int) -> list[Hit]:
    with closing(sqlite3.connect(path, timeout=BUSY_S)) as index:
        known = dict(index.execute("SELECT name, stamp FROM files")) if _made(index) else {}
        if known != {source.name: source.stamp for source in sources}:
            with index:
                index.execute("BEGIN IMMEDIATE")
                _update(index, sources)
        return _find(index, words, most)


def _made(index: sqlite3.Connection) -> bool:
    return bool(index.execute("PRAGMA user_version").fetchone() == (VERSION,))


def _update(index: sqlite3.Connection, sources: Sequence[Source]) -> None:
    if not _made(index):
        for table in ("files", "places", "chunks"):
            index.execute(f"DROP TABLE IF EXISTS {table}")
        index.execute("CREATE TABLE files (name TEXT PRIMARY KEY, stamp TEXT)")
        index.execute(
            "CREATE TABLE places"
            " (id INTEGER PRIMARY KEY, file TEXT, page TEXT, kind TEXT, title TEXT, part TEXT, weight REAL)"
        )
        index.execute("CREATE INDEX places_of_file ON places (file)")
        index.execute("CREATE VIRTUAL TABLE chunks USING fts5(text, tokenize='porter unicode61 remove_diacritics 2')")
        index.execute(f"PRAGMA user_version = {VERSION}")
    known = dict(index.execute("SELECT name, stamp FROM files"))
    for name in known.keys() - {source.name for source in sources}:
        _forget(index, name)
    for source in sources:
        if known.get(source.name) == source.stamp:
            continue
        _forget(index, source.name)
        index.execute("INSERT INTO files VALUES (?, ?)", (source.name, source.stamp))
        for chunk in source.chunks():
            place = (source.name, chunk.page, chunk.kind, chunk.title, chunk.part, chunk.weight)
            row = index.execute("INSERT INTO places VALUES (NULL, ?, ?, ?, ?, ?, ?)", place).lastrowid
            index.execute("INSERT INTO chunks (rowid, text) VALUES (?, ?)", (row, chunk.text))


def _forget(index: sqlite3.Connection, name: str) -> None:
    index.execute("DELETE FROM chunks WHERE rowid IN (SELECT id FROM places WHERE file = ?)", (name,))
    index.execute("DELETE FROM places WHERE file = ?", (name,))
    index.execute("DELETE FROM files WHERE name = ?", (name,))


def _find(index: sqlite3.Connection, words: Sequence[str], most: int) -> list[Hit]:
    query = " OR ".join(_telling(index, words))
    found = index.execute(
        "SELECT page, part, -score * weight, kind, file, title, id FROM"
        " (SELECT rowid AS row, rank AS score FROM chunks WHERE chunks MATCH ? ORDER BY rank LIMIT ?)"
        " JOIN places ON id = row ORDER BY score",
        (query, MOST_TAKEN),
    )
    pages: dict[str, dict[str, tuple[float, str, str, str, int]]] = defaultdict(dict)
    for page, part, *chunk in found:
        pages[page].setdefault(part, tuple(chunk))
    hits = []
    for page, chunks in pages.items():
        best, *others = sorted(chunks.values(), reverse=True)
        hits.append((best[0] + REST * sum(score for score, *_ in others), page, *best[1:]))
    return [_hit(index, query, *hit) for hit in sorted(hits, key=lambda hit: (-hit[0], hit[1]))[:most]]


def _hit(
    index: sqlite3.Connection, query: str, score: float, page: str, kind: str, file: str, title: str, row: int
) -> Hit:
    snippet = f"SELECT snippet(chunks, 0, '', '', '…', {SNIPPET}) FROM chunks WHERE chunks MATCH ? AND rowid = ?"
    text = index.execute(snippet, (query, row)).fetchone()[0]
    return Hit(page, kind, file, title, score, " ".join(text.split()))


def _telling(index: sqlite3.Connection, words: Sequence[str]) -> list[str]:
    """The rarest of the words, as many as MOST_ROWS allows: a word that is everywhere costs most and tells least."""
    count = "SELECT count(*) FROM chunks WHERE chunks MATCH ?"
    counts = {word: index.execute(count, (word,)).fetchone()[0] for word in words}
    rarest = sorted((word for word in words if counts[word]), key=counts.__getitem__) or list(words)
    rows = accumulate(counts[word] for word in rarest)
    return [word for word, so_far in zip(rarest, rows, strict=True) if so_far <= MOST_ROWS] or rarest[:1]
