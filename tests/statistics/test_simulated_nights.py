"""The simulator gives what is known of other keep rules, and the verdicts keep the error rate that they state."""

from dataclasses import replace

import numpy as np
import pytest

from agent import noise, verdict
from agent.experience import COMMITTED, Experience, read
from agent.noise import UNPAIRED, Scatter
from scripts import simulate
from scripts.simulate import GAIN, HARMED, NULL, World, better_by_bootstrap, world_of


@pytest.fixture(scope="module")
def experience() -> Experience:
    return next(one for one in read(COMMITTED) if not one.profiles)


@pytest.fixture(scope="module")
def nothing_real(experience: Experience) -> World:
    return replace(world_of(experience, 0.0), gains=0, harmful=0)


def kept(rule: str, world: World, nights: int, kind: int) -> float:
    found = [simulate.RULES[rule](*drawn(world, seed), world).kept[kind] for seed in range(nights)]
    return float(np.mean(found))


def drawn(world: World, seed: int) -> tuple[np.random.Generator, simulate.Proposals]:
    proposals, measured = np.random.default_rng(seed).spawn(2)
    return measured, simulate.draw(proposals, world)


def test_greedy_keeps_four_of_a_hundred_changes_without_effect(nothing_real: World) -> None:
    # The records of 101 numbers in random order: 1/2 + 1/3 + … + 1/101.
    assert kept("greedy", nothing_real, 400, NULL) == pytest.approx(4.2, abs=0.3)


def test_greedy_logs_two_and_a_half_standard_deviations_of_gain_that_is_not_there(nothing_real: World) -> None:
    logged = [simulate.greedy(*drawn(nothing_real, seed), nothing_real).logged for seed in range(400)]
    assert float(np.mean(logged)) == pytest.approx(2.5, abs=0.2)


def test_the_bootstrap_of_three_keeps_about_one_and_an_eighth_against_a_fresh_incumbent(nothing_real: World) -> None:
    assert kept("bootstrap of 3", nothing_real, 200, NULL) == pytest.approx(1.1, abs=0.3)
    rng = np.random.default_rng(1)
    wins = [better_by_bootstrap(rng.normal(size=3), rng.normal(size=3)) >= 0.95 for _ in range(4000)]
    assert 0.11 < float(np.mean(wins)) < 0.14


def test_these_verdicts_keep_hardly_anything_without_effect_and_most_that_is_real(experience: Experience) -> None:
    world = world_of(experience, 2.0)
    nights = [simulate.nightshift(*drawn(world, seed), world) for seed in range(20)]
    assert float(np.mean([night.kept[NULL] + night.kept[HARMED] for night in nights])) < 0.3
    assert float(np.mean([night.kept[GAIN] for night in nights])) > 7.0


@pytest.mark.parametrize("seen", [0.06, 0.2, 1.0], ids=["gentle", "middling", "wild"])
@pytest.mark.parametrize("scatter", [0.1, 0.2, 0.5, UNPAIRED, 2.0])
def test_a_change_without_effect_is_kept_no_oftener_than_stated_whatever_its_noise_and_whatever_was_seen(
    seen: float, scatter: float
) -> None:
    known = noise.learn([Scatter("", 3 * seen**2, 3)] * 25, 1.0)
    rng, tries = np.random.default_rng(7), 2500
    without_effect = rng.normal(0, scatter, (tries, verdict.LOOKS[-1]))
    keeps = sum(simulate.settle(differences, known)[0].status == "keep" for differences in without_effect)
    assert keeps <= verdict.ERROR_RATE * tries + 2 * (verdict.ERROR_RATE * tries) ** 0.5
