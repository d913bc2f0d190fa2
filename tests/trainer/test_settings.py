"""The knobs: literals only, the baseline's defaults, and nothing that contradicts itself."""

import ast
from dataclasses import fields
from pathlib import Path

import pytest

from trainer import settings
from trainer.config import Config, read_config
from trainer.export import choose_storage
from trainer.model import GPT

TREE = ast.parse(Path(settings.__file__).read_text(encoding="utf-8"))
LITERALS = {
    node.targets[0].id: ast.literal_eval(node.value)
    for node in TREE.body
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
}
KNOBS = {name: value for name, value in LITERALS.items() if name not in ("SIZES", "RANGES")}

BASELINE = {
    "VOCAB_SIZE": 1024,
    "NUM_LAYERS": 9,
    "MODEL_DIM": 512,
    "NUM_HEADS": 8,
    "NUM_KV_HEADS": 4,
    "MLP_MULT": 2,
    "TRAIN_SEQ_LEN": 1024,
    "TRAIN_BATCH_TOKENS": 524288,
    "MLX_MAX_MICROBATCH_TOKENS": 8192,
    "LOGIT_SOFTCAP": 30.0,
    "ROPE_BASE": 10000.0,
    "QK_GAIN_INIT": 1.5,
    "TIED_EMBED_INIT_STD": 0.005,
    "TIED_EMBED_LR": 0.05,
    "MATRIX_LR": 0.04,
    "SCALAR_LR": 0.04,
    "BETA1": 0.9,
    "BETA2": 0.95,
    "ADAM_EPS": 1e-8,
    "MUON_MOMENTUM": 0.95,
    "MUON_MOMENTUM_WARMUP_START": 0.85,
    "MUON_BACKEND_STEPS": 5,
    "GRAD_CLIP_NORM": 0.0,
    "INT8_CLIP_PERCENTILE": 99.99984,
    "KEEP_FLOAT_MAX_NUMEL": 65536,
}


def test_settings_are_one_literal_a_name_and_nothing_else() -> None:
    docstring, *assignments = TREE.body
    assert isinstance(docstring, ast.Expr)
    assert len(assignments) == len(LITERALS)
    assert all(isinstance(value, int | float | str) for value in KNOBS.values())


def test_the_shipped_defaults_are_the_baselines() -> None:
    assert {name: KNOBS[name] for name in BASELINE} == BASELINE


def test_levers_are_shipped_off() -> None:
    off = {"QAT_FRAC": 0.0, "EMA_DECAY": 0.0, "NUM_LOOPS": 0, "QUANT_BITS": 8, "PROTECTED_NAMES": "", "PLAIN": 0}
    assert {name: KNOBS[name] for name in off} == off


def test_every_knob_has_its_field_and_every_field_its_knob() -> None:
    assert {field.name.upper(): field.type for field in fields(Config)} == {k: type(v) for k, v in KNOBS.items()}


def test_sizes_set_shapes_batches_and_export_thresholds_only() -> None:
    allowed = {"NUM_LAYERS", "MODEL_DIM", "NUM_HEADS", "NUM_KV_HEADS", "MLP_MULT", "TRAIN_SEQ_LEN"}
    allowed |= {"TRAIN_BATCH_TOKENS", "MLX_MAX_MICROBATCH_TOKENS", "KEEP_FLOAT_MAX_NUMEL"}
    assert set(settings.SIZES) == {"tiny", "small", "golf"}
    assert {name for size in settings.SIZES.values() for name in size} <= allowed


@pytest.mark.parametrize("name", settings.RANGES)
def test_a_searched_knob_exists_and_its_default_lies_in_its_range(name: str) -> None:
    kind, low, high = settings.RANGES[name]
    assert kind in ("log", "linear", "int")
    assert low < high
    assert low > 0 or kind != "log"
    assert low <= KNOBS[name] <= high or (name, KNOBS[name]) == ("GRAD_CLIP_NORM", 0.0)
    for end in (low, high):
        read_config({name: str(end)}, "tiny")


@pytest.mark.parametrize("size", settings.SIZES)
def test_the_matrices_of_every_size_are_quantized(size: str) -> None:
    config = read_config({"NUM_LAYERS": "2"}, size)
    weights = GPT(config).weights()
    kept = {name for name, weight in weights.items() if choose_storage(name, weight.size, config) != "int8"}
    assert not any(name.endswith(".weight") for name in kept)
