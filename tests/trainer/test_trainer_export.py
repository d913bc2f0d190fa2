"""The artifact: what it keeps, at which precision, and what it refuses to be read as."""

import struct
from dataclasses import replace
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
import zstandard

from tests.trainer.toys import shaken, small_config
from trainer.config import Config
from trainer.export import ArtifactError, choose_storage, export, quantize, read_artifact
from trainer.model import GPT, load, new_model


def dequantized(weight: np.ndarray, config: Config) -> np.ndarray:
    scales, levels = quantize(weight, config)
    return np.asarray(scales.astype(np.float32)[:, None] * levels)


def test_a_round_trip_keeps_settings_and_every_weight_at_its_precision(
    model: GPT, config: Config, artifact: Path
) -> None:
    read_config, weights = read_artifact(artifact)
    assert read_config == config
    stored = set()
    for name, array in model.weights().items():
        weight = np.array(array)
        storage = choose_storage(name, weight.size, config)
        stored.add(storage)
        if storage == "float32":
            assert np.array_equal(weights[name], weight)
        elif storage == "float16":
            assert np.array_equal(weights[name], weight.astype(np.float16))
        else:
            half_a_step = np.maximum(np.abs(weight).max(axis=1, keepdims=True) / 127, 1 / 127) / 2
            assert (np.abs(weights[name] - weight) <= 1.02 * half_a_step).all()
    assert stored == {"float32", "float16", "int8"}


def test_loading_needs_nothing_but_the_file(artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUM_LAYERS", "9")
    monkeypatch.setenv("SIZE", "golf")
    assert load(str(artifact))(np.zeros((1, 5), np.int32)).shape == (1, 5, 96)


def test_the_same_model_gives_the_same_bytes_and_their_number(model: GPT, config: Config, tmp_path: Path) -> None:
    sizes = [export(model.weights(), config, tmp_path / name) for name in ("a", "b")]
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert sizes == [(tmp_path / "a").stat().st_size] * 2


def test_control_tensors_stay_float32_and_small_ones_float16(config: Config) -> None:
    assert choose_storage("blocks.0.resid_mix", 1600, config) == "float32"
    assert choose_storage("blocks.0.attn.c_q.weight", 1600, config) == "int8"
    assert choose_storage("blocks.0.attn.c_q.weight", 16, config) == "float16"


@pytest.mark.parametrize(("names", "kept"), [("c_k,c_v", ["attn.c_k", "attn.c_v"]), ("tok_emb", ["tok_emb"])])
def test_listed_tensors_pass_through_as_float16(names: str, kept: list[str]) -> None:
    config = small_config(KEEP_FLOAT_NAMES=names, KEEP_FLOAT_MAX_NUMEL=0)
    weights = GPT(config).weights()
    found = {name for name, weight in weights.items() if choose_storage(name, weight.size, config) == "float16"}
    assert found == {name for name in weights if any(part in name for part in kept)}


def test_the_clip_percentile_trades_outliers_for_resolution() -> None:
    row = np.linspace(-100, 100, 2000, dtype=np.float32)[None]
    row[0, 7] = 1000
    whole, clipped = (dequantized(row, small_config(INT8_CLIP_PERCENTILE=p)) for p in (100, 99.9))
    assert whole.max() == pytest.approx(1000, rel=1e-3)
    assert clipped.max() < 200
    ordinary = np.arange(2000) != 7
    assert np.abs(clipped - row)[0, ordinary].max() < np.abs(whole - row)[0, ordinary].max()


def test_the_scale_floor_sets_the_smallest_step() -> None:
    row = np.linspace(-0.1, 0.1, 500, dtype=np.float32)[None]
    coarse, fine = (dequantized(row, small_config(INT8_SCALE_FLOOR=f)) for f in (1 / 127, 0))
    assert len(np.unique(coarse)) == 27
    assert len(np.unique(fine)) == 255


def test_a_row_of_zeros_stays_zero_without_a_floor() -> None:
    config = small_config(INT8_SCALE_FLOOR=0)
    assert np.array_equal(dequantized(np.zeros((2, 9), np.float32), config), np.zeros((2, 9)))


def test_weights_that_are_not_finite_are_not_exported(config: Config, tmp_path: Path) -> None:
    model = new_model(config, seed=0)
    model.skip_weights = mx.full(model.skip_weights.shape, float("nan"))
    with pytest.raises(ArtifactError, match="the weight skip_weights is not finite"):
        export(model.weights(), config, tmp_path / "artifact.bin")
    assert not (tmp_path / "artifact.bin").exists()


@pytest.mark.parametrize("keep", [0, 5, 12, 40, 500, -1])
def test_a_truncated_artifact_is_refused_in_one_line(artifact: Path, keep: int) -> None:
    artifact.write_bytes(artifact.read_bytes()[:keep])
    with pytest.raises(ArtifactError) as refusal:
        load(artifact)
    assert "artifact.bin" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_changed_byte_is_noticed(artifact: Path) -> None:
    data = bytearray(artifact.read_bytes())
    data[len(data) // 2] ^= 1
    artifact.write_bytes(data)
    with pytest.raises(ArtifactError, match="damaged"):
        load(artifact)


def test_another_version_is_named(artifact: Path) -> None:
    data = artifact.read_bytes()
    artifact.write_bytes(data[:8] + struct.pack("<I", 2) + data[12:])
    with pytest.raises(ArtifactError, match="version 2: this trainer reads version 1"):
        load(artifact)


def test_tensors_of_another_model_are_refused(model: GPT, config: Config, tmp_path: Path) -> None:
    export(model.weights(), replace(config, num_layers=2), tmp_path / "artifact.bin")
    with pytest.raises(ArtifactError, match="made by other code"):
        load(tmp_path / "artifact.bin")


def test_settings_this_trainer_does_not_know_are_refused(artifact: Path) -> None:
    data = artifact.read_bytes()
    body = zstandard.decompress(data[12:]).replace(b'"rope_base"', b'"rope_bass"')
    artifact.write_bytes(data[:12] + zstandard.compress(body))
    with pytest.raises(ArtifactError, match="rope_bass"):
        load(artifact)


def test_a_coarser_export_is_a_smaller_file(config: Config, tmp_path: Path) -> None:
    model = shaken(new_model(config, seed=0))
    settings = [config, replace(config, keep_float_names="weight")]
    small, large = (export(model.weights(), each, tmp_path / "artifact.bin") for each in settings)
    assert small < 0.7 * large
