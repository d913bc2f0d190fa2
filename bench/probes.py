"""What is asked beside the score: whether a model sees the future, keeps state, or knows what it was not shown.

Probes are ordinary-looking questions among the ordinary ones, at random places that the bench draws. Each row of one is
a window that is scored as well, in another row and other company, and most rows have their end replaced by other real
text. An audit asks a fresh process for the same targets from prefixes that end where the answer begins: at places drawn
beforehand, and where the score was too good for so rare a token, as a look ahead pays best there. Compared is what is
scored and nothing else, the surprise of each true target in nats: what does not show in it gains nothing.

What is random comes from the generator that is passed in, and nothing here talks to a process.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.errors import RunFailed
from bench.shards import Stream

PROBES = 2
"""Questions of a scoring that are probes, each of the shape of the others."""
WHOLE = 4
"""One row of a probe in so many is a whole window; the others' ends are replaced."""
PREFIX_LENGTHS = 6
MOST_PREFIXES = 256
"""Rows of an audit's question, where prefixes are short."""
SUSPECTS = 16
RARITY_TOKENS = 1 << 20
"""How much of a text says which of its tokens are rare."""

Ids = NDArray[np.int32]
Longs = NDArray[np.int64]
Nats = NDArray[np.float64]


@dataclass(frozen=True)
class Tolerance:
    """How far two answers may lie apart, in nats of a true target: at one position, and on average."""

    each: float
    mean: float


CPU = Tolerance(each=1e-3, mean=1e-3)
"""In float32 the shipped trainer differs by nothing at all in another row or company or before a replaced end, and by
1.9e-6 nats at the most between a window and a prefix; whoever stays within 0.001 nats a token gains 0.0005 bits a
byte, a tenth of what another seed moves."""
GPU = Tolerance(each=0.25, mean=0.01)
"""In bfloat16, where a logit near 16 has steps of 0.06 to 0.12, single answers depend on the shape of the question and
their average hardly does: within this a cheat gains 0.005 bits a byte, less than another seed moves. Not measured."""


