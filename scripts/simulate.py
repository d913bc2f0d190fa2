"""Simulated nights: what this loop's verdicts keep, miss and cost, beside other keep rules on the same proposals.

    python -m scripts.simulate [NIGHTS]        the tables with 95 % intervals (2,000 nights where none is given)

A night is 100 proposals in random order: 10 real gains, 50 harmful changes, 40 without effect. Everything is in
standard deviations of one run. Scatter of pairs, and how far breadth foretells confirm, are drawn from what was
measured (agent/experience.json). The rules of others are as published: greedy keeps whatever is below the best number
so far (karpathy/autoresearch); the bootstrap compares means of three runs with the incumbent's own three, which are
never measured again (trevin-creator/autoresearch-mlx, rigor.py); MAD is greedy where pi-autoresearch's score says 2
or more.
"""

import itertools
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from agent import promotion, verdict
from agent.experience import COMMITTED, Experience, read
from agent.noise import Noise
from agent.promotion import BREADTH_PAIRS, Promotion
from agent.records import Pair
from agent.verdict import Verdict

NIGHTS = 2000
PROPOSALS = 100
GAINS, HARMFUL = 10, 50
HARM = 2.0
"""Harmful effects are the absolute values of a normal law with this standard deviation."""
NOISIER, STRAYS = (0.5, 1.5, 2.0), (0.5, 2.0, 4.0)
"""What the scatter of pairs, and breadth's straying from confirm, are multiplied by."""

Array = NDArray[np.float64]
GAIN, HARMED, NULL = 0, 1, 2


@dataclass(frozen=True)
class World:
    """What is true of proposals and of measuring them, in standard deviations of one run at confirm."""

    gain: float
    """How much better a real gain is."""
    confirm: Noise
    breadth: Noise
    """How the scatters of changes are spread, as measured."""
    known: Noise
    """What the verdicts presume of the scatter at confirm: half of it is not learnt."""
    foretells: Promotion
    breadth_cost: float
    """Of a breadth run, in confirm runs: CPU seconds as measured."""
    gains: int = GAINS
    harmful: int = HARMFUL


@dataclass
class Proposals:
    """The proposals of one night."""

    kind: NDArray[np.int64]
    effect: Array
    """At confirm; below zero is better."""
    at_breadth: Array
    scatter: Array
    scatter_at_breadth: Array


@dataclass
class Tally:
    """What one night came to."""

    kept: list[int] = field(default_factory=lambda: [0, 0, 0])
    """Real gains, harmful changes, changes without effect."""
    runs: float = 0.0
    """Confirm runs' worth of compute, the champion's included."""
    logged: float = 0.0
    true: float = 0.0
    """What was gained, as logged and in truth."""


def draw(rng: np.random.Generator, world: World) -> Proposals:
    """A night's proposals."""
    kind = np.full(PROPOSALS, NULL)
    kind[: world.gains] = GAIN
    kind[world.gains : world.gains + world.harmful] = HARMED
    rng.shuffle(kind)
    effect = np.where(kind == GAIN, -world.gain, np.where(kind == HARMED, np.abs(rng.normal(0, HARM, PROPOSALS)), 0.0))
    # What turns breadth away from confirm does so for changes that do something.
    strays = np.where(kind == NULL, 0.0, rng.normal(0, world.foretells.scatter, PROPOSALS))
    return Proposals(
        kind=kind,
        effect=effect,
        at_breadth=(effect + strays) / world.foretells.slope,
        scatter=rng.choice(world.confirm.grid, PROPOSALS, p=world.confirm.weights),
        scatter_at_breadth=rng.choice(world.breadth.grid, PROPOSALS, p=world.breadth.weights),
    )


