"""Made-up text that can be learnt and made again anywhere: a chain in which each id has a few likely followers."""

from collections.abc import Iterator

import numpy as np

from trainer.config import Config

FOLLOWERS = 4
STRAY = 0.2
"""How often the next id is any id at all."""


def batches(config: Config, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Inputs and targets (rows, time), int32, for ever; they depend on their shapes, the vocabulary and the seed."""
    rows, length = config.train_batch_tokens // config.train_seq_len, config.train_seq_len
    rng = np.random.default_rng(seed)
    followers = rng.integers(0, config.vocab_size, (config.vocab_size, FOLLOWERS))
    ids = np.zeros((rows, length + 1), np.int32)
    while True:
        choices = rng.integers(0, FOLLOWERS, ids.shape)
        strays = rng.integers(0, config.vocab_size, ids.shape)
        strayed = rng.random(ids.shape) < STRAY
        ids = ids.copy()
        ids[:, 0] = strays[:, 0]
        for i in range(1, length + 1):
            ids[:, i] = np.where(strayed[:, i], strays[:, i], followers[ids[:, i - 1], choices[:, i]])
        yield ids[:, :-1], ids[:, 1:]
