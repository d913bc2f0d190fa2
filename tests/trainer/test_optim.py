"""Muon and Adam, clipping, and schedules that follow the length of the run."""

from dataclasses import replace

import mlx.core as mx
import numpy as np
import pytest

from tests.trainer.toys import small_config
from trainer import optim
from trainer.config import Config
from trainer.model import GPT


def random(shape: tuple[int, ...], seed: int = 0) -> mx.array:
    return mx.random.normal(shape, key=mx.random.key(seed))


@pytest.mark.parametrize("shape", [(32, 32), (64, 32), (16, 48)])
def test_muon_brings_every_singular_value_near_one(shape: tuple[int, int]) -> None:
    matrix = random(shape)
    values = np.linalg.svd(np.array(optim.orthogonalise(matrix, 8)), compute_uv=False)
    assert values.min() > 0.6
    assert values.max() < 1.3
    assert np.ptp(np.linalg.svd(np.array(matrix), compute_uv=False)) > 3


def test_the_direction_of_muon_keeps_the_singular_vectors() -> None:
    matrix = random((24, 40))
    u, _, vt = np.linalg.svd(np.array(matrix), full_matrices=False)
    rotated = u.T @ np.array(optim.orthogonalise(matrix, 5)) @ vt.T
    np.testing.assert_allclose(rotated, np.diag(np.diag(rotated)), atol=1e-4)


def test_a_zero_gradient_moves_no_matrix() -> None:
    assert mx.array_equal(optim.orthogonalise(mx.zeros((4, 6)), 5), mx.zeros((4, 6)))


def test_muon_trains_the_blocks_matrices_and_adam_all_the_rest(config: Config) -> None:
    params = GPT(config).weights()
    muon = {name.split(".", 2)[2] for name, p in params.items() if optim.is_matrix(config, name, p)}
    projections = {"attn.c_q", "attn.c_k", "attn.c_v", "attn.proj", "mlp.fc", "mlp.proj"}
    assert muon == {f"{name}.weight" for name in projections}
    state = optim.start(config, params)
    assert set(state.momentum) == set(params)
    assert "tok_emb.weight" in state.variance
    assert "skip_weights" in state.variance


def test_the_first_step_of_muon_is_its_rate_times_an_orthogonal_matrix() -> None:
    config = small_config(MATRIX_LR=0.5, WARMDOWN_FRAC=0)
    params, grads = {"blocks.0.w": mx.zeros((64, 16))}, {"blocks.0.w": random((64, 16))}
    after, _ = optim.update(config, params, grads, optim.start(config, params), iterations=10)
    expected = -0.5 * 2 * optim.orthogonalise(grads["blocks.0.w"], config.muon_backend_steps)
    np.testing.assert_allclose(np.array(after["blocks.0.w"]), np.array(expected), atol=1e-4)


def test_muon_looks_ahead_along_its_momentum() -> None:
    config = small_config(MUON_MOMENTUM=0.5, MUON_MOMENTUM_WARMUP_START=0.5, MATRIX_LR=1, WARMDOWN_FRAC=0)
    first, second = random((8, 8), 1), random((8, 8), 2)
    before: optim.Arrays = {"blocks.0.w": mx.zeros((8, 8))}
    before, state = optim.update(config, before, {"blocks.0.w": first}, optim.start(config, before), iterations=10)
    after, _ = optim.update(config, before, {"blocks.0.w": second}, state, iterations=10)
    expected = optim.orthogonalise(second + 0.5 * (0.5 * first + second), config.muon_backend_steps)
    moved = before["blocks.0.w"] - after["blocks.0.w"]
    np.testing.assert_allclose(np.array(moved), np.array(expected), atol=1e-4)


def test_every_step_shrinks_with_the_warmdown() -> None:
    config = small_config(WARMDOWN_FRAC=1, MUON_MOMENTUM_WARMUP_FRAC=0)
    params = {"blocks.0.w": mx.zeros((4, 4)), "tok_emb.weight": mx.zeros((4, 4)), "skip_weights": mx.zeros((4,))}
    grads = {name: random(p.shape) for name, p in params.items()}
    state = optim.start(config, params)
    late = optim.State(state.momentum, state.variance, steps=5)
    half, _ = optim.update(config, params, grads, late, iterations=10)
    whole, _ = optim.update(replace(config, warmdown_frac=0), params, grads, late, iterations=10)
    assert all(mx.allclose(half[name], 0.5 * whole[name], rtol=1e-5) for name in params)


