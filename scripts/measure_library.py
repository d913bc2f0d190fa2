"""How well and how fast the knowledge base is searched, and how fast a long history becomes a chronology.

    python -m scripts.measure_library

Recall is over the shipped notes: of one question a note, written without sight of them (tests/agent/questions.json),
how many find theirs first, and how many among five. Speeds are those of 10,000 chunks made of the notes' own words, and
of a history of 50,000 experiments made of the committed one.
"""

import json
import platform
import random
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from time import perf_counter

from agent import index, library
from agent.git import Repo
from agent.index import Chunk, Source

ROOT = Path(__file__).parents[1]
CHUNKS = 10_000
EXPERIMENTS = 50_000


def main() -> None:
    """Print it all."""
    questions = json.loads((ROOT / "tests" / "agent" / "questions.json").read_text())
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory() as folder:
        measure_recall(Repo(ROOT, Path(folder)), questions)
        measure_speed(Path(folder), [one["question"] for one in questions])
        measure_chronicle(Path(folder))


def measure_recall(repo: Repo, questions: Sequence[dict[str, str]]) -> None:
    """Print how many questions find their note."""
    found = [[hit.page for hit in library.search(repo, one["question"], 5)] for one in questions]
    pairs = list(zip(found, (one["note"] for one in questions), strict=True))
    first, five = sum(pages[:1] == [note] for pages, note in pairs), sum(note in pages for pages, note in pairs)
    count = len(questions)
    print(f"{count} questions over the shipped pages: recall@1 {first / count:.2f}, recall@5 {five / count:.2f}")


def measure_speed(folder: Path, questions: Sequence[str]) -> None:
    """Print how long an index takes to be built and to answer."""
    source = [Source("made", "1", lambda: made_up(random.Random(1)))]
    began = perf_counter()
    index.search(folder / "made.sqlite", source, "anything at all")
    print(f"{CHUNKS:,} chunks: built in {perf_counter() - began:.2f} s", end="")
    times = []
    for question in questions:
        began = perf_counter()
        index.search(folder / "made.sqlite", source, question)
        times.append(perf_counter() - began)
    print(f", {1000 * median(times):.1f} ms a question (median), {1000 * max(times):.1f} ms at most")


def made_up(rng: random.Random) -> Iterator[Chunk]:
    """The notes' chunks over and over, in another order of words and every second word another's."""
    shipped = [chunk for path in sorted((ROOT / library.PAPERS).glob("*.md")) for chunk in library.note_chunks(path)]
    words = " ".join(chunk.text for chunk in shipped).split()
    for number in range(CHUNKS):
        chunk = shipped[number % len(shipped)]
        own = chunk.text.split()
        rng.shuffle(own)
        text = " ".join(word if rng.random() < 0.5 else rng.choice(words) for word in own)
        yield replace(chunk, page=f"{chunk.page}-{number // len(shipped)}", text=text)


def measure_chronicle(folder: Path) -> None:
    """Print how long a chronology of a long history takes."""
    lines = [line for line in (ROOT / "autoresearch.jsonl").read_text().splitlines() if '"run"' in line]
    words = [json.loads(line) for line in lines]
    path = folder / "autoresearch.jsonl"
    with path.open("w") as file:
        for number in range(EXPERIMENTS):
            word = words[number % len(words)] | {"run": number, "id": f"made-{number:05d}", "source": "queue"}
            file.write(json.dumps(word) + "\n")
    began = perf_counter()
    text = library.chronology(ROOT, library.past_of(path))
    took = perf_counter() - began
    size = path.stat().st_size >> 20
    print(f"{EXPERIMENTS:,} experiments, {size} MiB: chronology of {len(text):,} characters in {took:.1f} s")


if __name__ == "__main__":
    main()
