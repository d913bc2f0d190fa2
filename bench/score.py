"""The ruler: bits per byte of an artifact on a split, from logits alone.

The model answers token windows from a process of its own; the targets, the byte counts and the log-softmax are here.
Windows have the profile's fixed length and do not overlap, the tail is scored too (filled up with padding that is
not scored), and every token but a document's first is a target exactly once.
"""

import math
import os
import selectors
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from bench import clock, machine
from bench.errors import Interrupted, RunFailed
from bench.job import Cost
from bench.launch_serve import ANSWER, QUESTION
from bench.process import Process, Pulse
from bench.profiles import Limits
from bench.sandbox import View
from bench.supervise import TICK_S
from bench.tokenizer import ByteCounts

WINDOWS_A_QUESTION = 16
MOST_ERRORS = 1 << 20
"""Bytes of standard error that a serving process may write."""

Tokens = NDArray[np.int32]


@dataclass(frozen=True)
class Text:
    """What is scored: a split's tokens, and what its tokenizer says of them."""

    tokens: NDArray[np.uint16]
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
    cost: Cost
    peak_memory_bytes: int

    @property
    def bpb(self) -> float:
        """Bits per UTF-8 byte."""
        return self.bits / self.bytes


def windows(tokens: NDArray[np.uint16], length: int, targets: int) -> Iterator[tuple[Tokens, Tokens]]:
    """Inputs and targets, each (batch, length) int32, over the first `targets` targets; -1 marks what is not scored."""
    count = min(len(tokens) - 1, targets)
    for start in range(0, count, length * WINDOWS_A_QUESTION):
        stop = min(start + length * WINDOWS_A_QUESTION, count)
        rows = math.ceil((stop - start) / length)
        inputs = np.zeros(rows * length, dtype=np.int32)
        expected = np.full(rows * length, -1, dtype=np.int32)
        inputs[: stop - start] = tokens[start:stop]
        expected[: stop - start] = tokens[start + 1 : stop + 1]
        yield inputs.reshape(rows, length), expected.reshape(rows, length)


def nats(logits: NDArray[np.float32], targets: NDArray[np.int64]) -> NDArray[np.float64]:
    """Minus the log of the softmax probability of each target: logits (n, vocabulary), targets (n,) → (n,)."""
    top = logits.max(axis=-1, keepdims=True)
    total = np.exp(logits - top).sum(axis=-1, dtype=np.float64)
    picked = np.take_along_axis(logits, targets[:, None], axis=-1)
    surprise: NDArray[np.float64] = np.log(total) + top[:, 0].astype(np.float64) - picked[:, 0].astype(np.float64)
    return surprise


def score(
    tree: Path, artifact: Path, text: Text, *, home: Path, length: int, targets: int, limits: Limits, stop: Event
) -> Score:
    """Load `artifact` with the code in `tree` in a process of its own, at home in `home`, and score it on `text`.

    Raises RunFailed (`cannot_load`, `bad_logits`, `not_finite`, `over_time`) and Interrupted.
    """
    command = [*machine.launcher("serve"), str(tree), str(artifact)]
    environment = machine.environment() | {"HOME": str(home), "TMPDIR": str(home)}
    view = View([tree, artifact, *machine.tools()], [home])
    process = Process(command, environment, home, artifact.with_name("serve-stderr.txt"), view, limits)
    try:
        return _conversation(_Line(process, limits.score_s, stop), text, length, targets)
    finally:
        process.end()


class _Line:
    """The pipe to a serving process, with a deadline on every read."""

    def __init__(self, process: Process, limit_s: float, stop: Event) -> None:
        self.process, self.stop = process, stop
        self.limit_s = limit_s
        self.deadline = clock.monotonic() + limit_s
        assert process.popen.stdin is not None
        assert process.popen.stdout is not None
        self.questions, self.answers = process.popen.stdin, process.popen.stdout
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.answers, selectors.EVENT_READ)
        self.pulse = Pulse()

    def ask(self, tokens: Tokens) -> None:
        try:
            self.questions.write(QUESTION.pack(*tokens.shape) + tokens.astype("<i4").tobytes())
            self.questions.flush()
        except BrokenPipeError:
            self.dead()

    def header(self) -> tuple[tuple[int, int, int], float]:
        batch, length, vocabulary, seconds = ANSWER.unpack(self.read(ANSWER.size))
        return (batch, length, vocabulary), seconds

    def read(self, size: int) -> bytearray:
        content = bytearray(size)
        view = memoryview(content)
        while view:
            if self.stop.is_set():
                raise Interrupted("stopped while an artifact was being scored")
            self.pulse.beat()
            self.process.look()
            if clock.monotonic() > self.deadline:
                raise RunFailed("over_time", f"phase score took more than its {self.limit_s:.0f} s; killed")
            if not self.selector.select(TICK_S):
                if self.process.errors.stat().st_size > MOST_ERRORS:
                    raise RunFailed("endless_output", f"more than {MOST_ERRORS:,} bytes in phase score; killed")
            else:
                chunk = os.readv(self.answers.fileno(), [view])
                if not chunk:
                    self.dead()
                view = view[chunk:]
        return content

    def dead(self) -> NoReturn:
        self.process.end()
        raise RunFailed("cannot_load", f"the artifact could not be loaded or run{self.process.last_words()}")


def _conversation(line: _Line, text: Text, length: int, targets: int) -> Score:
    line.header()
    load = Cost(wall_s=clock.monotonic() - line.process.started, cpu_s=line.process.cpu_so_far())
    bits, scored, size, forward_s = 0.0, 0, 0, 0.0
    batches = windows(text.tokens, length, targets)
    current = next(batches, None)
    if current is not None:
        line.ask(current[0])
    while current is not None:
        inputs, expected = current
        shape, seconds = line.header()
        if shape != (*inputs.shape, text.vocab_size):
            raise RunFailed("bad_logits", f"logits have shape {shape}, not {(*inputs.shape, text.vocab_size)}")
        logits = np.frombuffer(line.read(4 * math.prod(shape)), dtype="<f4").reshape(-1, text.vocab_size)
        # The model works on the next windows while these are scored.
        current = next(batches, None)
        if current is not None:
            line.ask(current[0])
        if not np.isfinite(logits).all():
            raise RunFailed("not_finite", "the model's logits hold NaN or infinity")
        flat = expected.reshape(-1)
        counted = np.flatnonzero((flat >= 0) & (flat != text.document_start))
        wanted = flat[counted].astype(np.int64)
        bits += float(nats(logits[counted], wanted).sum()) / math.log(2)
        size += int(text.counts.byte_counts(inputs.reshape(-1)[counted], wanted).sum())
        scored += len(counted)
        forward_s += seconds
    line.process.end()
    if size == 0:
        raise RunFailed("no_text", "the split holds no text to score")
    return Score(
        bits=bits,
        tokens=scored,
        bytes=size,
        load=load,
        forward_s=forward_s,
        cost=Cost(wall_s=clock.monotonic() - line.process.started, cpu_s=line.process.cpu_s),
        peak_memory_bytes=line.process.peak_memory_bytes,
    )
