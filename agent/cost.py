"""Whether a candidate costs more than the champion, in compute or memory: equal steps are fair only at equal cost.

What counts is the training process as a whole. Which phase it is in is what a trainer says itself, so that a phase left
out would be free work. Kernels are compiled before a candidate's first run; what a refusal rests on is measured afresh,
candidate beside champion.
"""

from collections.abc import Callable, Sequence
from math import fsum

from agent.records import Run
from agent.tree import Tree
from agent.twins import FAST, without_stale
from agent.verdict import Verdict

LEAST_S = 1.0
"""A champion that trains for less is no measure: starting up is most of it, and differs by more than the limit."""
LOOKS = 2
"""Measurements side by side that must all be above the limit before a candidate is refused.

The shipped trainer beside itself, two at a time on two shared cores of a busy host, gave ratios of 0.875 to 1.105 in 12
pairs of `short-breadth` and of 0.778 to 1.057 in 8 of `breadth` (scripts/measure_cost.py; standard deviation of the
logarithm 0.077 and 0.094, and 0.045 without the one at 0.778). By a normal law with 0.08 one pair of an equal candidate
is above 1.10 about once in nine times, hint and both looks once in some hundreds.
"""
LEAST_MEMORY = 256 << 20
"""A champion that takes less (bytes) is no measure: most of it is Python, and memory is looked at once a second."""


def ratio(runs: Sequence[Run]) -> float | None:
    """The candidate's seconds by the champion's, over all of `runs`; None where they cannot be compared."""
    mine, theirs = (fsum(run.training_s for run in runs if run.role == role) for role in ("candidate", "champion"))
    return mine / theirs if mine and theirs >= LEAST_S else None


def over_budget(
    most: float, first: float | None, measure: Callable[[int], float | None]
) -> tuple[float | None, Verdict | None]:
    """The last ratio measured, and a refusal where the candidate is above `most` every time.

    `first` is what runs say that were made anyway, some of them perhaps at another time: a hint, which costs nothing.
    Where it is above `most`, `measure` runs the pair afresh, side by side.
    """
    ratios = [first]
    for look in range(LOOKS + 1):
        last = ratios[-1]
        if last is None or last <= most:
            return last, None
        if look < LOOKS:
            ratios.append(measure(look))
    told = ", then ".join(f"{found:.2f}" for found in ratios if found is not None)
    return last, Verdict(
        "checks_failed", "over_budget", f"training takes {told} times the champion's; {most:.2f} may be"
    )


def over_memory(most: float, runs: Sequence[Run]) -> Verdict | None:
    """A refusal where the candidate's highest peak is above `most` times the champion's."""
    mine, theirs = (
        max((run.peak_memory_bytes for run in runs if run.role == role), default=0)
        for role in ("candidate", "champion")
    )
    if theirs < LEAST_MEMORY or mine <= most * theirs:
        return None
    words = f"{mine / 1e6:,.0f} MB at its peak, {mine / theirs:.2f} times the champion's; {most:.2f} may be"
    return Verdict("checks_failed", "over_memory", words)


def rival(champion: Tree, candidate: Tree) -> Tree:
    """The champion as cost is compared with: without the twins that were taken out of `TWINS` for the candidate.

    A candidate that changed a plain form runs it plain, which is slower and no fault of its idea.
    """
    proposed = {**candidate, **{path: content for path, content in champion.items() if path == FAST}}
    taken_out = FAST in candidate and without_stale(champion, proposed).get(FAST) == candidate[FAST]
    return {**champion, FAST: candidate[FAST]} if taken_out else champion