@dataclass(frozen=True)
class Ruler:
    """How a text is cut into questions."""

    targets: int
    length: int
    rows: int
    """Windows of an ordinary question, at the most."""

    @property
    def questions(self) -> int:
        """Ordinary questions."""
        return -(-self.targets // (self.length * self.rows))

    @property
    def windows(self) -> int:
        """Windows that are full of targets: the ones that can be asked again."""
        return self.targets // self.length


@dataclass(frozen=True)
class Row:
    """One window of a probe: the first `own` of its tokens are those of the text from `start` on."""

    start: int
    own: int
    tokens: Ids
    """(length,)"""
    targets: Longs
    """(length,) of the text itself, whatever follows `own` here."""


@dataclass(frozen=True)
class Probe:
    """A question that is asked before the ordinary one numbered `place`, counted from 0, or after the last."""

    place: int
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Prefixes:
    """A question of an audit: prefixes of one length, whose last positions are asked for."""

    tokens: Ids
    """(rows, length)"""
    last: Longs
    """(rows,) where in the text the last token of each stands."""
    targets: Longs
    """(rows,) the tokens after those."""


def draw_probes(rng: np.random.Generator, text: Stream, ruler: Ruler) -> list[Probe]:
    """The probes of one scoring, in order; the cuts of its rows lie everywhere from start to end."""
    if ruler.windows == 0:
        return []
    rows = min(ruler.rows, -(-ruler.targets // ruler.length))
    cuts = np.full(PROBES * rows, ruler.length)
    replaced = np.flatnonzero(rng.permutation(len(cuts)) % WHOLE)
    share = rng.permutation(len(replaced)) + rng.random(len(replaced))
    cuts[replaced] = 1 + (share * (ruler.length - 1) / max(len(replaced), 1)).astype(int)
    drawn = (rng.choice(ruler.windows, min(rows, ruler.windows), replace=False) for _ in range(PROBES))
    windows = np.concatenate([np.resize(some, rows) for some in drawn])
    made = [_row(rng, text, ruler, int(window), int(cut)) for window, cut in zip(windows, cuts, strict=True)]
    # A share of the run each: some windows are probed before they are scored, and some after.
    places = ((np.arange(PROBES) + rng.random(PROBES)) * (ruler.questions + 1) / PROBES).astype(int)
    return [Probe(int(place), tuple(made[i * rows : (i + 1) * rows])) for i, place in enumerate(places)]


def _row(rng: np.random.Generator, text: Stream, ruler: Ruler, window: int, cut: int) -> Row:
    start, length = window * ruler.length, ruler.length
    part = text[start : start + length + 1]
    tokens, targets = part[:-1].astype(np.int32), part[1:].astype(np.int64)
    if cut >= length:
        return Row(start, length, tokens, targets)
    for _ in range(100):
        other = int(rng.integers(len(text) - (length - cut) + 1))
        end = text[other : other + length - cut]
        # A model that peeks must find another successor than the one it is scored on.
        if end[0] != tokens[cut]:
            return Row(start, cut, np.concatenate([tokens[:cut], end.astype(np.int32)]), targets)
    return Row(start, length, tokens, targets)


def draw_prefixes(rng: np.random.Generator, text: Stream, ruler: Ruler) -> list[Prefixes]:
    """The questions of an audit, from one token to the whole window, shortest first.

    No two of its windows are neighbours: the first token of one would be the last target of the other.
    """
    if ruler.windows == 0:
        return []
    share = (np.arange(PREFIX_LENGTHS - 2) + rng.random(PREFIX_LENGTHS - 2)) / (PREFIX_LENGTHS - 2)
    lengths = sorted({1, *(1 + (share * (ruler.length - 1)).astype(int)).tolist(), ruler.length})
    parity = int(rng.integers(min(2, ruler.windows)))
    pool = (ruler.windows - parity + 1) // 2
    questions = []
    for length in lengths:
        rows = min(pool, MOST_PREFIXES, ruler.rows * ruler.length // length)
        starts = (2 * rng.choice(pool, rows, replace=False) + parity) * ruler.length
        parts = np.stack([text[start : start + length + 1] for start in starts.tolist()])
        last = starts + length - 1
        questions.append(Prefixes(parts[:, :-1].astype(np.int32), last, parts[:, -1].astype(np.int64)))
    return questions


class Record:
    """What was said, while a text was scored, where it is asked for again; nothing else of it is kept."""

    def __init__(self, text: Stream, ruler: Ruler, probes: Sequence[Probe], prefixes: Sequence[Prefixes]) -> None:
        asked = [row.start + np.arange(row.own) for probe in probes for row in probe.rows]
        asked += [question.last for question in prefixes]
        self.positions: Longs = np.unique(np.concatenate(asked)) if asked else np.zeros(0, dtype=np.int64)
        self.nats = np.full(len(self.positions), np.nan)
        counts = np.bincount(text[:RARITY_TOKENS], minlength=1 << 16) + 1.0
        self.ruler, self.rarity = ruler, np.log(counts.sum() / counts)
        # The audit shows no window of the other parity, and so no first token of a neighbour.
        self.parity = int(prefixes[0].last[0]) // ruler.length % 2 if prefixes else -1
        self.suspects: list[tuple[float, int, int, float]] = []
        """(nats too good, position, target, nats said), the best first."""

    def within(self, start: int, stop: int) -> slice:
        """Which of the positions lie in the text from `start` to before `stop`."""
        low, high = np.searchsorted(self.positions, [start, stop])
        return slice(int(low), int(high))

    def at(self, positions: Longs) -> Nats:
        """What was said at `positions`."""
        said: Nats = self.nats[np.searchsorted(self.positions, positions)]
        assert np.isfinite(said).all(), "a position was never scored"
        return said

    def suspect(self, positions: Longs, targets: Longs, nats: Nats) -> None:
        """Keep the few targets that were foreseen best beside what their rarity alone would give: arrays (n,) each."""
        window, offset = np.divmod(positions, self.ruler.length)
        usable = (window % 2 == self.parity) & (window < self.ruler.windows) & (offset < self.ruler.length - 1)
        gain = np.where(usable, self.rarity[targets] - nats, -np.inf)
        best = [int(at) for at in np.argsort(gain)[-SUSPECTS:] if np.isfinite(gain[at])]
        found = [(float(gain[at]), int(positions[at]), int(targets[at]), float(nats[at])) for at in best]
        self.suspects = sorted(self.suspects + found, reverse=True)[:SUSPECTS]


def audit_questions(text: Stream, prefixes: Sequence[Prefixes], record: Record) -> list[Prefixes]:
    """All that an audit asks, shortest first, so that no answer stands in what was shown before."""
    questions = list(prefixes)
    for _, last, target, _ in record.suspects:
        prefix = text[last - last % record.ruler.length : last + 1].astype(np.int32)
        # Twice, as a batch of one has kernels of its own to compile.
        questions.append(Prefixes(np.stack([prefix] * 2), np.full(2, last), np.full(2, target)))
    return sorted(questions, key=lambda question: question.tokens.shape[1])


def judge_probes(probes: Sequence[Probe], record: Record, heard: Sequence[Nats], tolerance: Tolerance) -> None:
    """Compare what the probes gave, an array (rows, length) each, with what the same windows gave when scored.

    Raises RunFailed: `stateful` where a whole window differed, else `non_causal` where one with a replaced end did.
    """
    whole, cut = _Differences(), _Differences()
    for probe, nats in zip(probes, heard, strict=True):
        for row, found in zip(probe.rows, nats, strict=True):
            positions = row.start + np.arange(row.own)
            if row.own == len(row.tokens):
                whole.take(positions, found - record.at(positions))
            else:
                # The last position before the cut is where a look at its successor shows.
                cut.take(positions, found[: row.own] - record.at(positions), telling=slice(-1, None))
    whole.check("stateful", "asked again among other windows, a window gives other logits", tolerance)
    cut.check("non_causal", "with other text after it, a prefix gives other logits", tolerance)


def judge_prefixes(questions: Sequence[Prefixes], record: Record, heard: Sequence[Nats], tolerance: Tolerance) -> None:
    """Compare what a fresh process gave, an array (rows,) each, with the score. Raises RunFailed, `prefix_mismatch`."""
    found = _Differences()
    suspected = {position: said for _, position, _, said in record.suspects}
    for question, nats in zip(questions, heard, strict=True):
        said = [suspected[at] if at in suspected else record.at(np.array([at]))[0] for at in question.last.tolist()]
        found.take(question.last, nats - np.array(said))
    found.check("prefix_mismatch", "a fresh process that is shown the prefix only gives other logits", tolerance)


class _Differences:
    """By how many nats a second answer was worse than the one that was scored."""

    def __init__(self) -> None:
        self.worst, self.where = 0.0, 0
        self.telling: list[float] = []

    def take(self, positions: Longs, worse: Nats, telling: slice = slice(None)) -> None:
        at = int(np.abs(worse).argmax())
        if abs(worse[at]) > self.worst:
            self.worst, self.where = float(abs(worse[at])), int(positions[at])
        self.telling += worse[telling].tolist()

    def check(self, reason: str, what: str, tolerance: Tolerance) -> None:
        if self.worst > tolerance.each:
            by = f"by {self.worst:.3g} nats of the target after token {self.where}; {tolerance.each:g} is allowed"
            raise RunFailed(reason, f"{what}, {by}")
        mean = sum(self.telling) / max(len(self.telling), 1)
        if mean > tolerance.mean:
            raise RunFailed(reason, f"{what}, worse by {mean:.3g} nats on average; {tolerance.mean:g} is allowed")
