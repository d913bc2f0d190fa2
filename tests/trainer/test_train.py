"""Whole runs in processes of their own: phases, results, limits, and what is said when something is wrong."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

from bench.data import Dataset
from tests.trainer.toys import SMALL, text
from trainer.config import Config
from trainer.export import read_artifact
from trainer.model import GPT, load
from trainer.train import accumulate, gradient_function

ROOT = Path(__file__).resolve().parents[2]
IDS = text(9, 4 * 80).reshape(4, 80).astype(np.int32)


def run(data: Path, out: Path, **variables: object) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": os.environ["PATH"], "DATA_DIR": str(data), "RUN_DIR": str(out), "SIZE": "tiny"} | SMALL
    environ |= {"SEED": "1", "ITERATIONS": "6", "MAX_WALLCLOCK_SECONDS": "300"}
    environ |= {name: str(value) for name, value in variables.items()}
    command = [sys.executable, "-c", "import trainer.train; trainer.train.main()"]
    out.mkdir(exist_ok=True)
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=120, check=False)


def lines(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_run_tells_its_phases_and_leaves_an_artifact(shards: Path, tmp_path: Path) -> None:
    told = lines(run(shards, tmp_path))
    assert [line["phase"] for line in told] == ["setup", "compile", *["train"] * 6, "export", "export"]
    assert all({"phase", "step", "loss", "tokens", "elapsed_s"} <= set(line) for line in told)
    training = told[2:8]
    assert [line["step"] for line in training] == [1, 2, 3, 4, 5, 6]
    assert [line["tokens"] for line in training] == [640 * n for n in range(1, 7)]
    assert training[0]["loss"] == pytest.approx(np.log(96), abs=0.02)
    last = told[-1]
    assert (last["done"], last["steps"]) == (True, 6)
    assert last["bytes"] == (tmp_path / "artifact.bin").stat().st_size
    assert sum(part["bytes"] for part in last["parts"]) == last["bytes"]
    assert [path.name for path in tmp_path.iterdir()] == ["artifact.bin"]


def test_training_learns_and_the_export_keeps_it(shards: Path, tmp_path: Path) -> None:
    told = lines(run(shards, tmp_path, ITERATIONS=60))
    assert told[-1]["loss"] < 0.7 * np.log(96)
    fresh = text(9, 8 * 81).reshape(8, 81).astype(np.int32)
    logits = load(tmp_path / "artifact.bin")(fresh[:, :-1])
    chosen = mx.take_along_axis(logits, mx.array(fresh[:, 1:, None]), axis=-1).squeeze(-1)
    assert (mx.logsumexp(logits, axis=-1) - chosen).mean().item() == pytest.approx(told[-1]["loss"], abs=0.3)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(shards: Path, tmp_path: Path) -> None:
    told = [lines(run(shards, tmp_path / name, SEED=seed)) for name, seed in (("a", 1), ("b", 1), ("c", 2))]
    a, b, c = ((tmp_path / name / "artifact.bin").read_bytes() for name in "abc")
    assert a == b
    assert a != c
    assert [line["loss"] for line in told[0]] == [line["loss"] for line in told[1]]


def test_a_long_run_prints_at_most_two_hundred_steps_and_the_last(shards: Path, tmp_path: Path) -> None:
    knobs = {"NUM_LAYERS": 1, "MODEL_DIM": 4, "NUM_HEADS": 2, "NUM_KV_HEADS": 1}
    knobs |= {"TRAIN_SEQ_LEN": 4, "TRAIN_BATCH_TOKENS": 4, "ITERATIONS": 399}
    steps = [line["step"] for line in lines(run(shards, tmp_path, **knobs)) if line["phase"] == "train"]
    assert len(steps) == 200
    assert steps[-1] == 399


def test_a_run_out_of_time_stops_and_still_exports_before_its_limit(shards: Path, tmp_path: Path) -> None:
    last = lines(run(shards, tmp_path, ITERATIONS=1_000_000, MAX_WALLCLOCK_SECONDS=6))[-1]
    assert last["done"]
    assert 0 < last["steps"] < 1_000_000
    assert last["elapsed_s"] < 6
    load(tmp_path / "artifact.bin")


def test_a_loss_that_is_not_finite_ends_the_run_in_one_line(shards: Path, tmp_path: Path) -> None:
    done = run(shards, tmp_path, MATRIX_LR="1e38")
    assert done.returncode == 3
    assert done.stderr == "trainer: the loss is nan at step 2: nothing was exported\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"SIZE": "huge"}, "SIZE is 'huge': the sizes are tiny, small, golf"),
        ({"ITERATIONS": "many"}, "ITERATIONS is 'many'"),
        ({"VOCAB_SIZE": 8}, "VOCAB_SIZE is 8"),
        ({"NUM_HEADS": 3}, "MODEL_DIM 32 is not a multiple of NUM_HEADS 3: set NUM_HEADS = 2"),
        ({"NUM_HEADS": 32}, "MODEL_DIM / NUM_HEADS is odd"),
        ({"TRAIN_BATCH_TOKENS": 79}, "must each hold a window of TRAIN_SEQ_LEN 80: set both to 80 or more"),
    ],
)
def test_settings_that_cannot_be_used_end_the_run_in_one_line(
    variables: dict[str, object], said: str, shards: Path, tmp_path: Path
) -> None:
    done = run(shards, tmp_path, **variables)
    assert done.returncode == 2
    assert done.stderr.startswith("trainer: ")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_no_training_data_ends_the_run_in_one_line(tmp_path: Path) -> None:
    done = run(tmp_path, tmp_path / "out")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "no *_train_*.bin" in done.stderr


def test_a_tokenizer_of_another_vocabulary_ends_the_run_before_a_step(small_data: Dataset, tmp_path: Path) -> None:
    done = run(small_data.train_dir, tmp_path, VOCAB_SIZE=2048)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "VOCAB_SIZE is 2048 and the tokenizer of this data has 1024 pieces: set VOCAB_SIZE = 1024" in done.stderr
    assert [json.loads(line)["phase"] for line in done.stdout.splitlines()] == ["setup"]
    assert lines(run(small_data.train_dir, tmp_path, VOCAB_SIZE=1024, ITERATIONS=1))[-1]["done"]


LEVERS = [
    {"QAT_FRAC": 0.5},
    {"EMA_DECAY": 0.9},
    {"QUANT_BITS": 6, "PROTECTED_NAMES": "tok_emb"},
    {"LOOP_START": 1, "LOOP_END": 1, "NUM_LOOPS": 2},
]


@pytest.mark.long
@pytest.mark.parametrize("lever", LEVERS, ids=lambda lever: next(iter(lever)))
def test_each_lever_changes_the_artifact_and_still_learns(
    lever: dict[str, object], shards: Path, tmp_path: Path
) -> None:
    told = lines(run(shards, tmp_path / "with", ITERATIONS=40, **lever))
    lines(run(shards, tmp_path / "without", ITERATIONS=40))
    assert told[-1]["loss"] < 0.9 * np.log(96)
    logits = load(tmp_path / "with" / "artifact.bin")(IDS)
    assert not mx.array_equal(logits, load(tmp_path / "without" / "artifact.bin")(IDS))


def test_rounding_is_in_the_loss_from_the_step_that_is_asked_for(shards: Path, tmp_path: Path) -> None:
    rough = {"ITERATIONS": 8, "INT8_SCALE_FLOOR": 0.1}
    told = [lines(run(shards, tmp_path, **rough, QAT_FRAC=fraction))[2:10] for fraction in (0, 0.25, 1)]
    plain, late, whole = ([line["loss"] for line in run_told] for run_told in told)
    assert late[:6] == plain[:6]
    assert late[6] != plain[6]
    assert whole[0] == pytest.approx(np.log(96), abs=0.02)
    assert whole[1] != plain[1]


def test_the_gradient_at_the_rounded_weights_moves_the_full_ones(shards: Path, tmp_path: Path) -> None:
    """Steps too small to leave a rounding interval add up all the same."""
    knobs = {"QAT_FRAC": 1, "INT8_SCALE_FLOOR": 0.02, "MATRIX_LR": 0.002, "ITERATIONS": 60, "WARMDOWN_FRAC": 0}
    lines(run(shards, tmp_path, **knobs))
    _, weights = read_artifact(tmp_path / "artifact.bin")
    assert np.abs(np.array(weights["blocks.0.attn.proj.weight"])).max() > 0.019


def test_the_average_that_is_exported_is_that_of_all_steps(shards: Path, tmp_path: Path) -> None:
    """With a decay this near one, each of the three steps weighs a third."""
    exact = {"KEEP_FLOAT_MAX_NUMEL": 10**6, "CONTROL_TENSOR_NAME_PATTERNS": "weight", "WARMDOWN_FRAC": 0}
    found = {}
    for steps in (1, 2, 3):
        lines(run(shards, tmp_path, ITERATIONS=steps, MUON_MOMENTUM_WARMUP_FRAC=0, **exact))
        found[steps] = read_artifact(tmp_path / "artifact.bin")[1]["tok_emb.weight"]
    lines(run(shards, tmp_path, ITERATIONS=3, MUON_MOMENTUM_WARMUP_FRAC=0, EMA_DECAY=0.999999, **exact))
    average = read_artifact(tmp_path / "artifact.bin")[1]["tok_emb.weight"]
    assert mx.allclose(average, (found[1] + found[2] + found[3]) / 3, atol=1e-5)


@pytest.mark.parametrize("micro_rows", [1, 3, 4])
def test_microbatches_add_up_to_the_whole_batch(micro_rows: int, model: GPT) -> None:
    windows = text(4, 8 * 41).reshape(8, 41).astype(np.int32)
    gradients = gradient_function(model)
    loss, grads = accumulate(gradients, windows[:, :-1], windows[:, 1:], micro_rows)
    whole_loss, whole = accumulate(gradients, windows[:, :-1], windows[:, 1:], 8)
    assert loss == pytest.approx(whole_loss, rel=1e-5)
    assert all(mx.allclose(grads[name], whole[name], rtol=1e-3, atol=1e-5) for name in whole)


def test_the_trainer_imports_nothing_of_those_who_judge_it(config: Config) -> None:
    code = "import sys, trainer.train; print([m for m in sys.modules if m.split('.')[0] in ('bench', 'agent')])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