def nightshift(rng: np.random.Generator, night: Proposals, world: World) -> Tally:
    """This loop, by its own functions."""
    tally = Tally()
    confirmed = 0  # pairs for which the champion was measured
    tally.runs += BREADTH_PAIRS * world.breadth_cost
    for at in range(PROPOSALS):
        tally.runs += BREADTH_PAIRS * world.breadth_cost
        seen = pairs(rng.normal(night.at_breadth[at], night.scatter_at_breadth[at], BREADTH_PAIRS))
        evidence = verdict.weigh("breadth", seen, world.known)
        if promotion.gate(evidence, world.foretells, world.known, str(rng.random())):
            continue
        differences = rng.normal(night.effect[at], night.scatter[at], verdict.LOOKS[-1])
        decided, look = settle(differences, world.known)
        tally.runs += look + max(look - confirmed, 0)
        confirmed = max(look, confirmed)
        if decided.status == "keep":
            tally.kept[night.kind[at]] += 1
            tally.true -= night.effect[at]
            tally.logged -= float(rng.normal(night.effect[at], night.scatter[at], verdict.FRESH_PAIRS).mean())
            tally.runs += 2 * verdict.FRESH_PAIRS + BREADTH_PAIRS * world.breadth_cost
            confirmed = verdict.FRESH_PAIRS
    return tally


def settle(differences: Array, known: Noise) -> tuple[Verdict, int]:
    """The verdict over pairs with these differences, taken look by look, and how many pairs it took."""
    for look in verdict.LOOKS:
        if decided := verdict.decide(verdict.weigh("confirm", pairs(differences[:look]), known)):
            return decided, look
    raise AssertionError("the last look decides")


def pairs(differences: Array) -> list[Pair]:
    """Pairs with these differences."""
    return [
        Pair.model_construct(seed=seed, champion=0.0, candidate=one) for seed, one in enumerate(differences.tolist())
    ]


def greedy(rng: np.random.Generator, night: Proposals, world: World) -> Tally:
    """Keep whatever is below the best number so far."""
    del world
    return _single_runs(rng, night, lambda best, found, seen: found < best)


def mad(rng: np.random.Generator, night: Proposals, world: World) -> Tally:
    """Keep what is below the best number so far by twice the median absolute deviation of all so far."""
    del world

    def keeps(best: float, found: float, seen: Sequence[float]) -> bool:
        spread = float(np.median(np.abs(np.array(seen) - np.median(seen))))
        return found < best and len(seen) >= 3 and abs(found - seen[0]) >= 2 * spread

    return _single_runs(rng, night, keeps)


def _single_runs(
    rng: np.random.Generator, night: Proposals, keeps: Callable[[float, float, Sequence[float]], bool]
) -> Tally:
    tally, level = Tally(runs=1.0), 0.0
    first = best = float(rng.normal())
    seen = [first]
    for at in range(PROPOSALS):
        found = level + night.effect[at] + float(rng.normal())
        tally.runs += 1
        seen.append(found)
        if keeps(best, found, seen):
            best, level = found, level + night.effect[at]
            tally.kept[night.kind[at]] += 1
    tally.logged, tally.true = first - best, -level
    return tally


THREE = np.array(list(itertools.product(range(3), repeat=3)))


def better_by_bootstrap(candidate: Array, incumbent: Array) -> float:
    """Chance that a resampled mean of three runs is below that of the incumbent's three, by counting all resamples."""
    return float((candidate[THREE].mean(1)[:, None] < incumbent[THREE].mean(1)).mean())


def bootstrap(rng: np.random.Generator, night: Proposals, world: World) -> Tally:
    """Three runs where the first is below the incumbent's mean; keep at a chance of 0.95."""
    del world
    tally, level = Tally(runs=3.0), 0.0
    incumbent = rng.normal(size=3)
    first = incumbent.mean()
    for at in range(PROPOSALS):
        found = level + night.effect[at] + rng.normal(size=3)
        if found[0] >= incumbent.mean():
            tally.runs += 1
            continue
        tally.runs += 3
        if better_by_bootstrap(found, incumbent) >= 0.95:
            incumbent, level = found, level + night.effect[at]
            tally.kept[night.kind[at]] += 1
    tally.logged, tally.true = float(first - incumbent.mean()), -level
    return tally


