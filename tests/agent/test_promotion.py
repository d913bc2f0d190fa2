"""What breadth foretells of confirm, and what it may drop."""

import random

import pytest

from agent import noise, promotion, verdict
from agent.noise import Noise
from agent.promotion import Point, Promotion
from agent.records import Evidence, Pair
from bench.errors import NightshiftError

RUN_SCALE = 0.008
GENTLE = Promotion(slope=0.5, scatter=0.004, changes=20)


@pytest.fixture(scope="module")
def known() -> Noise:
    return noise.learn([], RUN_SCALE)


def evidence(known: Noise, *differences: float) -> Evidence:
    pairs = [Pair(seed=seed, champion=2.0, candidate=2.0 + one) for seed, one in enumerate(differences)]
    return verdict.weigh("breadth", pairs, known)


def some_id(checked: bool) -> str:
    return next(f"night-{n:04d}" for n in range(1000) if promotion.spot_check(f"night-{n:04d}") == checked)


def test_the_slope_and_scatter_of_many_changes_are_found() -> None:
    rng = random.Random(1)
    effects = [rng.gauss(0, 0.03) for _ in range(200)]
    found = promotion.learn([Point(one, 0.7 * one + rng.gauss(0, 0.002)) for one in effects])
    assert found.slope == pytest.approx(0.7, abs=0.02)
    assert found.scatter == pytest.approx(0.0025, abs=0.0008)
    assert found.changes == 200


def test_without_experience_half_of_what_breadth_shows_is_expected() -> None:
    assert promotion.learn([]).slope == promotion.PRIOR_SLOPE


def test_the_better_at_breadth_the_likelier_to_be_kept(known: Noise) -> None:
    chances = [GENTLE.chance(breadth, known) for breadth in (0.05, 0.0, -0.02, -0.05, -0.1)]
    assert chances == sorted(chances)
    assert chances[0] < 0.01
    assert chances[-1] > 0.95


def test_where_breadth_foretells_little_less_is_concluded_from_it(known: Noise) -> None:
    vague = Promotion(slope=0.5, scatter=0.02, changes=20)
    assert vague.chance(0.01, known) > GENTLE.chance(0.01, known)
    assert vague.chance(-0.08, known) < GENTLE.chance(-0.08, known)


def test_what_is_clearly_better_goes_on_and_what_is_worse_is_dropped(known: Noise) -> None:
    assert promotion.gate(evidence(known, -0.08), GENTLE, known, some_id(False)) is None
    dropped = promotion.gate(evidence(known, 0.03), GENTLE, known, some_id(False))
    assert dropped is not None
    assert (dropped.status, dropped.reason) == ("discard", "worse_at_breadth")
    dropped = promotion.gate(evidence(known, -0.001), GENTLE, known, some_id(False))
    assert dropped is not None
    assert (dropped.status, dropped.reason) == ("discard", "unpromising")


def test_what_is_likely_to_be_kept_goes_on_however_large_the_differences_of_others_were(known: Noise) -> None:
    large = Promotion(slope=0.5, scatter=0.004, common=0.2, changes=1)
    assert large.chance(-0.15, known) < large.chance(-large.common, known)
    assert promotion.gate(evidence(known, -0.15), large, known, some_id(False)) is None


def test_where_breadth_foretells_nothing_nothing_is_dropped(known: Noise) -> None:
    against = promotion.learn([Point(one, -one) for one in (-0.02, 0.01, 0.03)] * 40)
    assert against.slope == 0
    assert promotion.gate(evidence(known, 0.05), against, known, some_id(False)) is None


def test_some_of_what_would_be_dropped_is_confirmed_all_the_same(known: Noise) -> None:
    assert promotion.gate(evidence(known, 0.03), GENTLE, known, some_id(True)) is None
    checked = sum(promotion.spot_check(f"night-{n:04d}") for n in range(4000))
    assert checked == pytest.approx(4000 / promotion.SPOT_CHECKS, rel=0.2)


def test_identical_scores_mean_no_effect_and_are_never_spot_checked(known: Noise) -> None:
    dropped = promotion.gate(evidence(known, 0.0, 0.0), GENTLE, known, some_id(True))
    assert dropped is not None
    assert dropped.reason == "no_effect"


def test_breadth_needs_a_pair(known: Noise) -> None:
    with pytest.raises(NightshiftError, match="no pairs"):
        evidence(known)
