"""val_bpb computed a second time, from the artifact and the data folder alone.

The model is read and run in float64 NumPy (tests/trainer/numpy_model.py), and the bytes are counted by decoding the
text. Nothing of the trainer, and of the bench only the reading of shards, has a part in it.

    python -m tests.independent ARTIFACT breadth        prints what `nightshift bench --profile breadth` should have
"""

import itertools
import math
import sys
from pathlib import Path

import numpy as np
import sentencepiece

from bench.data import Dataset, open_dataset
from bench.profiles import profile
from tests.trainer import numpy_model


def bits_per_byte(artifact: Path, data: Dataset, *, window: int, targets: int) -> float:
    """Score the first `targets` targets of the validation split in windows that do not overlap."""
    settings, weights = numpy_model.read(artifact)
    ids = data.tokens("val")[: targets + 1].astype(np.int64)
    nats = 0.0
    for start in range(0, len(ids) - 1, window):
        piece = ids[start : start + window + 1]
        logits = numpy_model.logits(settings, weights, piece[:-1])
        wanted = piece[1:]
        scored = np.flatnonzero(wanted != data.document_start)
        nats += numpy_model.mean_loss(logits[scored], wanted[scored]) * len(scored)
    return nats / math.log(2) / text_bytes(ids, data)


def text_bytes(ids: np.ndarray, data: Dataset) -> int:
    """UTF-8 bytes of the text that `ids` stand for, document by document."""
    tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(data.tokenizer))
    starts = [*np.flatnonzero(ids == data.document_start), len(ids)]
    documents = [ids[begin + 1 : end].tolist() for begin, end in itertools.pairwise(starts)]
    return sum(len(tokenizer.decode(document).encode()) for document in documents)


if __name__ == "__main__":
    budget = profile(sys.argv[2])
    found = bits_per_byte(
        Path(sys.argv[1]), open_dataset(Path("data")), window=budget.window, targets=budget.val_tokens
    )
    print(f"{found:.9f}")
