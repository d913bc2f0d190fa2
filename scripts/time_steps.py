"""Times whole training steps of one form and prints them as one JSON line; `compare_reference.py` starts it.

`FORM SIZE STEPS SECONDS`: the forms `shipped` and `float32` are the reference, `ours` is trainer/; the settings are in
the environment. The first step is for warming up and does not count, unless it takes longer than SECONDS: then it is
the only one.
"""

import json
import os
import sys
import time
from collections.abc import Callable

import mlx.core as mx
import numpy as np

from scripts import reference
from scripts.ours import Ours
from trainer.config import Config, read_config
from trainer.train import accumulate

SEED = 1
ITERATIONS = 100
SHORT = (2, 32)
"""Rows and length of a batch that costs next to nothing: it has the kernels compiled before the first step."""

Step = Callable[[np.ndarray, np.ndarray], float]


def main() -> None:
    """Wall and CPU seconds of each step that counts."""
    form, size, steps, slow_s = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    config = read_config(os.environ, size)
    step = warm(form, config)
    rng = np.random.default_rng(SEED)
    length = config.train_seq_len
    rows = config.train_batch_tokens // length
    counted: list[dict[str, float]] = []
    for number in range(1 + steps):
        ids = rng.integers(0, config.vocab_size, (rows, length + 1), np.int32)
        wall, cpu = time.perf_counter(), time.process_time()
        loss = step(ids[:, :-1], ids[:, 1:])
        seen = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
        print(f"{size} {form} step {number}: {seen['wall_s']:.2f} s, loss {loss:.4f}", file=sys.stderr, flush=True)
        slow = seen["wall_s"] > slow_s
        if number > 0 or slow:
            counted.append(seen)
        if slow:
            break
    print(json.dumps(counted))


def warm(form: str, config: Config) -> Step:
    """The step function of a form whose kernels are compiled."""
    ids = np.zeros(SHORT, np.int32)
    if form == "ours":
        ours = Ours(config, SEED, ITERATIONS)
        accumulate(ours.loss_and_grads, ids, ids, len(ids))
        return ours.step
    theirs = reference.Reference(reference.load(reference.find(os.environ), float32=form == "float32"), SEED)
    mx.eval(theirs.loss_and_grads(mx.array(ids), mx.array(ids)))
    return theirs.step


if __name__ == "__main__":
    main()
