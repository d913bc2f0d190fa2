"""Measures one size of the trainer and prints one JSON line; `bench_trainer.py` starts it with the bench's environment.

Seconds are CPU seconds of this process, so that what else the machine does shifts the numbers little. Fast and plain
steps alternate, so that what is left shifts both.
"""

import ctypes
import json
import os
import statistics
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

from trainer import optim
from trainer.config import Config, read_config
from trainer.model import new_model
from trainer.train import accumulate, gradient_function

TOKENS = 8192
ROUNDS = {"tiny": 9, "small": 3}


def main() -> None:
    """Tokens a second of both forms, the GEMM's FLOP a second in the same minutes, and the model's FLOP a token."""
    size = sys.argv[1]
    config = read_config({"TRAIN_BATCH_TOKENS": str(TOKENS)}, size)
    steps = {name: step_of(replace(config, plain=plain)) for name, plain in (("fast", 0), ("plain", 1))}
    square = mx.random.normal((1024, 1024))
    gemms: list[float] = []
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(ROUNDS.get(size, 1)):
        gemms.extend(cpu_seconds(lambda: mx.eval(square @ square)) for _ in range(3))
        for name, step in steps.items():
            seconds[name].append(cpu_seconds(step))
    rates = {name: TOKENS / statistics.median(times) for name, times in seconds.items()}
    gemm = 2 * 1024**3 / statistics.median(gemms)
    print(json.dumps(rates | {"gemm": gemm, "flops_a_token": flops_a_token(config)}))


def step_of(config: Config) -> Callable[[], None]:
    """A function that computes one whole step, optimizer included, of a model at initialisation on random tokens."""
    model = new_model(config, seed=1)
    params = model.weights()
    state = optim.start(config, params)
    gradients = gradient_function(model)
    length = config.train_seq_len
    ids = np.random.default_rng(1).integers(0, config.vocab_size, (TOKENS // length, length + 1), np.int32)
    rows = config.mlx_max_microbatch_tokens // length

    def step() -> None:
        _, grads = accumulate(gradients, ids[:, :-1], ids[:, 1:], rows)
        after, later = optim.update(config, params, grads, state, iterations=100)
        mx.eval(after, later.momentum, later.variance)

    return step


def cpu_seconds(work: Callable[[], None]) -> float:
    """CPU seconds of all threads of this process."""
    began = time.process_time()
    work()
    return time.process_time() - began


def flops_a_token(config: Config) -> float:
    """Multiplications and additions of the products, forward and backward; attention by the half that is not masked."""
    matrices = 2 + 2 * config.num_kv_heads / config.num_heads + 2 * config.mlp_mult
    weights = config.num_layers * matrices * config.model_dim**2 + config.vocab_size * config.model_dim
    attention = config.num_layers * config.model_dim * (config.train_seq_len + 1)
    return 6 * (weights + attention)


if __name__ == "__main__":
    main()
