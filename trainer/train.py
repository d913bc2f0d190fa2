"""The training run: from the environment and the training shards to `RUN_DIR/artifact.bin`."""

import json
import math
import os
import sys
import time
from collections.abc import Callable

import mlx.core as mx
import numpy as np
from mlx.nn.utils import value_and_grad
from mlx.utils import tree_unflatten

from trainer import average, optim
from trainer.config import Config, Run, SettingsError, read_run
from trainer.data import ShardError, batches, check_vocabulary, open_shards
from trainer.export import ArtifactError, as_stored, export
from trainer.model import GPT, flat, new_model

STARTED = time.perf_counter()
LINES_A_RUN = 200
EXPORT_SHARE = 0.05

LossAndGrads = Callable[[mx.array, mx.array], tuple[mx.array, optim.Arrays]]


class DivergenceError(ArithmeticError):
    """A loss that is not finite; its text is one line."""


def main() -> None:
    """Run as the environment says; exit 2 for settings or data that cannot be used, 3 for a run that diverged."""
    report("setup")
    try:
        train(read_run(os.environ))
    except (SettingsError, ShardError) as error:
        print(f"trainer: {error}", file=sys.stderr)
        sys.exit(2)
    except (DivergenceError, ArtifactError) as error:
        print(f"trainer: {error}", file=sys.stderr)
        sys.exit(3)


def train(run: Run) -> None:
    """Train for `run.iterations` steps, or for as long as the time limit allows, and export."""
    config = run.config
    length = config.train_seq_len
    rows, micro_rows = config.train_batch_tokens // length, config.mlx_max_microbatch_tokens // length
    check_vocabulary(run.data_dir, config.vocab_size)
    stream = batches(open_shards(run.data_dir), length, rows, config.vocab_size, run.seed)
    model = new_model(config, run.seed)
    loss_and_grads = gradient_function(model)
    params = exported = model.weights()
    state = optim.start(config, params)
    report("compile")

    step, loss, step_began = 0, None, elapsed()
    while step < run.iterations and time_for_a_step(run, step_began):
        step_began = elapsed()
        seen = as_stored(params, config) if quantized(config, step, run.iterations) else params
        model.update(tree_unflatten(list(seen.items())))
        loss, grads = accumulate(loss_and_grads, *next(stream), micro_rows)
        if not math.isfinite(loss):
            raise DivergenceError(f"the loss is {loss} at step {step + 1}: nothing was exported")
        params, state = optim.update(config, params, grads, state, run.iterations)
        step += 1
        exported = average.blend(exported, params, config.ema_decay, step) if config.ema_decay else params
        mx.eval(params, state.momentum, state.variance, exported)
        if step % math.ceil(run.iterations / LINES_A_RUN) == 0 or step == run.iterations:
            report("train", step, loss, step * rows * length)

    report("export", step, loss, step * rows * length)
    parts = export(exported, config, run.run_dir / "artifact.bin")
    size = sum(part["bytes"] for part in parts)
    report("export", step, loss, step * rows * length, done=True, steps=step, bytes=size, parts=parts)


def quantized(config: Config, step: int, iterations: int) -> bool:
    """Whether the step after `step` others is among the last QAT_FRAC of a run.

    In those, the gradient is taken at the weights as the export would store them and moves the full-precision ones:
    rounding, whose own gradient is zero, passes it straight through (arXiv 1308.3432).
    """
    return iterations - step <= config.qat_frac * iterations


def gradient_function(model: GPT) -> LossAndGrads:
    """Loss and its gradients by parameter name, for inputs and targets (rows, time); compiled."""

    def loss_and_grads(ids: mx.array, targets: mx.array) -> tuple[mx.array, optim.Arrays]:
        loss, grads = value_and_grad(model, model.loss)(ids, targets)
        return loss, flat(grads)

    compiled: LossAndGrads = mx.compile(loss_and_grads, inputs=model.state, outputs=model.state)
    return compiled


def accumulate(
    loss_and_grads: LossAndGrads, ids: np.ndarray, targets: np.ndarray, micro_rows: int
) -> tuple[float, optim.Arrays]:
    """Mean loss (nats) and mean gradients over a batch (rows, time), at most `micro_rows` rows in memory at a time."""
    total, sums = mx.array(0.0), dict[str, mx.array]()
    for first in range(0, len(ids), micro_rows):
        part = slice(first, first + micro_rows)
        share = len(ids[part]) / len(ids)
        loss, grads = loss_and_grads(mx.array(ids[part]), mx.array(targets[part]))
        total = total + share * loss
        sums = {name: share * grad + sums.get(name, 0.0) for name, grad in grads.items()}
        mx.eval(total, sums)
    return float(total), sums


def elapsed() -> float:
    """Seconds since the trainer was imported."""
    return time.perf_counter() - STARTED


def time_for_a_step(run: Run, last_began: float) -> bool:
    """Whether another step as long as the last one leaves enough of the time limit for the export."""
    now, limit = elapsed(), run.max_wallclock_seconds
    last_step, reserve = now - last_began, max(1.0, EXPORT_SHARE * limit)
    return now + last_step + reserve <= limit


def report(phase: str, step: int = 0, loss: float | None = None, tokens: int = 0, **more: object) -> None:
    """Print one JSON line: the phase, the steps finished, the last loss in nats, the tokens seen, the seconds gone."""
    line = {"phase": phase, "step": step, "loss": loss, "tokens": tokens, "elapsed_s": round(elapsed(), 3)}
    print(json.dumps(line | more), flush=True)


if __name__ == "__main__":
    main()