@pytest.mark.parametrize(("name", "rate"), [("tok_emb.weight", 0.25), ("skip_weights", 0.125)])
def test_adam_follows_its_definition_at_its_own_rate(name: str, rate: float) -> None:
    config = small_config(TIED_EMBED_LR=0.25, SCALAR_LR=0.125, WARMDOWN_FRAC=0)
    params = {name: random((3, 5))}
    grads = [random((3, 5), seed) for seed in (1, 2, 3)]
    expected, first, second = np.array(params[name], np.float64), np.zeros((3, 5)), np.zeros((3, 5))
    state = optim.start(config, params)
    for t, grad in enumerate(grads, start=1):
        params, state = optim.update(config, params, {name: grad}, state, iterations=10)
        g = np.array(grad, np.float64)
        first, second = 0.9 * first + 0.1 * g, 0.95 * second + 0.05 * g**2
        expected = expected - rate * (first / (1 - 0.9**t)) / (np.sqrt(second / (1 - 0.95**t)) + 1e-8)
    np.testing.assert_allclose(np.array(params[name]), expected, atol=1e-5)


def test_clipping_scales_all_gradients_to_one_joint_norm() -> None:
    grads = {"a": 3 * mx.ones((2, 2)), "b": 4 * mx.ones((4,))}
    clipped = optim.clip(grads, 1.0)
    norm = sum(float(mx.square(g).sum()) for g in clipped.values()) ** 0.5
    assert norm == pytest.approx(1.0, rel=1e-5)
    assert clipped["a"][0, 0].item() / clipped["b"][0].item() == pytest.approx(3 / 4)


def test_gradients_below_the_limit_and_clipping_turned_off_leave_gradients_alone() -> None:
    grads = {"a": mx.ones((2, 2))}
    assert mx.array_equal(optim.clip(grads, 2.5)["a"], grads["a"])
    assert optim.clip({"a": 1e6 * grads["a"]}, 0.0)["a"][0, 0].item() == 1e6


def test_a_clipped_step_of_adam_is_the_step_of_the_clipped_gradient() -> None:
    clipping = small_config(GRAD_CLIP_NORM=0.5)
    params, grads = {"skip_weights": mx.zeros((4,))}, {"skip_weights": 1e-3 * mx.ones((4,))}
    big = {"skip_weights": 1e3 * mx.ones((4,))}
    state = optim.start(clipping, params)
    _, after_small = optim.update(clipping, params, grads, state, 10)
    _, after_big = optim.update(clipping, params, big, state, 10)
    assert after_small.momentum["skip_weights"][0].item() == pytest.approx(1e-4)
    assert after_big.momentum["skip_weights"][0].item() == pytest.approx(0.1 * 0.25)


@pytest.mark.parametrize("iterations", [10, 1000])
def test_rates_fall_linearly_over_the_last_fraction_of_the_run(iterations: int) -> None:
    config = small_config(WARMDOWN_FRAC=0.4)
    rates = [optim.warmdown(config, step, iterations) for step in range(iterations)]
    assert rates[: iterations * 6 // 10 + 1] == [1.0] * (iterations * 6 // 10 + 1)
    assert rates[iterations * 8 // 10] == pytest.approx(0.5)
    assert rates[-1] == pytest.approx(1 / (0.4 * iterations))


def test_a_run_without_warmdown_never_slows() -> None:
    assert optim.warmdown(small_config(WARMDOWN_FRAC=0), 9, 10) == 1.0


@pytest.mark.parametrize("iterations", [10, 1000])
def test_the_momentum_of_muon_rises_over_the_first_fraction_of_the_run(iterations: int) -> None:
    config = small_config(MUON_MOMENTUM_WARMUP_FRAC=0.5)
    momenta = [optim.muon_momentum(config, step, iterations) for step in range(iterations)]
    assert momenta[0] == pytest.approx(0.85)
    assert momenta[iterations // 4] == pytest.approx(0.90, abs=0.011)
    assert momenta[iterations // 2 :] == pytest.approx([0.95] * (iterations // 2))
