"""Verdicts, as pure functions of paired differences in bits per byte.

A difference is candidate minus champion under one seed and data order. The noise scale belongs to the change, and two
or three pairs say little of it, so it is shrunk towards what changes of this trainer showed before: with prior scale
s₀ and ν₀ degrees of freedom, s² = (ν₀·s₀² + Σ(d−d̄)²) / (ν₀+n−1), and d̄·√n/s is referred to Student's t on ν₀+n−1
degrees of freedom (the moderated t of Smyth, Stat. Appl. Genet. Mol. Biol. 3(1), 2004). Looks after 2, 3 and 4 pairs
share the error rate equally (Bonferroni), so stopping early does not inflate it.

s₀ and ν₀ are provisional. Paired standard deviations of 0.0002 to 0.0085 were seen on the tiny model; with these two
the share of null changes kept stays within the error rate up to 0.010 (tests/agent/test_verdict.py simulates it).
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from agent.records import Evidence, Pair, Status
from bench.errors import NightshiftError

PRIOR_SCALE = 0.006
PRIOR_FREEDOM = 3.0
ERROR_RATE = 0.02
"""Chance that a change without any effect is kept, over all looks."""
LEAST_PAIRS = 2
MOST_PAIRS = 4
PAIRS_A_LOOK = 2
"""Pairs run side by side; they are looked at one by one all the same, in seed order."""
LOOKS = MOST_PAIRS - LEAST_PAIRS + 1
FUTILE = 0.05
"""Below this chance of being kept at the last look, the rest of the pairs is not paid for."""
BREADTH_PAIRS = 2
GATE = 0.002
"""Breadth drops what is worse by more than this; it never keeps."""


class Verdict(NamedTuple):
    """A decision with its stable name and its words."""

    status: Status
    reason: str
    detail: str


def weigh(profile: str, pairs: Sequence[Pair]) -> Evidence:
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
    freedom = PRIOR_FREEDOM + count - 1
    scale = math.sqrt((PRIOR_FREEDOM * PRIOR_SCALE**2 + squares) / freedom)
    p_value = student_t(mean * math.sqrt(count) / scale, freedom)
    return Evidence(profile=profile, pairs=tuple(pairs), mean=mean, scale=scale, p_value=p_value)


def gate(evidence: Evidence) -> Verdict | None:
    """After breadth: a discard, or None where confirm is worth its cost."""
    if all(pair.difference == 0 for pair in evidence.pairs):
        return Verdict("discard", "no_effect", f"{evidence.profile} scores are identical on every seed")
    if evidence.mean > GATE:
        return Verdict("discard", "worse_at_breadth", f"{_thousandths(evidence)} at {evidence.profile}")
    return None


def decide(evidence: Evidence) -> Verdict | None:
    """After a look at the confirm pairs: keep, discard, or None for one more pair."""
    count = len(evidence.pairs)
    words = f"{_thousandths(evidence)} at {evidence.profile} over {count} seeds, p = {evidence.p_value:.2g}"
    if count < LEAST_PAIRS:
        return None
    if evidence.p_value <= ERROR_RATE / LOOKS:
        return Verdict("keep", "improved", words)
    if count >= MOST_PAIRS or chance(evidence) < FUTILE:
        worse = 1 - evidence.p_value <= ERROR_RATE / LOOKS
        return Verdict("discard", "worse" if worse else "not_resolved", words)
    return None


def chance(evidence: Evidence) -> float:
    """Predicted chance that the last look would keep, given the pairs so far."""
    count = len(evidence.pairs)
    left = MOST_PAIRS - count
    freedom = PRIOR_FREEDOM + count - 1
    last = PRIOR_FREEDOM + MOST_PAIRS - 1
    needed = student_t_quantile(ERROR_RATE / LOOKS, last) * evidence.scale / math.sqrt(MOST_PAIRS)
    needed_of_rest = (needed * MOST_PAIRS - evidence.mean * count) / left
    spread = evidence.scale * math.sqrt(1 / count + 1 / left)
    return student_t((needed_of_rest - evidence.mean) / spread, freedom)


def student_t(value: float, freedom: float) -> float:
    """Chance that Student's t with `freedom` degrees of freedom is at most `value`."""
    from scipy.special import stdtr  # half a second that commands which only read need not wait

    return float(stdtr(freedom, value))


def student_t_quantile(chance: float, freedom: float) -> float:
    """The value that Student's t with `freedom` degrees of freedom stays below with this chance."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, chance))


def _thousandths(evidence: Evidence) -> str:
    return f"{evidence.mean * 1000:+.2f} thousandths of a bit per byte"
