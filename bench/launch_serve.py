"""Started in a process of its own: loads an artifact with the candidate's code and answers windows with logits.

Takes two arguments, the folder of the candidate's tree and the artifact. Both directions of the pipe carry frames of
little-endian numbers: a question is (batch, time) as two int32 and then the token ids as int32; an answer is (batch,
time, vocabulary) as three int32, the seconds the forward pass took as float64, and then the logits as float32. A first
answer of no elements says that the model is loaded.
"""

import ctypes
import importlib
import os
import struct
import sys
import time
from pathlib import Path
from typing import BinaryIO

QUESTION = struct.Struct("<2i")
ANSWER = struct.Struct("<3id")


def main() -> None:
    """Answer until the bench closes the pipe."""
    tree, artifact = Path(sys.argv[1]).resolve(), sys.argv[2]
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    if os.environ.get("BLAS"):
        ctypes.CDLL(os.environ.pop("BLAS"), mode=ctypes.RTLD_GLOBAL)
    import mlx.core as mx
    import numpy as np

    sys.path.insert(0, str(tree))
    model = importlib.import_module("trainer.model")
    if not Path(model.__file__ or "").resolve().is_relative_to(tree):
        sys.exit(f"trainer is not the candidate's: {model.__file__}")
    start = time.perf_counter()
    forward = model.load(artifact)
    answers.write(ANSWER.pack(0, 0, 0, time.perf_counter() - start))
    questions = sys.stdin.buffer
    while header := questions.read(QUESTION.size):
        batch, length = QUESTION.unpack(header)
        tokens = np.frombuffer(questions.read(4 * batch * length), dtype="<i4").reshape(batch, length)
        start = time.perf_counter()
        logits = np.asarray(forward(mx.array(tokens)).astype(mx.float32))
        if logits.ndim != 3:
            sys.exit(f"logits have shape {logits.shape}, not (batch, time, vocabulary)")
        answers.write(ANSWER.pack(*logits.shape, time.perf_counter() - start))
        write_all(answers, np.ascontiguousarray(logits).data.cast("B"))


def write_all(file: BinaryIO, content: memoryview) -> None:
    """Write all of `content` to an unbuffered pipe, which may take it in parts."""
    while content:
        content = content[file.write(content) :]


if __name__ == "__main__":
    main()
