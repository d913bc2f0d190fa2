"""The artifact: what it keeps, at which precision, and what it refuses to be read as."""

import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
import zstandard
from mlx.utils import tree_unflatten

from tests.trainer import numpy_model
from tests.trainer.toys import shaken, small_config
from trainer.config import Config
from trainer.export import ArtifactError, as_stored, choose_storage, export, read_artifact, restore, store
from trainer.model import GPT, load, new_model


def dequantized(weight: np.ndarray, config: Config, storage: str = "int8") -> np.ndarray:
    return np.array(restore(store(mx.array(weight), storage, config), weight.shape))


def by_numpy(weight: np.ndarray, highest: int, config: Config) -> tuple[np.ndarray, np.ndarray]:
    """Scales and levels as the docstring of `quantize` has them, with NumPy's own quantile."""
    rows = weight.reshape(len(weight), -1)
    limit = np.quantile(np.abs(rows), config.int8_clip_percentile / 100, axis=1)
    scales = np.maximum(limit / highest, config.int8_scale_floor).astype(np.float16)
    steps = np.where(scales > 0, scales, 1).astype(np.float32)[:, None]
    return scales, np.clip(np.round(rows / steps), -highest, highest).astype(np.int8)


@pytest.mark.parametrize("percent", [99.99984, 99.9, 50.0, 0.001, 100.0])
@pytest.mark.parametrize("floor", [1 / 127, 0.0])
@pytest.mark.parametrize(("bits", "highest"), [("int8", 127), ("int6", 31)])
@pytest.mark.parametrize("columns", [1, 2, 3, 128, 1000])
def test_levels_and_scales_are_numpys_to_the_last_bit(
    percent: float, floor: float, bits: str, highest: int, columns: int
) -> None:
    rng = np.random.default_rng(columns)
    config = small_config(INT8_CLIP_PERCENTILE=percent, INT8_SCALE_FLOOR=floor)
    for spread in (1e-5, 0.02, 0.3, 30.0):
        weight = (spread * rng.standard_normal((9, columns))).astype(np.float32)
        weight[0], weight[1] = 0, np.round(weight[1], 2)
        scales, levels = store(mx.array(weight), bits, config)
        expected_scales, expected_levels = by_numpy(weight, highest, config)
        assert np.array_equal(np.array(scales), expected_scales)
        assert np.array_equal(np.array(levels), expected_levels)


def test_a_round_trip_keeps_settings_and_every_weight_at_its_precision(
    model: GPT, config: Config, artifact: Path
) -> None:
    read_config, read = read_artifact(artifact)
    assert read_config == config
    weights = {name: np.array(weight) for name, weight in read.items()}
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


@pytest.mark.parametrize("knobs", [{}, {"quant_bits": 6, "protected_names": "c_k"}, {"keep_float_names": "fc"}])
def test_training_sees_the_very_weights_that_a_reader_of_the_artifact_sees(
    knobs: dict[str, Any], model: GPT, config: Config, tmp_path: Path
) -> None:
    config = replace(config, **knobs)
    export(model.weights(), config, tmp_path / "artifact.bin")
    seen, (_, read) = as_stored(model.weights(), config), read_artifact(tmp_path / "artifact.bin")
    assert seen.keys() == read.keys()
    assert all(mx.array_equal(seen[name], read[name]) for name in read)
    assert {weight.dtype for weight in seen.values()} == {mx.float32}


def test_a_loaded_model_has_the_logits_of_its_dequantized_weights_to_the_last_bit(
    artifact: Path, config: Config
) -> None:
    ids = np.arange(160, dtype=np.int32).reshape(2, 80) % 96
    _, weights = numpy_model.read(artifact)
    model = GPT(config)
    model.update(tree_unflatten([(name, mx.array(weight.astype(np.float32))) for name, weight in weights.items()]))
    assert mx.array_equal(load(artifact)(ids), model(mx.array(ids)))


