"""Verdicts, as pure functions of paired differences in bits per byte.

A difference is candidate minus champion under one seed and data order. Its noise belongs to the change: `Noise` holds
what is known of that before, and the change's own residuals say the rest, so that the p-value of a mean is that of a
normal law averaged over the standard deviations that are still possible (agent/noise.py). Looks are taken after 2, 3,
4, 6 and 8 pairs; together they keep to the stated error rate, so stopping early does not inflate it. A change whose
chance of being kept at the last look has become small is given up before (stochastic curtailment: Lan, Simon and
Halperin, Commun. Stat. C 1(3), 1982).
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from agent.noise import Noise
from agent.records import Evidence, Pair, Status
from agent.yardstick import Yardstick
from bench.errors import NightshiftError

LOOKS = (2, 3, 4, 6, 8)
"""Pairs after which a verdict may fall; the last always decides."""
FRESH_PAIRS = 2
"""Pairs on seeds of their own after a keep: what they gain is what is logged."""
ERROR_RATE = 0.01
"""Chance that a change without any effect is kept, over all looks, at worst: wherever its scatter lies, up to twice
that of a run, and whatever the changes before it showed (tests/statistics)."""
LOOK_RATE = 0.0009
"""Of one look. Less than half of an equal share, because two pairs of a badly pairing change may agree by accident."""
FUTILE = 0.4
"""Below this chance of being kept at the last look, the rest of the pairs is not paid for."""


class Verdict(NamedTuple):
    """A decision with its stable name and its words."""

    status: Status
    reason: str
    detail: str


def weigh(profile: str, pairs: Sequence[Pair], noise: Noise, unjudged: Yardstick | None = None) -> Evidence:
    """What `pairs` say, in seed order. Refuses a missing, repeated or non-finite measurement."""
    if not pairs:
        raise NightshiftError("no pairs to weigh")
    if len({pair.seed for pair in pairs}) != len(pairs):
        raise NightshiftError("a seed was counted twice")
    if not all(math.isfinite(pair.difference) for pair in pairs):
        raise NightshiftError("a measurement is not finite")
    differences = [pair.difference for pair in pairs]
    count = len(differences)
    mean = math.fsum(differences) / count
    squares = math.fsum((difference - mean) ** 2 for difference in differences)
    given = noise.given(squares, count - 1)
    return Evidence(
        profile=profile,
        pairs=tuple(pairs),
        mean=mean,
        scale=noise.scale(given),
        p_value=noise.p_value(given, mean, count),
        chance=noise.chance(given, mean, count, LOOKS[-1], LOOK_RATE),
        unjudged=unjudged,
    )


def decide(evidence: Evidence) -> Verdict | None:
    """After a look at the confirm pairs: keep, discard, or None for one more pair."""
    count = len(evidence.pairs)
    under = "seeds" if evidence.yardstick.judged else "pairs"
    words = f"{thousandths(evidence)} at {evidence.profile} over {count} {under}, p = {evidence.p_value:.2g}"
    if count not in LOOKS:
        return None
    if evidence.p_value <= LOOK_RATE:
        return Verdict("keep", "improved", words)
    if count == LOOKS[-1] or evidence.chance < FUTILE:
        worse = 1 - evidence.p_value <= LOOK_RATE
        return Verdict("discard", "worse" if worse else "not_resolved", words)
    return None


def thousandths(evidence: Evidence) -> str:
    """The mean difference in words."""
    return f"{evidence.yardstick.own(evidence.mean) * 1000:+.2f} {evidence.yardstick.thousandths}"
