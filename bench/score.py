"""The ruler: bits per byte of an artifact on a split, from logits alone.

The model answers token windows from a process of its own; the targets, the byte counts and the log-softmax are here.
Windows have the profile's fixed length and do not overlap, the tail is scored too (filled up with padding that is
not scored), and every token but a document's first is a target exactly once.
"""

import math
import secrets
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import numpy as np
from numpy.typing import NDArray

from bench import clock, machine, probes
from bench.errors import RunFailed
from bench.job import Cost
from bench.line import Line
from bench.probes import Prefixes, Probe, Record, Ruler, Tolerance
from bench.process import Process
from bench.profiles import Limits
from bench.sandbox import View
from bench.shards import Stream
from bench.tokenizer import ByteCounts

WINDOWS_A_QUESTION = 16

Tokens = NDArray[np.int32]


@dataclass(frozen=True)
class Text:
    """What is scored: a split's tokens, and what its tokenizer says of them."""

    tokens: Stream
    counts: ByteCounts
    document_start: int
    """The token every document begins with; never a target."""
    vocab_size: int


@dataclass(frozen=True)
class Score:
    """An artifact's score on a text."""

    bits: float
    tokens: int
    bytes: int
    load: Cost
    forward_s: float
    """Of the windows that were scored; what the probes take is the bench's own."""
    cost: Cost
    peak_memory_bytes: int
    prefixes: tuple[Prefixes, ...]
    """What an audit would ask wherever it is not led by the score, drawn before anything was scored."""
    record: Record

    @property
    def bpb(self) -> float:
        """Bits per UTF-8 byte."""
        return self.bits / self.bytes


def windows(tokens: Stream, length: int, targets: int) -> Iterator[tuple[Tokens, Tokens]]:
    """Inputs and targets, each (batch, length) int32, over the first `targets` targets; -1 marks what is not scored."""
    count = min(len(tokens) - 1, targets)
    for start in range(0, count, length * WINDOWS_A_QUESTION):
        stop = min(start + length * WINDOWS_A_QUESTION, count)
        rows = math.ceil((stop - start) / length)
        inputs = np.zeros(rows * length, dtype=np.int32)
        expected = np.full(rows * length, -1, dtype=np.int32)
        part = tokens[start : stop + 1]
        inputs[: stop - start] = part[:-1]
        expected[: stop - start] = part[1:]
        yield inputs.reshape(rows, length), expected.reshape(rows, length)


def nats(logits: NDArray[np.float32], targets: NDArray[np.int64]) -> NDArray[np.float64]:
    """Minus the log of the softmax probability of each target: logits (n, vocabulary), targets (n,) → (n,)."""
    top = logits.max(axis=-1, keepdims=True)
    with np.errstate(over="ignore"):  # Finite logits may lie further apart than float32 can say: that is a zero.
        total = np.exp(logits - top).sum(axis=-1, dtype=np.float64)
    picked = np.take_along_axis(logits, targets[:, None], axis=-1)
    surprise: NDArray[np.float64] = np.log(total) + top[:, 0].astype(np.float64) - picked[:, 0].astype(np.float64)
    return surprise


def score(
    tree: Path, artifact: Path, text: Text, *, home: Path, length: int, targets: int, limits: Limits, stop: Event
) -> Score:
    """Load `artifact` with the code in `tree` in a process of its own, at home in `home`, and score it on `text`.

    Beside the windows that are scored it answers probes (bench/probes.py), which it cannot tell from those. Raises
    RunFailed (`cannot_load`, `bad_logits`, `not_finite`, `over_time`, `stateful`, `non_causal`) and Interrupted.
    """
    ruler = Ruler(max(min(len(text.tokens) - 1, targets), 0), length, WINDOWS_A_QUESTION)
    # What is drawn may not follow from the run's seed, which the candidate knows.
    rng = np.random.default_rng(secrets.randbits(128))
    drawn = probes.draw_probes(rng, text.tokens, ruler)
    prefixes = probes.draw_prefixes(rng, text.tokens, ruler)
    record = probes.Record(text.tokens, ruler, drawn, prefixes)
    with _serving(tree, artifact, text, home, limits, stop) as line:
        return _conversation(line, text, ruler, drawn, prefixes, record)


