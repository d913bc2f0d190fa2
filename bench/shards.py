"""Token shards in the Parameter Golf format.

A shard is a header of 256 little-endian int32 (magic 20240520, version 1, token count, zeros), then that many
little-endian uint16 token ids. Source: the reader in openai/parameter-golf, `train_gpt_mlx.py`.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.errors import DataError

MAGIC = 20240520
VERSION = 1
HEADER_INTS = 256
HEADER_BYTES = 4 * HEADER_INTS
TOKEN_BYTES = 2
CHECKED_AT_ONCE = 1 << 20

Tokens = npt.NDArray[np.uint16]


def shard_name(source: str, split: str, index: int) -> str:
    """The file name of a shard: `SOURCE_SPLIT_000000.bin`."""
    return f"{source}_{split}_{index:06d}.bin"


def write_shard(path: Path, tokens: Tokens) -> None:
    """Writes `tokens` (count,) as one shard at `path`, replacing what was there."""
    header = np.zeros(HEADER_INTS, dtype="<i4")
    header[:3] = MAGIC, VERSION, len(tokens)
    with path.open("wb") as file:
        file.write(header.tobytes())
        file.write(np.ascontiguousarray(tokens, dtype="<u2").data)


def read_shard(path: Path, vocab_size: int) -> Tokens:
    """The token ids (count,) of a shard, mapped from disk and read-only.

    Every id is checked, at the speed of reading the file. Raises DataError, naming the file, if it is missing, is no
    shard, is shorter or longer than its header says, or holds an id that is not below `vocab_size`.
    """
    if not path.is_file():
        raise _bad(path, "the file is missing")
    size = path.stat().st_size
    if size < HEADER_BYTES:
        raise _bad(path, f"{size} bytes are fewer than the header's {HEADER_BYTES}")
    with path.open("rb") as file:
        magic, version, count = np.frombuffer(file.read(HEADER_BYTES), dtype="<i4")[:3].tolist()
    if magic != MAGIC:
        raise _bad(path, f"wrong magic {magic}, expected {MAGIC}")
    if version != VERSION:
        raise _bad(path, f"wrong version {version}, expected {VERSION}")
    if count < 1 or size != HEADER_BYTES + TOKEN_BYTES * count:
        raise _bad(path, f"its header says {count} tokens, its size {(size - HEADER_BYTES) / TOKEN_BYTES:g}")
    for start in range(0, count, CHECKED_AT_ONCE):
        ids = read_ids(path, start, min(CHECKED_AT_ONCE, count - start))
        if (highest := int(ids.max())) >= vocab_size:
            where = start + int(np.argmax(ids >= vocab_size))
            raise _bad(path, f"token {where} is beyond the vocabulary of {vocab_size} (an id is {highest})")
    return np.memmap(path, dtype="<u2", mode="r", offset=HEADER_BYTES, shape=(count,))


def read_ids(path: Path, start: int, count: int) -> Tokens:
    """Up to `count` token ids of a checked shard from `start` on, read into memory and not mapped."""
    return np.fromfile(path, dtype="<u2", count=count, offset=HEADER_BYTES + TOKEN_BYTES * start)


class Stream:
    """The token ids of some checked shards as one sequence, of which only the slice asked for is ever in memory.

    A map would do as well but for its pages, which count as the reader's memory once they were touched.
    """

    def __init__(self, shards: Sequence[tuple[Path, int]]) -> None:
        self.shards = tuple(shards)

    def __len__(self) -> int:
        return sum(count for _, count in self.shards)

    def __getitem__(self, part: slice) -> Tokens:
        start, stop, step = part.indices(len(self))
        found = [np.zeros(0, dtype=np.uint16)]
        begin = 0
        for path, count in self.shards:
            low, high = max(start - begin, 0), min(stop - begin, count)
            if low < high:
                found.append(read_ids(path, low, high - low))
            begin += count
        return np.concatenate(found)[::step]


def _bad(path: Path, what: str) -> DataError:
    return DataError(f"bad shard {path}: {what}; type `nightshift data prepare` to write it afresh")
