"""The twins of `trainer/fast.py`: the plain forms' values and gradients, and never where they do not belong."""

from collections.abc import Callable
from dataclasses import replace

import mlx.core as mx
import numpy as np
import pytest
from mlx.utils import tree_unflatten

from tests.trainer.toys import shaken, small_config, text
from trainer import fast, model, optim, settings
from trainer.config import Config, SettingsError, read_config
from trainer.model import GPT, new_model
from trainer.train import accumulate, gradient_function

Form = Callable[..., mx.array]
Arrays = list[mx.array]


def random(seed: int, *shape: int) -> mx.array:
    return mx.random.normal(shape, key=mx.random.key(seed))


def normalised(seed: int, *shape: int) -> mx.array:
    return model.rms_norm(random(seed, *shape))


def assert_alike(ours: Arrays, theirs: Arrays, tolerance: float = 1e-5) -> None:
    """Each array within `tolerance` of the other's largest element."""
    for mine, other in zip(ours, theirs, strict=True):
        expected = np.array(other)
        assert mine.shape == other.shape
        np.testing.assert_allclose(np.array(mine), expected, rtol=0, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize(
    ("batch", "heads", "groups", "time", "channel"),
    [(2, 4, 2, 80, 8), (1, 1, 1, 1, 2), (3, 6, 2, 33, 10), (2, 3, 3, 64, 4), (1, 4, 1, 300, 6), (1, 2, 1, 256, 4)],
)
def test_attention_has_the_plain_value_and_gradients(
    batch: int, heads: int, groups: int, time: int, channel: int
) -> None:
    q, k, v = (random(i, batch, time, count, channel) for i, count in enumerate((heads, groups, groups)))
    gain, above = 1.5 + 0.1 * random(3, heads), random(4, batch, time, heads * channel)
    tables = model.rotary_tables(time, channel, 10000.0)
    (ours, our_slopes), (theirs, slopes) = (
        mx.vjp(lambda *x, form=form: form(*x, *tables), [q, k, v, gain], [above])
        for form in (fast.attention, model.attention)
    )
    assert_alike(ours, theirs)
    if time > 1:
        assert_alike(our_slopes, slopes)
    else:
        assert all(mx.allclose(our_slopes[i], mx.zeros_like(slopes[i]), atol=1e-5) for i in (0, 1, 3))
        assert_alike(our_slopes[2:3], slopes[2:3])


def test_attention_keeps_its_gradients_where_sums_are_too_large_to_square() -> None:
    q, k, v = (random(i, 1, 64, 2, 32) for i in range(3))
    gain, above = mx.array([12.0, 0.0]), random(4, 1, 64, 64)
    tables = model.rotary_tables(64, 32, 10000.0)
    (_, ours), (_, plain) = (
        mx.vjp(lambda *x, form=form: form(*x, *tables), [q, k, v, gain], [above])
        for form in (fast.attention, model.attention)
    )
    assert_alike(ours[:3], plain[:3], 1e-4)
    assert mx.isfinite(ours[3]).all()


@pytest.mark.parametrize("cap", [8.0, 30.0, 80.0])
@pytest.mark.parametrize(("batch", "time", "dim", "vocab"), [(2, 80, 32, 96), (1, 1, 3, 5), (3, 7, 10, 301)])
def test_cross_entropy_has_the_plain_value_and_gradients(
    cap: float, batch: int, time: int, dim: int, vocab: int
) -> None:
    x, embedding = normalised(0, batch, time, dim), random(1, vocab, dim)
    targets = mx.random.randint(0, vocab, (batch, time), key=mx.random.key(2))
    (ours, our_slopes), (theirs, slopes) = (
        mx.value_and_grad(lambda x, e, form=form: 3 * form(x, e, targets, cap), argnums=(0, 1))(x, embedding)
        for form in (fast.cross_entropy, model.cross_entropy)
    )
    assert_alike([ours], [theirs])
    assert_alike(list(our_slopes), list(slopes))


def test_cross_entropy_stays_finite_where_every_logit_is_at_its_cap() -> None:
    x, embedding = 100 * mx.ones((1, 4, 8)), mx.concatenate([mx.ones((3, 8)), -mx.ones((3, 8))])
    targets = mx.array([[0, 2, 3, 5]])
    loss, slopes = mx.value_and_grad(lambda x: fast.cross_entropy(x, embedding, targets, 80.0))(x)
    assert loss.item() == pytest.approx(80 + np.log(3), rel=1e-5)
    assert mx.allclose(slopes, mx.zeros_like(slopes), atol=1e-6)


def test_the_gradients_of_a_whole_model_are_the_plain_ones(config: Config) -> None:
    windows = mx.array(text(3, 4 * 81).reshape(4, 81).astype(np.int32))
    (loss, grads), (plain_loss, plain_grads) = (
        gradient_function(shaken(new_model(each, 1)))(windows[:, :-1], windows[:, 1:])
        for each in (config, replace(config, plain=1))
    )
    assert_alike([loss], [plain_loss])
    assert set(grads) == set(plain_grads)
    assert_alike([grads[name] for name in grads], [plain_grads[name] for name in grads], 3e-5)


def losses(config: Config, steps: int) -> list[float]:
    """The loss of each of some training steps on one batch."""
    windows = text(5, 8 * 81).reshape(8, 81).astype(np.int32)
    trained = new_model(config, 1)
    gradients = gradient_function(trained)
    params = trained.weights()
    state, seen = optim.start(config, params), []
    for _ in range(steps):
        loss, grads = accumulate(gradients, windows[:, :-1], windows[:, 1:], 8)
        params, state = optim.update(config, params, grads, state, steps)
        trained.update(tree_unflatten(list(params.items())))
        seen.append(loss)
    return seen


def test_ten_steps_lead_to_the_plain_loss(config: Config) -> None:
    ours, plain = losses(config, 10), losses(replace(config, plain=1), 10)
    assert ours[-1] < ours[0] - 1
    np.testing.assert_allclose(ours, plain, rtol=1e-3)


def test_repeats_are_the_same_to_the_last_bit(config: Config) -> None:
    assert losses(config, 3) == losses(config, 3)


def test_every_twin_stands_beside_a_plain_form_of_its_name(config: Config) -> None:
    for name in fast.TWINS:
        plain, twin = getattr(model, name), getattr(fast, name)
        assert (
            plain.__code__.co_varnames[: plain.__code__.co_argcount]
            == twin.__code__.co_varnames[: twin.__code__.co_argcount]
        )
        assert model.chosen(plain, config) is twin
        assert model.chosen(plain, replace(config, plain=1)) is plain


def test_a_model_computes_what_was_chosen_for_it(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted, because the two agree too well to be told apart by their values."""
    calls: list[str] = []

    def counted(name: str, twin: Form) -> Form:
        def form(*args: object) -> mx.array:
            calls.append(name)
            return twin(*args)

        return form

    for name in fast.TWINS:
        monkeypatch.setattr(fast, name, counted(name, getattr(fast, name)))
    ids = mx.zeros((1, 4), mx.int32)
    GPT(replace(config, plain=1)).loss(ids, ids)
    assert calls == []
    GPT(config).loss(ids, ids)
    assert calls == ["attention"] * config.num_layers + ["cross_entropy"]


@pytest.mark.parametrize(
    ("name", "value"), [("on_gpu", lambda: True), ("compute_dtype", lambda: mx.bfloat16), ("fast.TWINS", ())]
)
def test_where_a_twin_does_not_apply_the_plain_form_runs(
    name: str, value: object, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"trainer.model.{name}", value)
    assert model.chosen(model.attention, config) is model.attention


def test_plain_is_a_switch_that_no_search_may_turn() -> None:
    assert read_config({"PLAIN": "1"}, "tiny").plain == 1
    assert "PLAIN" not in settings.RANGES
    with pytest.raises(SettingsError, match="PLAIN must be 0 or 1"):
        small_config(PLAIN=2)
