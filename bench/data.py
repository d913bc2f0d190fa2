"""The prepared data: three disjoint splits of token shards, a tokenizer, and the manifest that seals them.

::

    ROOT/manifest.json            what is here, with hashes
         tokenizer.model          the bench's own copy: the ruler
         train/                   all that the trainer sees: NAME_train_*.bin and its copy of tokenizer.model
         val/NAME_val_*.bin       what the night searches on
         audit/NAME_audit_*.bin   sealed: only an audit reads it

Whether the folder is opened or written, nothing here needs more than NumPy.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np

from bench.errors import DataError
from bench.shards import HEADER_BYTES, TOKEN_BYTES, Stream, Tokens, read_shard
from bench.tokenizer import BOS, ByteCounts

SplitName = Literal["train", "val", "audit"]
SPLITS: Final[tuple[SplitName, ...]] = ("train", "val", "audit")
MANIFEST = "manifest.json"
TOKENIZER = "tokenizer.model"
FORMAT = 1
PREPARE = "type `nightshift data prepare`"
COUNTED_AT_ONCE = 1 << 22


@dataclass(frozen=True)
class Shard:
    """One shard file: its name inside the split's folder, its tokens and the hash of the whole file."""

    name: str
    tokens: int
    sha256: str


@dataclass(frozen=True)
class Split:
    """One split: how much there is of it, and its shards in order."""

    tokens: int
    """All ids, those that begin a document included."""
    bytes: int
    """UTF-8 bytes of the text that the ids after the first stand for."""
    documents: int
    shards: tuple[Shard, ...]


@dataclass(frozen=True)
class Dataset:
    """A prepared data folder that was whole when it was opened."""

    root: Path
    source: str
    vocab_size: int
    digest: str
    """SHA-256 of the manifest, in hex: two data folders with the same digest hold the same bytes."""
    tokenizer_sha256: str
    splits: Mapping[SplitName, Split]

    @property
    def key(self) -> str:
        """What a person and a journal call it: the source, and the start of the digest."""
        return f"{self.source} {self.digest[:16]}"

    @property
    def train_dir(self) -> Path:
        """The folder that the trainer sees: training shards and a tokenizer, nothing else."""
        return self.root / "train"

    @property
    def tokenizer(self) -> Path:
        """The bench's own copy of the tokenizer model."""
        return self.root / TOKENIZER

    @property
    def document_start(self) -> int:
        """The id that begins every document."""
        return BOS

    def shard_paths(self, split: SplitName) -> list[Path]:
        """The shard files of a split, in order."""
        return [self.root / split / shard.name for shard in self.splits[split].shards]

    def tokens(self, split: SplitName) -> Tokens:
        """All ids (tokens,) of a split; mapped from disk where it is one shard. Raises DataError on a bad shard."""
        shards = [read_shard(path, self.vocab_size) for path in self.shard_paths(split)]
        return shards[0] if len(shards) == 1 else np.concatenate(shards)

    def stream(self, split: SplitName) -> Stream:
        """The ids of a split, read from disk a slice at a time however long it is. Raises DataError on a bad shard."""
        return Stream([(path, len(read_shard(path, self.vocab_size))) for path in self.shard_paths(split)])


def open_dataset(root: Path) -> Dataset:
    """The dataset prepared in `root`, checked as far as can be done in a blink.

    Manifest, tokenizer, and every shard's header, size and ids are checked, and that nothing lies beside the training
    shards. Raises DataError with one line that says what is wrong. `verify` compares the full hashes.
    """
    dataset = read_manifest(root)
    for copy in (dataset.tokenizer, dataset.train_dir / TOKENIZER):
        if not copy.is_file() or _sha256(copy) != dataset.tokenizer_sha256:
            raise DataError(f"{copy} is not the tokenizer this data was prepared with: {PREPARE}")
    for split in SPLITS:
        for shard, path in zip(dataset.splits[split].shards, dataset.shard_paths(split), strict=True):
            if (count := len(read_shard(path, dataset.vocab_size))) != shard.tokens:
                raise DataError(f"{path} holds {count} tokens where the manifest says {shard.tokens}: {PREPARE}")
    expected = {shard.name for shard in dataset.splits["train"].shards} | {TOKENIZER}
    if strays := sorted({path.name for path in dataset.train_dir.iterdir()} - expected):
        raise DataError(f"{dataset.train_dir / strays[0]} does not belong there, and the trainer would see it: move it")
    return dataset


