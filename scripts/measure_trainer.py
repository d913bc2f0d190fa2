"""Measures one size of the trainer: `bench_trainer.py` starts it with the bench's environment and asks it.

A question is a line of standard input, the answer a line with one number: for `fast`, `plain` and `gemm` the CPU
seconds of this process that a step of that form or a product of 1024 × 1024 matrices took; for `flops` and
`causal_flops` the model's FLOP a token. CPU seconds, so that what else the machine does shifts the numbers little.
"""

import ctypes
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

if os.environ.get("BLAS"):
    ctypes.CDLL(os.environ["BLAS"], mode=ctypes.RTLD_GLOBAL)
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import mlx.core as mx
import numpy as np

from scripts.ours import Ours
from trainer.config import Config, read_config


def main() -> None:
    """Answer until standard input ends."""
    size, tokens = sys.argv[1:]
    config = read_config({"TRAIN_BATCH_TOKENS": tokens}, size)
    square = mx.random.normal((1024, 1024))
    mx.eval(square)
    work: dict[str, Callable[[], object]] = {
        "gemm": lambda: mx.eval(square @ square),
        "fast": step_of(config),
        "plain": step_of(replace(config, plain=1)),
    }
    facts = {"flops": flops_a_token(config), "causal_flops": flops_a_token(config, causal=True)}
    for line in sys.stdin:
        word = line.strip()
        print(facts[word] if word in facts else cpu_seconds(work[word]), flush=True)


def step_of(config: Config) -> Callable[[], object]:
    """A function that makes one whole step of a run, optimizer included, on random tokens."""
    ours = Ours(config, seed=1, iterations=100)
    shape = (config.train_batch_tokens // config.train_seq_len, config.train_seq_len + 1)
    ids = np.random.default_rng(1).integers(0, config.vocab_size, shape, np.int32)
    return lambda: ours.step(ids[:, :-1], ids[:, 1:])


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU seconds of all threads of this process."""
    began = time.process_time()
    work()
    return time.process_time() - began


def flops_a_token(config: Config, *, causal: bool = False) -> float:
    """Multiplications and additions of the products, forward and backward; attention in full, or its causal half."""
    matrices = 2 + 2 * config.num_kv_heads / config.num_heads + 2 * config.mlp_mult
    weights = config.num_layers * matrices * config.model_dim**2 + config.vocab_size * config.model_dim
    seen = (config.train_seq_len + 1) / 2 if causal else config.train_seq_len
    return 6 * weights + 12 * config.num_layers * config.model_dim * seen


if __name__ == "__main__":
    main()
