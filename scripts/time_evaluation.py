"""Times the reference's own evaluation, as it ships; `compare_scoring.py` starts it and prints what it printed.

`ARTIFACT DATA TOKENS`: the weights are the artifact's, through the reference's int8 and back; the text is the first
TOKENS targets of the validation split in the folder DATA. Prints one JSON line.
"""

import json
import os
import sys
import time
from pathlib import Path

import mlx.core as mx
import sentencepiece
from mlx.utils import tree_unflatten

from bench.data import open_dataset
from scripts import reference
from trainer.export import read_artifact
from trainer.model import flat

SHORT = (2, 32)
"""Rows and length of the batch that has the kernels compiled before anything is timed."""


def main() -> None:
    """Seconds and bits per byte of one evaluation."""
    artifact, data, tokens = sys.argv[1], open_dataset(Path(sys.argv[2])), int(sys.argv[3])
    module = reference.load(reference.find(os.environ), float32=False)
    theirs = reference.Reference(module, seed=1)
    _, weights = read_artifact(artifact)
    theirs.adopt({name: mx.array(weight) for name, weight in weights.items()})
    quantized, _ = module.quantize_state_dict_int8(flat(theirs.model.state))
    theirs.model.update(tree_unflatten(list(module.dequantize_state_dict_int8(quantized).items())))
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(data.tokenizer))
    tables = module.build_sentencepiece_luts(pieces, data.vocab_size)
    text = data.tokens("val")[: tokens + 1].astype("int32")
    if len(text) <= tokens:
        sys.exit(f"the validation split holds {len(text):,} tokens and {tokens + 1:,} are needed")
    mx.eval(theirs.loss(mx.zeros(SHORT, mx.int32), mx.zeros(SHORT, mx.int32)))
    began = time.perf_counter()
    _, bpb = module.eval_val(theirs.args, theirs.loss, text, *tables)
    print(json.dumps({"seconds": time.perf_counter() - began, "bpb": bpb}))


if __name__ == "__main__":
    main()
