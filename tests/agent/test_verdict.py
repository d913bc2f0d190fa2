"""Verdicts as pure functions of pairs."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import verdict
from agent.records import Pair
from bench.errors import NightshiftError

differences = st.lists(st.floats(-0.1, 0.1, allow_nan=False), min_size=1, max_size=4)


def pairs(*found: float) -> list[Pair]:
    return [Pair(seed=seed, champion=2.0, candidate=2.0 + difference) for seed, difference in enumerate(found)]


def test_a_clear_gain_is_kept_at_the_second_pair() -> None:
    outcome = verdict.decide(verdict.weigh("confirm", pairs(-0.03, -0.028)))
    assert outcome is not None
    assert (outcome.status, outcome.reason) == ("keep", "improved")


def test_one_pair_never_decides() -> None:
    assert verdict.decide(verdict.weigh("confirm", pairs(-0.5))) is None


def test_two_pairs_that_agree_by_accident_are_not_believed() -> None:
    outcome = verdict.decide(verdict.weigh("confirm", pairs(-0.002, -0.002)))
    assert outcome is None or outcome.status == "discard"


def test_what_is_clearly_worse_is_given_up_early() -> None:
    outcome = verdict.decide(verdict.weigh("confirm", pairs(0.03, 0.028)))
    assert outcome is not None
    assert (outcome.status, outcome.reason) == ("discard", "worse")


def test_the_last_pair_always_decides() -> None:
    outcome = verdict.decide(verdict.weigh("confirm", pairs(-0.006, 0.001, -0.007, -0.003)))
    assert outcome is not None
    assert (outcome.status, outcome.reason) == ("discard", "not_resolved")


def test_breadth_drops_only_what_is_worse_and_never_keeps() -> None:
    assert verdict.gate(verdict.weigh("breadth", pairs(-0.05, -0.05))) is None
    assert verdict.gate(verdict.weigh("breadth", pairs(0.001, 0.001))) is None
    dropped = verdict.gate(verdict.weigh("breadth", pairs(0.02, 0.001)))
    assert dropped is not None
    assert dropped.reason == "worse_at_breadth"


def test_identical_scores_mean_no_effect() -> None:
    dropped = verdict.gate(verdict.weigh("breadth", pairs(0.0, 0.0)))
    assert dropped is not None
    assert dropped.reason == "no_effect"


@given(differences, st.randoms(use_true_random=False))
def test_the_order_of_the_pairs_does_not_matter(found: list[float], shuffler: random.Random) -> None:
    mixed = pairs(*found)
    shuffler.shuffle(mixed)
    first, second = verdict.weigh("confirm", pairs(*found)), verdict.weigh("confirm", mixed)
    assert first.mean == pytest.approx(second.mean, abs=1e-15)
    assert first.p_value == pytest.approx(second.p_value, abs=1e-12)


@given(differences)
def test_swapping_champion_and_candidate_mirrors_the_evidence(found: list[float]) -> None:
    straight = verdict.weigh("confirm", pairs(*found))
    mirrored = verdict.weigh(
        "confirm", [Pair(seed=pair.seed, champion=pair.candidate, candidate=pair.champion) for pair in pairs(*found)]
    )
    assert mirrored.mean == pytest.approx(-straight.mean, abs=1e-15)
    assert mirrored.p_value == pytest.approx(1 - straight.p_value, abs=1e-9)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_is_refused_and_not_averaged(bad: float) -> None:
    with pytest.raises(NightshiftError, match="not finite"):
        verdict.weigh("confirm", pairs(bad, -0.1))


def test_a_seed_counts_once() -> None:
    with pytest.raises(NightshiftError, match="twice"):
        verdict.weigh("confirm", [*pairs(-0.1), *pairs(-0.1)])


def test_changes_without_effect_are_rarely_kept_whatever_their_noise() -> None:
    rng = random.Random(4)
    for scale in (0.0005, 0.005, 0.0085):
        kept = sum(_night(rng, scale) for _ in range(4000))
        assert kept / 4000 < verdict.ERROR_RATE


def _night(rng: random.Random, scale: float) -> bool:
    found = [rng.gauss(0.0, scale) for _ in range(verdict.MOST_PAIRS)]
    for count in range(verdict.LEAST_PAIRS, verdict.MOST_PAIRS + 1):
        if outcome := verdict.decide(verdict.weigh("confirm", pairs(*found[:count]))):
            return outcome.status == "keep"
    raise AssertionError("the last look decides")
