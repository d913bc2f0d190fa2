"""The average of the weights: exponential, and without a bias towards where it began."""

import mlx.core as mx
import pytest

from trainer.average import blend


@pytest.mark.parametrize("decay", [0.1, 0.5, 0.9, 0.999])
def test_a_step_weighs_decay_times_as_much_as_the_next_and_all_weigh_one(decay: float) -> None:
    steps = [mx.random.normal((3, 2), key=mx.random.key(i)) for i in range(6)]
    average = {"w": mx.full((3, 2), 1e3)}
    for count, step in enumerate(steps, 1):
        average = blend(average, {"w": step}, decay, count)
    shares = [decay ** (5 - i) for i in range(6)]
    expected = sum((share * step for share, step in zip(shares, steps, strict=True)), mx.zeros((3, 2))) / sum(shares)
    assert mx.allclose(average["w"], expected, rtol=1e-4, atol=2e-4)
