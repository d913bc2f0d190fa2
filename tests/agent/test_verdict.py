"""Verdicts as pure functions of pairs."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import noise, verdict
from agent.noise import Noise, Scatter
from agent.records import Pair
from bench.errors import NightshiftError

RUN_SCALE = 0.008
differences = st.lists(st.floats(-0.1, 0.1, allow_nan=False), min_size=1, max_size=8)


def known() -> Noise:
    """Changes of all kinds were seen: gentle ones, and ones that pair no better than unrelated runs."""
    scales = (0.0005, 0.001, 0.003, 0.005, 0.006, 0.008, 0.011)
    return noise.learn([Scatter("optimizer", 3 * scale**2, 3) for scale in scales], RUN_SCALE)


def pairs(*found: float, champion: float = 2.0) -> list[Pair]:
    return [
        Pair(seed=seed, champion=champion, candidate=champion + difference) for seed, difference in enumerate(found)
    ]


def decided(*found: float) -> verdict.Verdict | None:
    return verdict.decide(verdict.weigh("confirm", pairs(*found), known()))


def test_a_large_gain_is_kept_at_the_second_pair() -> None:
    outcome = decided(-0.05, -0.048)
    assert outcome is not None
    assert (outcome.status, outcome.reason) == ("keep", "improved")


def test_a_moderate_gain_is_kept_once_enough_pairs_agree() -> None:
    assert decided(-0.016, -0.014) is None
    outcome = decided(-0.016, -0.014, -0.015, -0.016)
    assert outcome is not None
    assert outcome.status == "keep"


def test_one_pair_never_decides() -> None:
    assert decided(-0.5) is None


def test_two_pairs_that_agree_by_accident_are_not_believed() -> None:
    outcome = decided(-0.002, -0.002)
    assert outcome is None or outcome.status == "discard"


def test_what_is_clearly_worse_is_given_up_early() -> None:
    outcome = decided(0.05, 0.048)
    assert outcome is not None
    assert (outcome.status, outcome.reason) == ("discard", "worse")


def test_what_is_no_better_is_given_up_at_the_second_pair() -> None:
    outcome = decided(0.004, 0.001)
    assert outcome is not None
    assert (outcome.status, outcome.reason) == ("discard", "not_resolved")


def test_the_last_look_always_decides() -> None:
    outcome = decided(-0.006, 0.001, -0.007, -0.003, -0.002, -0.004, -0.005, 0.0)
    assert outcome is not None
    assert (outcome.status, outcome.reason) == ("discard", "not_resolved")


@pytest.mark.parametrize("count", [5, 7])
def test_between_two_looks_nothing_is_decided(count: int) -> None:
    assert decided(*[-0.05] * count) is None


@given(differences, st.randoms(use_true_random=False))
def test_the_order_of_the_pairs_does_not_matter(found: list[float], shuffler: random.Random) -> None:
    mixed = pairs(*found)
    shuffler.shuffle(mixed)
    assert judged(pairs(*found)) == pytest.approx(judged(mixed), rel=1e-9, abs=1e-12)


@given(differences)
def test_swapping_champion_and_candidate_mirrors_the_evidence(found: list[float]) -> None:
    straight = verdict.weigh("confirm", pairs(*found), known())
    swapped = [Pair(seed=pair.seed, champion=pair.candidate, candidate=pair.champion) for pair in pairs(*found)]
    mirrored = verdict.weigh("confirm", swapped, known())
    assert mirrored.mean == pytest.approx(-straight.mean, abs=1e-15)
    assert mirrored.p_value == pytest.approx(1 - straight.p_value, abs=1e-9)


@given(differences, st.floats(0.01, 100))
def test_the_unit_of_measurement_does_not_matter(found: list[float], unit: float) -> None:
    scaled = known().model_copy(update={"scales": tuple(scale * unit for scale in known().scales)})
    evidence = verdict.weigh("confirm", pairs(*(unit * one for one in found), champion=0.0), scaled)
    same = verdict.weigh("confirm", pairs(*found, champion=0.0), known())
    assert (evidence.p_value, evidence.chance) == pytest.approx((same.p_value, same.chance), rel=1e-6, abs=1e-9)


@given(differences, st.floats(-1, 1))
def test_what_champion_and_candidate_have_in_common_does_not_matter(found: list[float], level: float) -> None:
    assert judged(pairs(*found, champion=2.0 + level)) == pytest.approx(judged(pairs(*found)), rel=1e-6, abs=1e-9)


def judged(found: list[Pair]) -> tuple[float, float, float, float]:
    evidence = verdict.weigh("confirm", found, known())
    return evidence.mean, evidence.scale, evidence.p_value, evidence.chance


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_is_refused_and_not_averaged(bad: float) -> None:
    with pytest.raises(NightshiftError, match="not finite"):
        verdict.weigh("confirm", pairs(bad, -0.1), known())


def test_nothing_measured_is_refused() -> None:
    with pytest.raises(NightshiftError, match="no pairs"):
        verdict.weigh("confirm", [], known())


def test_a_seed_counts_once() -> None:
    with pytest.raises(NightshiftError, match="twice"):
        verdict.weigh("confirm", [*pairs(-0.1), *pairs(-0.1)], known())
