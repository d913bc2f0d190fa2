"""The model against an independent float64 reading of it, and what it promises to whoever scores it."""

from dataclasses import replace
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest

from tests.trainer.numpy_model import logits as numpy_logits
from tests.trainer.numpy_model import mean_loss, read
from tests.trainer.toys import shaken, small_config, text
from trainer import model as model_module
from trainer.config import Config
from trainer.export import export
from trainer.model import GPT, block_order, causal_attention, load, new_model, softcap
from trainer.train import gradient_function

WINDOWS = text(3, 4 * 81).reshape(4, 81).astype(np.int32)
IDS, TARGETS = WINDOWS[:, :-1], WINDOWS[:, 1:]


def test_an_independent_reading_of_the_artifact_gives_the_same_logits_and_loss(artifact: Path) -> None:
    settings, weights = read(artifact)
    expected = np.stack([numpy_logits(settings, weights, row) for row in IDS])
    got = np.array(load(artifact)(IDS)).astype(np.float64)
    assert np.abs(expected).max() > 3
    np.testing.assert_allclose(got, expected, atol=1e-4)
    for row, theirs, ours in zip(TARGETS, expected, got, strict=True):
        assert mean_loss(ours, row) == pytest.approx(mean_loss(theirs, row), rel=1e-6)