def audit(tree: Path, artifact: Path, text: Text, scored: Score, *, home: Path, limits: Limits, stop: Event) -> Cost:
    """Ask a fresh process, at home in a fresh `home`, for targets of `scored` from nothing but what comes before them.

    Raises what `score` raises and RunFailed (`prefix_mismatch`).
    """
    with _serving(tree, artifact, text, home, limits, stop) as line:
        line.loaded()
        questions, heard = probes.audit_questions(text.tokens, scored.prefixes, scored.record), []
        for question in questions:
            rows, length = question.tokens.shape
            line.ask(question.tokens)
            logits, _ = line.answer(rows, length)
            heard.append(nats(logits[length - 1 :: length], question.targets))
        line.hang_up()
        probes.judge_prefixes(questions, scored.record, heard, _tolerance())
        return _cost(line.process)


@contextmanager
def _serving(tree: Path, artifact: Path, text: Text, home: Path, limits: Limits, stop: Event) -> Iterator[Line]:
    """A process that serves the artifact and has nothing to write to but `home`; it ends with the block."""
    command = [*machine.launcher("serve"), str(tree), str(artifact)]
    environment = machine.environment() | {"HOME": str(home), "TMPDIR": str(home)}
    view = View([tree, artifact, *machine.tools()], [home])
    process = Process(command, environment, home, artifact.with_name("serve-stderr.txt"), view, limits)
    line = Line(process, text.vocab_size, limits.score_s, stop)
    try:
        yield line
    finally:
        process.end()
        line.close()


def _conversation(
    line: Line, text: Text, ruler: Ruler, drawn: list[Probe], prefixes: list[Prefixes], record: Record
) -> Score:
    line.loaded()
    load = Cost(wall_s=clock.monotonic() - line.process.started, cpu_s=line.process.cpu_so_far())
    bits, scored, size, forward_s = 0.0, 0, 0, 0.0
    heard: list[NDArray[np.float64]] = []
    questions = _questions(text, ruler, drawn)
    current = next(questions, None)
    if current is not None:
        line.ask(current.inputs)
    while current is not None:
        logits, seconds = line.answer(*current.inputs.shape)
        # The model works on the next windows while these are scored.
        asked, current = current, next(questions, None)
        if current is not None:
            line.ask(current.inputs)
        if asked.probe is not None:
            wanted = np.concatenate([row.targets for row in asked.probe.rows])
            heard.append(nats(logits, wanted).reshape(asked.inputs.shape))
            continue
        flat = asked.expected.reshape(-1)
        counted = np.flatnonzero((flat >= 0) & (flat != text.document_start))
        wanted = flat[counted].astype(np.int64)
        surprise = nats(logits[counted], wanted)
        bits += float(surprise.sum()) / math.log(2)
        size += int(text.counts.byte_counts(asked.inputs.reshape(-1)[counted], wanted).sum())
        scored += len(counted)
        forward_s += seconds
        part = record.within(asked.start, asked.start + len(flat))
        again = record.positions[part] - asked.start
        record.suspect(asked.start + counted, wanted, surprise)
        record.nats[part] = nats(logits[again], flat[again].astype(np.int64))
    line.hang_up()
    if size == 0:
        raise RunFailed("no_text", "the split holds no text to score")
    probes.judge_probes(drawn, record, heard, _tolerance())
    return Score(
        bits=bits,
        tokens=scored,
        bytes=size,
        load=load,
        forward_s=forward_s,
        cost=_cost(line.process),
        peak_memory_bytes=line.process.peak_memory_bytes,
        prefixes=tuple(prefixes),
        record=record,
    )


@dataclass(frozen=True)
class _Question:
    """Windows to be scored, which begin at `start` in the text, or a probe."""

    inputs: Tokens
    expected: Tokens
    start: int = 0
    probe: Probe | None = None


def _questions(text: Text, ruler: Ruler, drawn: list[Probe]) -> Iterator[_Question]:
    """All that is asked, in order: the windows, and each probe in its place among them."""
    waiting = deque(drawn)
    ordinary = windows(text.tokens, ruler.length, ruler.targets)
    for place in range(ruler.questions + 1):
        while waiting and waiting[0].place <= place:
            probe = waiting.popleft()
            inputs = np.stack([row.tokens for row in probe.rows])
            yield _Question(inputs, inputs, probe=probe)
        if place < ruler.questions:
            yield _Question(*next(ordinary), start=place * ruler.length * ruler.rows)


def _tolerance() -> Tolerance:
    return probes.CPU if machine.probe().device == "cpu" else probes.GPU


def _cost(process: Process) -> Cost:
    return Cost(wall_s=clock.monotonic() - process.started, cpu_s=process.cpu_s)
