"""What is known of a change's noise before it is measured."""

import random

import numpy as np
import pytest

from agent import noise
from agent.noise import UNPAIRED, WIDEST, Noise, Scatter

RUN_SCALE = 0.008


def drawn(scale: float, changes: int, lane: str = "optimizer", pairs: int = 4) -> list[Scatter]:
    rng = random.Random(1)
    found = []
    for _ in range(changes):
        residuals = [rng.gauss(0, scale) for _ in range(pairs - 1)]
        found.append(Scatter(lane, sum(one**2 for one in residuals), pairs - 1))
    return found


def typical(known: Noise) -> float:
    """The median scale."""
    return known.scales[int(np.searchsorted(np.cumsum(known.weights), 0.5))]


def test_without_experience_every_scale_is_possible_and_bad_pairing_likeliest() -> None:
    known = noise.learn([], RUN_SCALE)
    assert sum(known.weights) == pytest.approx(1.0)
    assert min(known.weights) > 0.05
    assert known.weights[-1] == max(known.weights)
    assert known.scales[-1] == pytest.approx(WIDEST * RUN_SCALE)


@pytest.mark.parametrize("scale", [0.001, 0.004])
def test_many_changes_of_one_kind_tell_the_scale(scale: float) -> None:
    known = noise.fit(drawn(scale, 40), RUN_SCALE)
    near = sum(w for s, w in zip(known.scales, known.weights, strict=True) if scale / 1.6 < s < scale * 1.6)
    assert near > 0.8


def test_a_share_stays_where_a_change_pairs_no_better_than_unrelated_runs_whatever_was_seen() -> None:
    known = noise.learn(drawn(0.001, 500), RUN_SCALE)
    badly = known.grid >= UNPAIRED * RUN_SCALE
    assert sum(np.array(known.weights)[badly]) > noise.BADLY_PAIRED + noise.ANYWHERE * badly.mean()


def test_changes_of_the_same_lane_count_for_more() -> None:
    seen = [*drawn(0.006, 30, "architecture"), *drawn(0.001, 10, "optimizer")]
    optimizer, architecture = (typical(noise.learn(seen, RUN_SCALE, lane)) for lane in ("optimizer", "architecture"))
    assert optimizer < architecture


def test_residuals_of_ones_own_narrow_the_scale_but_two_pairs_never_below_the_grid() -> None:
    known = noise.learn(drawn(0.006, 10), RUN_SCALE)
    wide = known.scale(known.given(0.0, 0))
    assert known.scale(known.given(0.0, 1)) < wide
    assert known.scale(known.given(0.0, 7)) >= known.scales[0]
    assert known.scale(known.given(7 * 0.01**2, 7)) > wide