def verify(dataset: Dataset) -> None:
    """Reads every shard whole and compares its hash. Raises DataError naming the first that differs."""
    for split in SPLITS:
        for shard, path in zip(dataset.splits[split].shards, dataset.shard_paths(split), strict=True):
            if _sha256(path) != shard.sha256:
                raise DataError(f"{path} has changed since it was prepared: {PREPARE}")


def seal(folder: Path, source: str, vocab_size: int) -> None:
    """Counts and hashes the shards laid out in `folder`, gives the trainer its tokenizer, and writes the manifest.

    Raises DataError if a shard is bad or a split is empty.
    """
    counts = ByteCounts.load(folder / TOKENIZER)
    if len(counts.own) != vocab_size:
        raise DataError(f"the tokenizer has {len(counts.own)} pieces where the shards need {vocab_size}")
    shutil.copyfile(folder / TOKENIZER, folder / "train" / TOKENIZER)
    manifest = {
        "format": FORMAT,
        "source": source,
        "vocab_size": vocab_size,
        "tokenizer_sha256": _sha256(folder / TOKENIZER),
        "splits": {split: asdict(_measure(folder / split, vocab_size, counts)) for split in SPLITS},
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


@contextmanager
def replacing(root: Path) -> Iterator[Path]:
    """An empty folder beside `root` that takes its place once the block has ended well.

    A block that fails, or a machine that stops, leaves the old `root` as it was. Raises DataError if another process
    is preparing data here.
    """
    root = root.resolve()
    new, old = root.with_name(f".{root.name}.new"), root.with_name(f".{root.name}.old")
    root.parent.mkdir(parents=True, exist_ok=True)
    parent = os.open(root.parent, os.O_RDONLY)
    try:
        try:
            # The lock is on the parent folder itself: it ends with the process and leaves no file behind.
            fcntl.flock(parent, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DataError(f"another process is preparing data in {root}: wait for it to end") from error
        _settle(root, new, old)
        for split in SPLITS:
            (new / split).mkdir(parents=True)
        try:
            yield new
            if root.exists():
                root.rename(old)
            new.rename(root)
        finally:
            _settle(root, new, old)
    finally:
        os.close(parent)


def _settle(root: Path, new: Path, old: Path) -> None:
    """Whatever was cut short, `root` is what it was, or what it has become, and nothing else is left."""
    if old.exists() and not root.exists():
        old.rename(root)
    shutil.rmtree(new, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


def read_manifest(root: Path) -> Dataset:
    """What the manifest of the data in `root` says, and no more of it looked at. Raises DataError."""
    path = root / MANIFEST
    if not path.is_file():
        raise DataError(f"no data prepared in {root}: {PREPARE}")
    content = path.read_bytes()
    try:
        manifest = json.loads(content)
        if manifest["format"] != FORMAT:
            raise DataError(f"{path} is of format {manifest['format']}, this program reads {FORMAT}: {PREPARE}")
        return Dataset(
            root=root,
            source=str(manifest["source"]),
            vocab_size=int(manifest["vocab_size"]),
            digest=hashlib.sha256(content).hexdigest(),
            tokenizer_sha256=str(manifest["tokenizer_sha256"]),
            splits={
                name: Split(**{**split, "shards": tuple(Shard(**shard) for shard in split["shards"])})
                for name, split in ((name, manifest["splits"][name]) for name in SPLITS)
            },
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} is malformed ({type(error).__name__}: {error}): {PREPARE}") from error


def _measure(folder: Path, vocab_size: int, counts: ByteCounts) -> Split:
    tokens = text_bytes = documents = 0
    shards: list[Shard] = []
    last = None
    for path in sorted(folder.glob("*.bin")):
        ids = read_shard(path, vocab_size)
        for start in range(0, len(ids), COUNTED_AT_ONCE):
            targets = ids[start : start + COUNTED_AT_ONCE]
            # The first id of all has nothing before it, so it is no target and its bytes are not scored.
            previous = np.concatenate([[BOS if last is None else last], targets[:-1]])
            skipped = 1 if last is None else 0
            text_bytes += int(counts.byte_counts(previous[skipped:], targets[skipped:]).sum())
            documents += int((targets == BOS).sum())
            last = targets[-1]
        tokens += len(ids)
        shards.append(Shard(path.name, (path.stat().st_size - HEADER_BYTES) // TOKEN_BYTES, _sha256(path)))
    if not shards:
        raise DataError(f"there is no text for the {folder.name} split: give a larger source")
    return Split(tokens, text_bytes, documents, tuple(shards))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
