"""A corpus and a configuration small enough for a reference BLAS."""

from pathlib import Path

import mlx.core as mx
import numpy as np
from mlx.utils import tree_unflatten

from trainer.config import Config, read_config
from trainer.model import GPT

# Odd on purpose: a block in the middle has no skip, and 80 positions are no whole number of query blocks.
SMALL = {
    "VOCAB_SIZE": "96",
    "NUM_LAYERS": "3",
    "MODEL_DIM": "32",
    "NUM_HEADS": "4",
    "NUM_KV_HEADS": "2",
    "TRAIN_SEQ_LEN": "80",
    "TRAIN_BATCH_TOKENS": "640",
    "KEEP_FLOAT_MAX_NUMEL": "512",
}


def small_config(**knobs: object) -> Config:
    """`SMALL` with some knobs set otherwise."""
    return read_config(SMALL | {name: str(value) for name, value in knobs.items()}, "tiny")


def write_shard(path: Path, tokens: np.ndarray, *, magic: int = 20240520, version: int = 1, count: int = -1) -> None:
    """A shard, with a header that may lie."""
    header = np.zeros(256, "<i4")
    header[:3] = magic, version, len(tokens) if count < 0 else count
    path.write_bytes(header.tobytes() + tokens.astype("<u2").tobytes())


def text(seed: int, count: int) -> np.ndarray:
    """Tokens below 96 in which each is mostly decided by the one before."""
    rng = np.random.default_rng(seed)
    jumps = rng.choice([1, 1, 1, 1, 7, 40], count)
    return np.cumsum(jumps) % 96


def shaken(model: GPT) -> GPT:
    """Add noise to every weight, large enough to matter and small enough to be a plausible model."""
    keys = mx.random.split(mx.random.key(7), len(model.weights()))
    moved = [
        (name, weight + 0.2 * mx.random.normal(weight.shape, key=key))
        for key, (name, weight) in zip(keys, model.weights().items(), strict=True)
    ]
    model.update(tree_unflatten(moved))
    return model
