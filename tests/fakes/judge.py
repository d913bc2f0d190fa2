"""A judge in a process of its own: `SHARD TARGETS FOLDER` scores a cheap model and prints the judge's peak memory."""

import json
import sys
import tracemalloc
from pathlib import Path
from threading import Event

import numpy as np

from bench.profiles import Limits
from bench.score import Text, audit, score
from bench.shards import Stream, read_shard
from bench.tokenizer import ByteCounts

VOCABULARY = 16
MODEL = f"""
import mlx.core as mx

def load(path):
    return lambda tokens: mx.zeros((*tokens.shape, {VOCABULARY}))
"""


def main() -> None:
    """Score the shard and say, in bytes, what was allocated and what was resident at the most."""
    shard, targets, folder = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    (folder / "tree" / "trainer").mkdir(parents=True)
    (folder / "tree" / "trainer" / "__init__.py").touch()
    (folder / "tree" / "trainer" / "model.py").write_text(MODEL)
    (folder / "artifact.bin").touch()
    homes = [folder / "home", folder / "audit"]
    for home in homes:
        home.mkdir()
    every = np.ones(VOCABULARY, dtype=np.int64)
    text = Text(
        tokens=Stream([(shard, len(read_shard(shard, VOCABULARY)))]),
        counts=ByteCounts(every, every < 1, every < 1),
        document_start=1,
        vocab_size=VOCABULARY,
    )
    stop, served = Event(), (folder / "tree", folder / "artifact.bin", text)
    tracemalloc.start()
    found = score(*served, home=homes[0], length=256, targets=targets, limits=Limits(), stop=stop)
    audit(*served, found, home=homes[1], limits=Limits(), stop=stop)
    status = Path("/proc/self/status")
    resident = 0
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        resident = 1024 * int(line.split()[1])
    print(json.dumps({"tokens": found.tokens, "traced": tracemalloc.get_traced_memory()[1], "resident": resident}))


if __name__ == "__main__":
    main()
