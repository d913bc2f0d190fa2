"""How far the paired differences of one change scatter, learnt from changes that were measured before.

The scatter belongs to the change: from 0.2 thousandths of a bit for a gentle knob to 8 for one that sends training
another way. Two or three pairs say little of it, so a change's own residuals are weighed with a prior over standard
deviations: weights on a fixed grid, fitted to all changes seen so far by maximum likelihood (the nonparametric mixture
of Kiefer and Wolfowitz, Ann. Math. Stat. 27(4), 1956, by EM), the shrinkage of variances in the manner of Lu and
Stephens, Bioinformatics 32(22), 2016. The grid begins well above nought, so that two pairs that agree by accident are
never believed, and half of the prior is not learnt at all: the next change may pair worse than all before it.
"""

import math
from collections.abc import Sequence
from functools import cached_property
from statistics import stdev
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

STEPS = 14
SMALLEST, WIDEST = 0.06, 3.0
"""The least and the largest standard deviation that is believed, in those of one run."""
UNPAIRED = math.sqrt(2)
"""The scatter of a difference between two unrelated runs, in standard deviations of one."""
ANYWHERE, BADLY_PAIRED = 0.4, 0.1
"""Shares of the prior that are never learnt: over the whole grid, and over what pairs no better than unrelated runs."""
SURE = 0.9
"""How sure it is to be that one run's standard deviation is no more than a few runs alone tell that it may be."""
FEW = 0.2, 20.0
"""The least and the largest standard deviation that is believed of differences where repeats are all that is known."""
ROUNDS = 200
OWN_LANE = 4.0
"""As many changes of its own lane weigh as much as all others together."""

Array = NDArray[np.float64]


class Scatter(NamedTuple):
    """What one change's pairs say of its scatter."""

    lane: str
    squares: float
    """Sum of squared residuals, in bits per byte squared."""
    freedom: int
    """Pairs less one."""


class Noise(BaseModel):
    """A prior over the standard deviation of one change's paired differences, in bits per byte."""

    model_config = ConfigDict(frozen=True)

    scales: tuple[float, ...]
    weights: tuple[float, ...]
    changes: int
    """How many changes it was learnt from."""

    @cached_property
    def grid(self) -> Array:
        """The scales, shape (n,)."""
        return np.array(self.scales)

    def given(self, squares: float, freedom: int) -> Array:
        """Weights on the scales once a change's own residuals are known, shape (n,)."""
        return _weigh(np.log(np.array(self.weights)) + _log_likelihood(self.grid, squares, freedom))

    def scale(self, given: Array) -> float:
        """The standard deviation of one difference, given those weights."""
        return math.sqrt(float(given @ self.grid**2))

    def p_value(self, given: Array, mean: float, count: int) -> float:
        """Chance of so low a mean of `count` differences or lower, were there no effect."""
        from scipy.special import ndtr  # half a second that commands which only read need not wait

        return float(given @ ndtr(mean * math.sqrt(count) / self.grid))

    def chance(self, given: Array, mean: float, count: int, last: int, rate: float) -> float:
        """Predicted chance that the mean of `last` differences will be significant at `rate`, after `count` of them.

        Nothing is presumed about the effect but what those showed (a flat prior).
        """
        from scipy.special import ndtr, ndtri

        left = last - count
        needed = ndtri(rate) * self.grid / math.sqrt(last)
        if left == 0:
            return float(given @ (mean <= needed))
        of_the_rest = (needed * last - mean * count) / left
        return float(given @ ndtr((of_the_rest - mean) / (self.grid * math.sqrt(1 / count + 1 / left))))


def learn(seen: Sequence[Scatter], run_scale: float, lane: str = "") -> Noise:
    """The prior for the next change of `lane`, given all that was seen and the standard deviation of one run."""
    shown = fit(seen, run_scale, lane)
    badly = shown.grid >= UNPAIRED * run_scale
    unlearnt = ANYWHERE / STEPS + BADLY_PAIRED * badly / badly.sum()
    weights = (1 - ANYWHERE - BADLY_PAIRED) * np.array(shown.weights) + unlearnt
    return Noise(scales=shown.scales, weights=tuple(weights.tolist()), changes=len(seen))


def at_most(scores: Sequence[float]) -> float:
    """The most that the standard deviation of one run may be, as sure as `SURE`, given a few runs (by chi-squared)."""
    from scipy.special import gammaincinv

    freedom = len(scores) - 1
    return stdev(scores) * math.sqrt(freedom / (2 * float(gammaincinv(freedom / 2, 1 - SURE))))


def unpaired(scores: Sequence[float]) -> Noise:
    """The scatter of a difference of two runs that share no seed, as repeats of one trainer show it.

    Flat over the logarithm of the standard deviation but for what those say, so that with a change's own residuals the
    p-value is Student's, with the freedom of both ("Student", Biometrika 6(1), 1908).
    """
    freedom, scale = len(scores) - 1, UNPAIRED * stdev(scores)
    low, high = FEW
    grid = np.geomspace(low, high, 4 * STEPS) * scale
    weights = _weigh(_log_likelihood(grid, freedom * scale**2, freedom))
    return Noise(scales=tuple(grid.tolist()), weights=tuple(weights.tolist()), changes=0)


def fit(seen: Sequence[Scatter], run_scale: float, lane: str = "") -> Noise:
    """How the scatters of the changes that were seen are spread, those of `lane` weighing more."""
    grid = np.geomspace(SMALLEST, WIDEST, STEPS) * run_scale
    weights = np.full(STEPS, 1 / STEPS)
    if seen:
        log_likelihood = np.stack([_log_likelihood(grid, one.squares, one.freedom) for one in seen])
        for _ in range(ROUNDS):
            # One change in all spread over the grid: what few have shown is not yet certain.
            counts = _weigh(np.log(weights) + log_likelihood).sum(axis=0) + 1 / STEPS
            weights = counts / counts.sum()
        own = [at for at, one in enumerate(seen) if one.lane == lane]
        mine = _weigh(np.log(weights) + log_likelihood[own]).sum(axis=0)
        weights = (OWN_LANE * weights + mine) / (OWN_LANE + len(own))
    return Noise(scales=tuple(grid.tolist()), weights=tuple(weights.tolist()), changes=len(seen))


def _log_likelihood(grid: Array, squares: float, freedom: int) -> Array:
    """Of residuals whose sum of squares is `squares`, up to a constant: squares / scale² is chi-squared."""
    found: Array = -freedom * np.log(grid) - squares / (2 * grid**2)
    return found


def _weigh(logs: Array) -> Array:
    """Logarithms as weights that add up to one along the last axis."""
    weights = np.exp(logs - logs.max(axis=-1, keepdims=True))
    found: Array = weights / weights.sum(axis=-1, keepdims=True)
    return found
