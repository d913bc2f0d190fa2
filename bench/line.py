"""The pipe to a serving process, which belongs to the candidate and may send anything, or nothing.

Every read and every write has a deadline, no size that the other side names is ever allocated, and nothing may come
that was not asked for.
"""

import os
import selectors
from threading import Event
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from bench import clock
from bench.errors import Interrupted, RunFailed
from bench.launch_serve import ANSWER, QUESTION
from bench.process import TICK_S, Process, Pulse

MOST_ERRORS = 1 << 20
"""Bytes of standard error that a serving process may write."""
GRACE_S = 2.0
"""How long a serving process may take to end by itself when it is asked nothing more."""


class Line:
    """A conversation: one question, one answer, in turn. `asked` is when the last question was sent.

    Every method raises RunFailed (`cannot_load` where the process died, `bad_logits` where it broke the protocol,
    `over_time`, `endless_output`, or what `Process.look` names) and Interrupted.
    """

    def __init__(self, process: Process, vocabulary: int, limit_s: float, stop: Event) -> None:
        self.process, self.vocabulary, self.limit_s, self.stop = process, vocabulary, limit_s, stop
        self.deadline = clock.monotonic() + limit_s
        self.asked = process.started
        self.pulse = Pulse()
        assert process.popen.stdin is not None
        assert process.popen.stdout is not None
        self.questions, self.answers = process.popen.stdin.fileno(), process.popen.stdout.fileno()
        # One for each end: a pipe that could be written to says nothing about what there is to read.
        self.selectors = {self.questions: selectors.DefaultSelector(), self.answers: selectors.DefaultSelector()}
        for end, event in ((self.questions, selectors.EVENT_WRITE), (self.answers, selectors.EVENT_READ)):
            os.set_blocking(end, False)
            self.selectors[end].register(end, event)

    def close(self) -> None:
        """Forget the pipe; the process's own end closes it."""
        for selector in self.selectors.values():
            selector.close()

    def loaded(self) -> None:
        """Wait for the first answer, of no elements, which says that the model is loaded."""
        *shape, _ = ANSWER.unpack(self._read(ANSWER.size))
        if any(shape):
            raise RunFailed("cannot_load", f"in place of a word that the model is loaded, an answer of shape {shape}")

    def ask(self, tokens: NDArray[np.int32]) -> None:
        """Send a question, tokens (batch, time)."""
        self._nothing_unasked()
        content = memoryview(QUESTION.pack(*tokens.shape) + tokens.astype("<i4").tobytes())
        while content:
            self._wait(self.questions)
            try:
                content = content[os.write(self.questions, content) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                self._dead()
        self.asked = clock.monotonic()

    def answer(self, batch: int, length: int) -> tuple[NDArray[np.float32], float]:
        """The logits (batch · length, vocabulary) of the question asked last, and seconds of its forward pass.

        The seconds are the process's claim where that is possible, and never more than what was waited. Raises
        RunFailed (`not_finite`) too.
        """
        *shape, claimed = ANSWER.unpack(self._read(ANSWER.size))
        waited = clock.monotonic() - self.asked
        wanted = [batch, length, self.vocabulary]
        if shape != wanted:
            raise RunFailed("bad_logits", f"logits have shape {shape}, not {wanted}")
        logits = np.frombuffer(self._read(4 * batch * length * self.vocabulary), dtype="<f4")
        if not np.isfinite(logits).all():
            raise RunFailed("not_finite", "the model's logits hold NaN or infinity")
        return logits.reshape(-1, self.vocabulary), claimed if 0 <= claimed <= waited else waited

    def hang_up(self) -> None:
        """Ask nothing more, see that nothing more comes, and end the process."""
        self.selectors[self.questions].unregister(self.questions)
        assert self.process.popen.stdin is not None
        self.process.popen.stdin.close()
        if self.selectors[self.answers].select(GRACE_S) and os.read(self.answers, 1):
            raise RunFailed("bad_logits", "the serving process sent more than it was asked for")
        self.process.end()

    def _nothing_unasked(self) -> None:
        try:
            early = os.read(self.answers, 1)
        except BlockingIOError:
            return
        if not early:
            self._dead()
        raise RunFailed("bad_logits", "the serving process answered before it was asked")

    def _read(self, size: int) -> bytearray:
        content = bytearray(size)
        view = memoryview(content)
        while view:
            self._wait(self.answers)
            try:
                taken = os.readv(self.answers, [view])
            except BlockingIOError:
                continue
            if not taken:
                self._dead()
            view = view[taken:]
        return content

    def _wait(self, end: int) -> None:
        """Return when `end` of the pipe is ready."""
        while True:
            if self.stop.is_set():
                raise Interrupted("stopped while an artifact was being scored")
            self.pulse.beat()
            self.process.look()
            if clock.monotonic() > self.deadline:
                raise RunFailed("over_time", f"phase score took more than its {self.limit_s:.0f} s; killed")
            if self.process.errors.stat().st_size > MOST_ERRORS:
                raise RunFailed("endless_output", f"more than {MOST_ERRORS:,} bytes in phase score; killed")
            if self.selectors[end].select(TICK_S):
                return

    def _dead(self) -> NoReturn:
        self.process.end()
        raise RunFailed("cannot_load", f"the artifact could not be loaded or run{self.process.last_words()}")
