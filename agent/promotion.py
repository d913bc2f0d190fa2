"""Whether confirm is worth its cost, after breadth: a pure prediction from what breadth foretold of earlier changes.

A change's effect at confirm is taken to be `slope` times its mean difference at breadth, give or take `scatter`: short
runs exaggerate what speeds up the start, and now and then turn a sign round. Both are learnt from the changes measured
at both, beside a weak prior (a conjugate regression through the origin, as no difference foretells none; Gelman et al.,
Bayesian Data Analysis, 3rd ed., 14.2). Confirm is paid for where the chance of being kept is at least that of a change
which is better at breadth by as much as changes commonly differ there. Breadth only ever drops; it never keeps.
"""

import hashlib
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict

from agent.noise import Noise
from agent.records import Evidence
from agent.verdict import LOOK_RATE, LOOKS, Verdict, thousandths

BREADTH_PAIRS = 1
LIKELY = 0.5
"""A change as likely as that to be kept goes on however large the differences of others were."""
SPOT_CHECKS = 32
"""One dropped change in so many goes to confirm all the same, so that what breadth misses is measured."""
PRIOR_SLOPE, PRIOR_CHANGES = 0.5, 4.0
"""What is presumed of the slope, and as how many changes it counts."""
ONE_RUN = 0.008
"""Bits per byte: about what changing the seed does to one run."""
PRIOR_SCATTER = ONE_RUN
PRIOR_COMMON = ONE_RUN / 2


class Point(NamedTuple):
    """A change that was measured at both, in bits per byte."""

    breadth: float
    confirm: float


class Promotion(BaseModel):
    """What breadth foretells of confirm."""

    model_config = ConfigDict(frozen=True)

    slope: float = PRIOR_SLOPE
    scatter: float = PRIOR_SCATTER
    """Standard deviation of the effect at confirm about its prediction, in bits per byte."""
    common: float = PRIOR_COMMON
    """Median size of a difference at breadth, in bits per byte."""
    changes: int = 0
    """How many changes it was learnt from."""

    def chance(self, breadth: float, noise: Noise) -> float:
        """Predicted chance of being kept by the last look at confirm, for a mean difference at breadth."""
        from scipy.special import ndtr, ndtri

        last = LOOKS[-1]
        needed = ndtri(LOOK_RATE) * noise.grid / math.sqrt(last)
        spread = np.sqrt(self.scatter**2 + noise.grid**2 / last)
        return float(np.array(noise.weights) @ ndtr((needed - self.slope * breadth) / spread))

    def wanted(self, noise: Noise) -> float:
        """The chance from which confirm is paid for: where breadth foretells nothing, that of every change."""
        return min(self.chance(-self.common, noise), LIKELY)

    def promising(self, breadth: float, noise: Noise) -> bool:
        """Whether confirm is worth its cost for a change with that mean difference at breadth."""
        return self.chance(breadth, noise) >= self.wanted(noise)


def learn(points: Sequence[Point], one_run: float = ONE_RUN) -> Promotion:
    """What `points` foretell, beside the prior, where changing the seed does `one_run` to a run."""
    unit = one_run / ONE_RUN
    if not points:
        return Promotion(scatter=unit * PRIOR_SCATTER, common=unit * PRIOR_COMMON)
    found = np.array(points)
    breadth, confirm = found[:, 0], found[:, 1]
    typical = float(np.mean(breadth**2))
    slope = (PRIOR_CHANGES * PRIOR_SLOPE * typical + breadth @ confirm) / (PRIOR_CHANGES * typical + breadth @ breadth)
    slope = max(float(slope), 0.0)  # that the worse at breadth is the better at confirm is nothing to act on
    residuals = confirm - slope * breadth
    scatter = math.sqrt(
        (PRIOR_CHANGES * (unit * PRIOR_SCATTER) ** 2 + residuals @ residuals) / (PRIOR_CHANGES + len(points))
    )
    return Promotion(slope=slope, scatter=scatter, common=float(np.median(np.abs(breadth))), changes=len(points))


def gate(evidence: Evidence, promotion: Promotion, noise: Noise, experiment: str) -> Verdict | None:
    """After breadth: a discard, or None where confirm is worth its cost or `experiment` is drawn for a spot check."""
    if all(pair.difference == 0 for pair in evidence.pairs):
        return Verdict("discard", "no_effect", f"{evidence.profile} scores are identical on every seed")
    if promotion.promising(evidence.mean, noise) or spot_check(experiment):
        return None
    words = (
        f"{thousandths(evidence)} at {evidence.profile}: a chance of {promotion.chance(evidence.mean, noise):.1%}"
        f" to be kept at confirm, where {promotion.wanted(noise):.1%} is wanted"
    )
    return Verdict("discard", "worse_at_breadth" if evidence.mean > 0 else "unpromising", words)


def spot_check(experiment: str) -> bool:
    """Whether the experiment of that id is one that goes to confirm whatever breadth says."""
    return hashlib.sha256(experiment.encode()).digest()[0] % SPOT_CHECKS == 0
