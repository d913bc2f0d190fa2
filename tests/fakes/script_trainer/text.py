"""Made-up text: letters, each with followers of its own. No proposal may change it."""

import numpy as np
from numpy.typing import NDArray

LETTERS = 16


def sample(rng: np.random.Generator, count: int) -> NDArray[np.int64]:
    """So many letters."""
    followers = np.random.default_rng(1).dirichlet(np.full(LETTERS, 0.3), size=LETTERS)
    letters = np.zeros(count, dtype=np.int64)
    for at in range(1, count):
        letters[at] = rng.choice(LETTERS, p=followers[letters[at - 1]])
    return letters