def test_loading_needs_nothing_but_the_file(artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUM_LAYERS", "9")
    monkeypatch.setenv("SIZE", "golf")
    assert load(str(artifact))(np.zeros((1, 5), np.int32)).shape == (1, 5, 96)


def test_the_same_model_gives_the_same_bytes_and_their_number(model: GPT, config: Config, tmp_path: Path) -> None:
    weights = model.weights()
    backwards = dict(reversed(weights.items()))
    parts, again = (export(w, config, tmp_path / name) for name, w in (("a", weights), ("b", backwards)))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert parts == again
    assert sum(part["bytes"] for part in parts) == (tmp_path / "a").stat().st_size


def test_the_parts_of_an_artifact_are_its_index_and_every_tensor(model: GPT, config: Config, tmp_path: Path) -> None:
    first, *tensors = export(model.weights(), config, tmp_path / "artifact.bin")
    assert first["name"] == "header and index"
    assert {part["name"]: part["shape"] for part in tensors} == {n: w.shape for n, w in model.weights().items()}
    query = next(part for part in tensors if part["name"] == "blocks.0.attn.c_q.weight")
    assert (query["storage"], query["raw_bytes"]) == ("int8", 32 * 32 + 2 * 32)


def test_control_tensors_stay_float32_and_small_ones_float16(config: Config) -> None:
    assert choose_storage("blocks.0.resid_mix", 1600, config) == "float32"
    assert choose_storage("blocks.0.attn.c_q.weight", 1600, config) == "int8"
    assert choose_storage("blocks.0.attn.c_q.weight", 16, config) == "float16"


def test_six_bits_take_all_that_eight_take_but_what_is_protected(config: Config) -> None:
    config = replace(config, quant_bits=6, protected_names="tok_emb, c_v")
    for name, storage in {"tok_emb": "int8", "blocks.3.attn.c_v": "int8", "blocks.3.attn.c_q": "int6"}.items():
        assert choose_storage(f"{name}.weight", 1600, config) == storage
    assert choose_storage("blocks.0.resid_mix", 1600, config) == "float32"
    assert choose_storage("blocks.0.attn.c_q.weight", 16, config) == "float16"


def test_six_bits_are_as_fine_as_eight_where_the_floor_sets_the_step_and_coarser_above() -> None:
    config = small_config(INT8_SCALE_FLOOR=0.01)
    small, large = (np.linspace(-top, top, 999, dtype=np.float32)[None] for top in (0.3, 3.0))
    assert np.array_equal(dequantized(small, config, "int6"), dequantized(small, config))
    assert len(np.unique(dequantized(large, config, "int6"))) == 63
    assert len(np.unique(dequantized(large, config))) == 255


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


def test_a_percentile_of_100_clips_nothing() -> None:
    rows = np.random.default_rng(0).standard_cauchy((50, 200)).astype(np.float32)
    scales, levels = store(mx.array(rows), "int8", small_config(INT8_CLIP_PERCENTILE=100, INT8_SCALE_FLOOR=0))
    assert (mx.abs(levels).max(axis=1) >= 127).all()
    top = np.abs(rows).max(axis=1)
    np.testing.assert_allclose(np.array(scales) * np.float32(127), top, rtol=1e-3)
    # One level is lost to clipping at the most, where float16 rounds the step down.
    np.testing.assert_allclose(
        np.abs(dequantized(rows, small_config(INT8_CLIP_PERCENTILE=100))).max(axis=1), top, rtol=0.01, atol=0.004
    )


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
    artifact.write_bytes(data[:8] + struct.pack("<I", 1) + data[12:])
    with pytest.raises(ArtifactError, match=r"version 1 and this trainer reads version 2: .* type `nightshift bench`"):
        load(artifact)


def test_tensors_of_another_model_are_refused(model: GPT, config: Config, tmp_path: Path) -> None:
    export(model.weights(), replace(config, num_layers=2), tmp_path / "artifact.bin")
    with pytest.raises(ArtifactError, match="made by other code"):
        load(tmp_path / "artifact.bin")


def test_settings_this_trainer_does_not_know_are_refused(artifact: Path) -> None:
    data = artifact.read_bytes()
    end = 16 + int.from_bytes(data[12:16], "little")
    index = zstandard.compress(zstandard.decompress(data[16:end]).replace(b'"rope_base"', b'"rope_bass"'))
    artifact.write_bytes(data[:12] + struct.pack("<I", len(index)) + index + data[end:])
    with pytest.raises(ArtifactError, match="rope_bass"):
        load(artifact)


def test_a_coarser_export_is_a_smaller_file(config: Config, tmp_path: Path) -> None:
    model = shaken(new_model(config, seed=0))
    settings = [config, replace(config, keep_float_names="weight")]
    small, large = (
        sum(part["bytes"] for part in export(model.weights(), each, tmp_path / "artifact.bin")) for each in settings
    )
    assert small < 0.7 * large
