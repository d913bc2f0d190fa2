"""What is known of a change's noise before it is measured."""

import random

import numpy as np
import pytest
from scipy.stats import t as student

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


def test_what_one_run_may_scatter_is_told_by_few_runs_on_the_safe_side() -> None:
    rng = random.Random(2)
    told = [noise.at_most([rng.gauss(1.0, 0.3) for _ in range(5)]) for _ in range(4_000)]
    assert np.mean([most >= 0.3 for most in told]) == pytest.approx(noise.SURE, abs=0.02)


def test_where_nothing_pairs_the_p_value_is_student_s_with_the_freedom_of_both() -> None:
    scores, differences = [2.0, 2.1, 1.9, 2.05, 1.97], [-0.25, -0.3, -0.2]
    known = noise.unpaired(scores)
    squares, mean = float(np.var(differences) * 3), float(np.mean(differences))
    found = known.p_value(known.given(squares, 2), mean, 3)
    variance = (squares + 2 * float(np.var(scores) * 5)) / (2 + 4)
    assert found == pytest.approx(float(student.cdf(mean / (variance / 3) ** 0.5, 6)), rel=0.02)