RULES = {"greedy": greedy, "MAD": mad, "bootstrap of 3": bootstrap, "nightshift": nightshift}


def simulate(rule: str, world: World, nights: int, seed: int = 0) -> list[Tally]:
    """That many nights under one rule; the proposals are the same for every rule."""
    with ProcessPoolExecutor() as pool:
        return list(pool.map(partial(_night, rule, world), range(seed, seed + nights), chunksize=50))


def _night(rule: str, world: World, seed: int) -> Tally:
    drawn, measured = np.random.default_rng(seed).spawn(2)
    return RULES[rule](measured, draw(drawn, world), world)


def world_of(experience: Experience, gain: float, noisier: float = 1.0, strays: float = 1.0) -> World:
    """The measured world, in standard deviations of one run at confirm."""
    unit = experience.run_scale("confirm")
    foretells = experience.promotion()

    def scaled(noise: Noise, by: float = 1.0) -> Noise:
        return noise.model_copy(update={"scales": tuple(scale * by / unit for scale in noise.scales)})

    return World(
        gain=gain,
        confirm=scaled(experience.spread("confirm"), noisier),
        breadth=scaled(experience.spread("breadth"), noisier),
        known=scaled(experience.noise("confirm", "")),
        foretells=foretells.model_copy(
            update={"scatter": foretells.scatter * strays / unit, "common": foretells.common / unit}
        ),
        breadth_cost=experience.seconds["breadth"] / experience.seconds["confirm"],
    )


def table(worlds: dict[str, World], nights: int, rules: Sequence[str] = tuple(RULES)) -> None:
    """Print one line a world and rule."""
    heads = ("null kept", "harmful kept", "gains kept", "runs a proposal", "true gain", "true ÷ logged")
    print(f"{'':36}" + "".join(f"{head:>18}" for head in heads))
    for name, world in worlds.items():
        for rule in rules:
            tallies = simulate(rule, world, nights)
            columns = [
                np.array(one)
                for one in (
                    [tally.kept[NULL] for tally in tallies],
                    [tally.kept[HARMED] for tally in tallies],
                    [tally.kept[GAIN] for tally in tallies],
                    [tally.runs / PROPOSALS for tally in tallies],
                    [tally.true for tally in tallies],
                )
            ]
            cells = [f"{np.mean(one):.3f} ± {1.96 * np.std(one) / nights**0.5:.3f}" for one in columns]
            true, logged = (np.array([getattr(tally, key) for tally in tallies]) for key in ("true", "logged"))
            ratio = true.mean() / logged.mean() if logged.mean() else float("nan")
            error = np.std(true - ratio * logged) / nights**0.5 / abs(logged.mean()) if logged.mean() else float("nan")
            cells.append(f"{ratio:.3f} ± {1.96 * error:.3f}")
            print(f"{name:20}{rule:16}" + "".join(f"{cell:>18}" for cell in cells), flush=True)


def main(nights: str = str(NIGHTS)) -> None:
    """Print the tables."""
    experience = next(one for one in read(COMMITTED) if not one.profiles)
    none = replace(world_of(experience, 0.0), gains=0, harmful=0)
    table({"no effect at all": none}, int(nights))
    table({f"gains of {gain} SD": world_of(experience, gain) for gain in (1, 2, 3)}, int(nights))
    # The other rules take single runs and have no breadth, so that these change nothing for them.
    table({f"2 SD, noise × {by}": world_of(experience, 2, noisier=by) for by in NOISIER}, int(nights), ["nightshift"])
    table({f"2 SD, strays × {by}": world_of(experience, 2, strays=by) for by in STRAYS}, int(nights), ["nightshift"])


if __name__ == "__main__":
    main(*sys.argv[1:])
