"""Loss curves: what a run's trainer said of its steps, from the run's folder, as long as that is there.

They are a candidate's own words, shown to a person beside the verdict and never part of one.
"""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from statistics import fmean

from pydantic import ValidationError

from agent.tail import Tail
from bench.job import Progress
from bench.measure import PROGRESS

Curve = tuple[tuple[int, float], ...]
"""Steps finished, each with its training loss in nats a token."""
ABSURD = 1e6
"""No loss; a training that says so is stopped by the bench, and its picture would show nothing else."""


def read_curve(run: Path) -> Curve:
    """The losses of the run in that folder so far; none where the folder is gone."""
    return Growing(run).read()


class Growing:
    """The losses of a run that may be under way: each time only what came since is read."""

    def __init__(self, run: Path) -> None:
        self.tail = Tail(run / PROGRESS)
        self.losses: dict[int, float] = {}
        self.curve: Curve = ()

    def read(self) -> Curve:
        """The losses so far."""
        before, lines = self.tail.more()
        if not before:
            self.losses.clear()
        if lines or not before:
            self.losses.update(_points(lines))
            self.curve = tuple(sorted(self.losses.items()))
        return self.curve


def _points(lines: Iterable[bytes]) -> Iterator[tuple[int, float]]:
    for line in lines:
        with contextlib.suppress(ValidationError):
            word = Progress.model_validate_json(line)
            if word.phase == "train" and word.loss is not None and abs(word.loss) < ABSURD:
                yield word.step, word.loss


def thinned(curve: Curve, most: int) -> Curve:
    """At most `most` points of a curve: each the mean of neighbours, at the last one's step."""
    size = -(-len(curve) // most) if curve else 1
    groups: Sequence[Curve] = [curve[start : start + size] for start in range(0, len(curve), size)]
    return tuple((group[-1][0], fmean(loss for _, loss in group)) for group in groups)