@pytest.mark.parametrize(
    ("start", "end", "times", "order"),
    [
        (0, 0, 0, [0, 1, 2, 3, 4]),
        (1, 2, 1, [0, 1, 2, 1, 2, 3, 4]),
        (0, 4, 1, [0, 1, 2, 3, 4, 0, 1, 2, 3, 4]),
        (4, 4, 3, [0, 1, 2, 3, 4, 4, 4, 4]),
    ],
)
def test_looped_blocks_are_passed_again_and_skips_follow_the_whole_depth(
    start: int, end: int, times: int, order: list[int], tmp_path: Path
) -> None:
    config = small_config(NUM_LAYERS=5, LOOP_START=start, LOOP_END=end, NUM_LOOPS=times)
    assert block_order(config) == order
    looped = shaken(new_model(config, 1))
    assert looped.skip_weights.shape == (len(order) // 2, 32)
    export(looped.weights(), config, tmp_path / "artifact.bin")
    settings, weights = read(tmp_path / "artifact.bin")
    got = np.array(load(tmp_path / "artifact.bin")(IDS[:1]))[0]
    np.testing.assert_allclose(got, numpy_logits(settings, weights, IDS[0]), atol=1e-4)


def test_loops_add_no_weights_but_those_of_the_skips(config: Config) -> None:
    plain, looped = (GPT(c).weights() for c in (config, replace(config, loop_end=2, num_loops=2)))
    assert plain.keys() == looped.keys()
    assert {name for name in plain if plain[name].shape != looped[name].shape} == {"skip_weights"}


def test_the_training_loss_is_the_mean_cross_entropy_of_the_logits(model: GPT) -> None:
    ids, targets = mx.array(IDS), mx.array(TARGETS)
    logits = np.array(model(ids)).astype(np.float64).reshape(-1, 96)
    assert model.loss(ids, targets).item() == pytest.approx(mean_loss(logits, TARGETS.reshape(-1)), rel=1e-6)


def test_logits_are_float32_of_shape_batch_time_vocab_for_arrays_of_either_kind(artifact: Path) -> None:
    serve = load(artifact)
    logits = serve(IDS)
    assert (logits.shape, logits.dtype) == ((4, 80, 96), mx.float32)
    assert mx.array_equal(logits, serve(mx.array(IDS)))


@pytest.mark.parametrize("position", [0, 1, 63, 64, 78])
def test_no_logit_depends_on_a_later_token(artifact: Path, position: int) -> None:
    serve = load(artifact)
    other = IDS.copy()
    other[:, position + 1 :] = (other[:, position + 1 :] + 17) % 96
    before, after = np.array(serve(IDS)), np.array(serve(other))
    np.testing.assert_allclose(before[:, : position + 1], after[:, : position + 1], atol=1e-5)
    assert np.abs(before[:, position + 1 :] - after[:, position + 1 :]).max() > 0.1


def test_a_window_sent_again_in_other_company_gives_the_same_logits(artifact: Path) -> None:
    serve = load(artifact)
    first = np.array(serve(IDS))
    np.testing.assert_allclose(np.array(serve(IDS[::-1]))[::-1], first, atol=1e-5)
    np.testing.assert_allclose(np.array(serve(IDS[2:3])), first[2:3], atol=1e-5)
    assert np.array_equal(np.array(serve(IDS)), first)


def test_a_short_window_is_the_beginning_of_a_long_one(artifact: Path) -> None:
    serve = load(artifact)
    np.testing.assert_allclose(np.array(serve(IDS[:, :5])), np.array(serve(IDS))[:, :5], atol=1e-5)


def test_attention_and_its_gradients_are_those_of_the_library() -> None:
    keys = mx.random.split(mx.random.key(0), 4)
    q = mx.random.normal((2, 4, 150, 8), key=keys[0])
    k, v = (mx.random.normal((2, 2, 150, 8), key=key) for key in keys[1:3])
    pull = mx.random.normal(q.shape, key=keys[3])

    def library(q: mx.array, k: mx.array, v: mx.array) -> mx.array:
        return mx.fast.scaled_dot_product_attention(q, k, v, scale=8**-0.5, mask="causal")

    ours, theirs = (mx.vjp(form, [q, k, v], [pull]) for form in (causal_attention, library))
    for mine, other in zip(ours[0] + ours[1], theirs[0] + theirs[1], strict=True):
        np.testing.assert_allclose(np.array(mine), np.array(other), atol=2e-5)


def test_the_soft_cap_and_its_slope_are_those_of_tanh() -> None:
    z = mx.linspace(-200, 200, 4001)
    np.testing.assert_allclose(np.array(softcap(z, 30.0)), 30 * np.tanh(np.array(z, np.float64) / 30), atol=2e-5)
    slope = mx.grad(lambda z: softcap(z, 30.0).sum())(z)
    np.testing.assert_allclose(np.array(slope), 1 - np.tanh(np.array(z, np.float64) / 30) ** 2, atol=2e-6)


def test_a_new_model_knows_nothing_and_its_output_projections_are_zero(config: Config) -> None:
    model = new_model(config, seed=3)
    assert model.loss(mx.array(IDS), mx.array(TARGETS)).item() == pytest.approx(np.log(96), abs=0.02)
    weights = model.weights()
    assert all((mx.abs(w).max().item() == 0) == name.endswith("proj.weight") for name, w in weights.items())


def test_first_values_derive_from_the_seed_alone(config: Config) -> None:
    mx.random.normal((3,))
    one, again, other = (new_model(config, seed).weights() for seed in (5, 5, 6))
    assert all(mx.array_equal(one[name], again[name]) for name in one)
    drawn = [name for name in one if name.endswith(("c_q.weight", "c_k.weight", "c_v.weight", "fc.weight"))]
    assert not any(mx.array_equal(one[name], other[name]) for name in [*drawn, "tok_emb.weight"])
    assert not mx.array_equal(one["blocks.0.attn.c_q.weight"], one["blocks.1.attn.c_q.weight"])


def test_a_change_of_architecture_leaves_the_other_first_values_as_they_were(config: Config) -> None:
    one, deeper = (new_model(c, 5).weights() for c in (config, small_config(NUM_LAYERS=7)))
    shared = [name for name in one if name != "skip_weights"]
    assert all(mx.array_equal(one[name], deeper[name]) for name in shared)


def test_half_precision_activations_give_nearly_the_same_loss(model: GPT, monkeypatch: pytest.MonkeyPatch) -> None:
    ids, targets = mx.array(IDS), mx.array(TARGETS)
    full = float(model.loss(ids, targets))
    monkeypatch.setattr(model_module, "compute_dtype", lambda: mx.bfloat16)
    half, grads = gradient_function(model)(ids, targets)
    assert half.dtype == mx.float32
    assert 0 < abs(float(half) - full) < 0.05 * full
    assert {grad.dtype for grad in grads.values()} == {mx.float32}
