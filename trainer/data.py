"""Training text: Parameter Golf shards, and the windows drawn from them.

A shard is 256 little-endian int32 (magic 20240520, version 1, number of tokens, zeros), then the tokens as uint16.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

MAGIC, VERSION, HEADER_BYTES = 20240520, 1, 1024


class ShardError(ValueError):
    """Training data that cannot be used; its text is one line."""


def open_shard(path: Path) -> np.ndarray:
    """Map a shard's tokens (uint16) into memory. Raises ShardError where the file is not what its header says."""
    header = np.fromfile(path, "<i4", 256)
    if len(header) < 256 or header[0] != MAGIC:
        raise ShardError(f"{path} is not a shard: its magic is not {MAGIC}")
    if header[1] != VERSION:
        raise ShardError(f"{path} is a shard of version {header[1]}: only version {VERSION} can be read")
    count = (path.stat().st_size - HEADER_BYTES) / 2
    if header[2] != count or count < 1:
        raise ShardError(f"{path} says that it holds {header[2]} tokens and holds {count:g}")
    return np.memmap(path, "<u2", "r", HEADER_BYTES)


def open_shards(folder: Path) -> list[np.ndarray]:
    """All training shards of a folder, in the order of their names. Raises ShardError where there is none."""
    paths = sorted(folder.glob("*_train_*.bin"))
    if not paths:
        raise ShardError(f"no *_train_*.bin in {folder}: type `nightshift data prepare`")
    return [open_shard(path) for path in paths]


def check_vocabulary(folder: Path, vocab_size: int) -> None:
    """Raise ShardError where the tokenizer beside the shards has another number of pieces than `vocab_size`."""
    model = folder / "tokenizer.model"
    if not model.is_file():
        return
    import sentencepiece  # its 30 ms are not spent where there is no tokenizer

    try:
        pieces = sentencepiece.SentencePieceProcessor(model_file=str(model)).get_piece_size()
    except (OSError, RuntimeError) as error:
        raise ShardError(f"{model} is not a tokenizer: type `nightshift data prepare`") from error
    if pieces != vocab_size:
        raise ShardError(
            f"VOCAB_SIZE is {vocab_size} and the tokenizer of this data has {pieces} pieces: set VOCAB_SIZE = {pieces}"
        )


def windows(shards: list[np.ndarray], length: int, seed: int) -> Iterator[np.ndarray]:
    """Windows of `length` + 1 tokens (int32), for ever: inputs are all but the last, targets all but the first.

    Each pass visits every window of the corpus once, in a random order and from a random offset into the shards, so
    that passes do not repeat the same windows. The order depends on the shards, the length and the seed alone: it has
    a random generator of its own, whatever the model does with its.
    """
    rng = np.random.default_rng(seed)
    if all(len(shard) <= length for shard in shards):
        raise ShardError(f"no training shard is longer than a window of {length} tokens")
    while True:
        offset = int(rng.integers(length))
        counts = [max(0, (len(shard) - 1 - offset) // length) for shard in shards]
        firsts = np.concatenate([[0], np.cumsum(counts)])
        for window in rng.permutation(firsts[-1]):
            shard = int(np.searchsorted(firsts, window, side="right")) - 1
            begin = offset + int(window - firsts[shard]) * length
            yield shards[shard][begin : begin + length + 1].astype(np.int32)


def batches(
    shards: list[np.ndarray], length: int, rows: int, vocab_size: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Inputs and targets (rows, length), int32, from successive windows. Raises ShardError for an id of no token."""
    stream = windows(shards, length, seed)
    while True:
        batch = np.stack([next(stream) for _ in range(rows)])
        if batch.max() >= vocab_size:
            raise ShardError(f"the training shards hold the id {batch.max()}: VOCAB_SIZE is {vocab_size}")
        yield batch[:, :-1], batch[:, 1:]
