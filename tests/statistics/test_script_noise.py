"""Verdicts on a script, whose noise its own first runs alone tell: simulated changes, with an effect and without."""

import random
from math import sqrt

import pytest

from agent import verdict
from agent.experience import Experience
from agent.records import Pair
from agent.verdict import ERROR_RATE, LOOKS

CHANGES = 400


def kept(effect: float, *, paired: bool, shared: float) -> float:
    """The share kept of changes with that effect, in standard deviations of a run; pairs share so much of theirs."""
    rng, count = random.Random(1), 0
    for _ in range(CHANGES):
        scores = tuple(rng.gauss(0, 1) for _ in range(5))
        known = Experience(
            machine="", data="", profiles="script-", scores={"confirm": scores}, changes=(), paired=paired
        )
        pairs = []
        for seed in range(LOOKS[-1]):
            common = sqrt(shared) * rng.gauss(0, 1)
            mine, its = (common + sqrt(1 - shared) * rng.gauss(0, 1) for _ in range(2))
            pairs.append(Pair(seed=seed, champion=its, candidate=mine + effect))
        noise = known.noise("confirm", "")
        found = (verdict.decide(verdict.weigh("script-confirm", pairs[:look], noise)) for look in LOOKS)
        count += next(one.status == "keep" for one in found if one)
    return count / CHANGES


@pytest.mark.parametrize(("paired", "shared"), [(False, 0.0), (True, 0.0), (True, 0.9)])
def test_a_change_without_effect_is_kept_as_seldom_as_is_said(paired: bool, shared: float) -> None:
    assert kept(0.0, paired=paired, shared=shared) <= ERROR_RATE


@pytest.mark.parametrize(("paired", "shared", "effect", "least"), [(False, 0.0, -4.0, 0.95), (True, 0.9, -2.0, 0.95)])
def test_a_large_effect_is_seen(paired: bool, shared: float, effect: float, least: float) -> None:
    assert kept(effect, paired=paired, shared=shared) >= least
