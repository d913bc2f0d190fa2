"""Loss curves: what a run's trainer said of its steps, from the run's folder, as long as that is there.

They are a candidate's own words, shown to a person beside the verdict and never part of one.
"""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from pydantic import ValidationError

from bench.job import Progress
from bench.measure import PROGRESS

Curve = tuple[tuple[int, float], ...]
"""Steps finished, each with its training loss in nats a token."""


def read_curve(run: Path) -> Curve:
    """The losses of the run in that folder so far; none where the folder is gone."""
    found: dict[int, float] = {}
    try:
        lines = (run / PROGRESS).read_bytes().splitlines()
    except OSError:
        return ()
    for line in lines:
        with contextlib.suppress(ValidationError):
            word = Progress.model_validate_json(line)
            if word.phase == "train" and word.loss is not None:
                found[word.step] = word.loss
    return tuple(sorted(found.items()))


def thinned(curve: Curve, most: int) -> Curve:
    """At most `most` points of a curve: each the mean of neighbours, at the last one's step."""
    size = -(-len(curve) // most) if curve else 1
    groups: Sequence[Curve] = [curve[start : start + size] for start in range(0, len(curve), size)]
    return tuple((group[-1][0], fmean(loss for _, loss in group)) for group in groups)
