"""A training, watched from start to death: its phases, their limits, and what it prints."""

import contextlib
import math
import os
import selectors
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import NoReturn

from pydantic import ValidationError

from bench import clock, files
from bench.errors import DiskError, Interrupted, RunFailed
from bench.job import PHASES, Cost, Progress
from bench.process import TICK_S, Process, Pulse
from bench.profiles import Limits

COMPLAINTS = {
    "File too large": "disk_full",
    "No space left on device": "disk_full",
    "Cannot allocate memory": "over_memory",
    "MemoryError": "over_memory",
    "bad_alloc": "over_memory",
    "Unable to allocate": "over_memory",
}
"""The last words of those that met a limit of the kernel's: Python's, C++'s, NumPy's and MLX's."""

DIVERGED = 4.0
"""A training is given up at so many times its first loss; a sound one may pass twice it while its rates are high."""


@dataclass
class Account:
    """What a watched training left behind."""

    phases: dict[str, Cost] = field(default_factory=dict)
    losses: dict[int, float] = field(default_factory=dict)
    tokens: int = 0
    """Training tokens, as the trainer counts them."""
    tokens_before_train: int = 0
    """Those of them that fell into the compile phase: the first step, which pays for what later ones find ready."""
    cpu_s: float = 0.0
    wall_s: float = 0.0
    peak_memory_bytes: int = 0

    @property
    def steps(self) -> int:
        """The last step the trainer said it finished."""
        return max(self.losses, default=0)


def watch(process: Process, limits: Limits, log: Path, show: Callable[[Progress], None], stop: Event) -> Account:
    """Follow a training to its end, and end it where a limit says so.

    Progress is JSON lines on the process's standard output; they are shown through `show` and kept in `log`. Raises
    RunFailed (`hang`, `over_time`, `endless_output`, `exit_code`, `signal`, `silent`) and, where `stop` was set from
    outside, Interrupted. Whatever happens, no process of the run is alive afterwards.
    """
    follower = _Follower(process, limits, show)
    try:
        attend(process, log, stop, follower.take, follower.check)
    finally:
        follower.close_phase()
    return follower.verdict()


def attend(process: Process, log: Path, stop: Event, take: Callable[[bytes], None], check: Callable[[], None]) -> None:
    """Give all that a process prints to `take` and to `log`, with a `check` several times a second, until it ends.

    Raises what those raise, RunFailed where it takes too much, and, where `stop` was set from outside, Interrupted.
    Whatever happens, no process of the run is alive afterwards.
    """
    assert process.popen.stdout is not None
    output = process.popen.stdout.fileno()
    os.set_blocking(output, False)
    try:
        with selectors.DefaultSelector() as selector, files.created(log) as kept:
            selector.register(output, selectors.EVENT_READ)
            pulse = Pulse()
            while True:
                if stop.is_set():
                    raise Interrupted("stopped while a run was under way")
                pulse.beat()
                ended = not process.alive  # asked first: whatever it has said by then is there to be read
                ready = selector.select(0 if ended else TICK_S)
                chunk = os.read(output, 1 << 16) if ready else None
                if chunk:
                    files.write_all(kept.fileno(), chunk)
                    take(chunk)
                elif ended:
                    break
                process.look()
                check()
                if chunk == b"":
                    stop.wait(TICK_S / 10)
    finally:
        process.end()


def died(process: Process, where: str) -> NoReturn:
    """Raises RunFailed for a process that did not end well, by its last words, which `where` ends in."""
    code, log = process.exit_code, process.last_lines()
    for complaint, reason in COMPLAINTS.items():
        if complaint in where:
            if reason == "disk_full" and (full := files.full(process.view.writable)):
                raise DiskError(full)
            raise RunFailed(reason, f"it met a limit {where}", log)
    if code is not None and code < 0:
        raise RunFailed("signal", f"the trainer died of {signal.Signals(-code).name} {where}", log)
    raise RunFailed("exit_code", f"the trainer exited with {code} {where}", log)


class _Follower:
    """Reads progress and knows, at every moment, which phase a run is in and for how long."""

    def __init__(self, process: Process, limits: Limits, show: Callable[[Progress], None]) -> None:
        self.process, self.limits, self.show = process, limits, show
        self.account = Account()
        self.phase = "setup"
        self.phase_start = self.last_word = process.started
        self.phase_cpu = 0.0
        self.spoke = False
        self.taken = 0
        self.pending = b""

    def take(self, chunk: bytes) -> None:
        self.taken += len(chunk)
        if self.taken > self.limits.output_bytes:
            self.too_much()
        *lines, self.pending = (self.pending + chunk).split(b"\n")
        for line in lines:
            # What is no word of progress is the trainer's own business.
            with contextlib.suppress(ValidationError):
                self.hear(Progress.model_validate_json(line))

    def too_much(self) -> NoReturn:
        raise RunFailed("endless_output", f"more than {self.limits.output_bytes:,} bytes in phase {self.phase}; killed")

    def hear(self, word: Progress) -> None:
        if word.phase not in PHASES:
            return
        self.spoke = True
        self.last_word = clock.monotonic()
        if word.phase != self.phase:
            self.close_phase()
            self.phase = word.phase
        account = self.account
        if word.tokens is not None:
            if self.phase == "train" and not account.losses:
                account.tokens_before_train = word.tokens
            account.tokens = word.tokens
        if self.phase == "train" and word.loss is not None:
            account.losses[word.step] = word.loss
            if not math.isfinite(word.loss):
                raise RunFailed("not_finite", f"the training loss is {word.loss} at step {word.step}; stopped")
            first = next(iter(account.losses.values()))
            if word.loss > DIVERGED * first > 0:
                words = f"the training loss went from {first:.2f} to {word.loss:.2f} by step {word.step}; stopped"
                raise RunFailed("diverged", words)
        self.show(word)

    def close_phase(self) -> None:
        now, cpu = clock.monotonic(), self.process.cpu_so_far()
        spent = self.account.phases.get(self.phase, Cost(wall_s=0.0, cpu_s=0.0))
        self.account.phases[self.phase] = Cost(
            wall_s=spent.wall_s + now - self.phase_start, cpu_s=spent.cpu_s + max(cpu - self.phase_cpu, 0.0)
        )
        self.phase_start, self.phase_cpu = now, cpu

    def check(self) -> None:
        if self.process.errors.stat().st_size > self.limits.output_bytes:
            self.too_much()
        now = clock.monotonic()
        before = self.account.phases.get(self.phase, Cost(wall_s=0.0, cpu_s=0.0)).wall_s
        in_phase, silent, in_all = now - self.phase_start + before, now - self.last_word, now - self.process.started
        after = f" after step {self.account.steps}" if self.account.steps else ""
        # A compiler says nothing while it works, and has a limit of its own.
        stalled = silent > self.limits.stall_s and self.phase != "compile"
        if stalled or (not self.spoke and in_phase > self.limits.setup_s):
            raise RunFailed("hang", f"no progress for {silent:.0f} s in phase {self.phase}{after}; killed")
        if in_phase > self.limits.of(self.phase):
            limit = self.limits.of(self.phase)
            raise RunFailed("over_time", f"phase {self.phase} took more than its {limit:.0f} s{after}; killed")
        if in_all > self.limits.total_s:
            raise RunFailed("over_time", f"it took more than its {self.limits.total_s:.0f} s in all{after}; killed")

    def verdict(self) -> Account:
        code = self.process.exit_code
        account = self.account
        account.cpu_s = self.process.cpu_s
        account.peak_memory_bytes = self.process.peak_memory_bytes
        account.wall_s = clock.monotonic() - self.process.started
        if code is None or code != 0:
            died(self.process, f"in phase {self.phase}{self.process.last_words()}")
        if not self.spoke:
            raise RunFailed("silent", "the trainer printed no progress line; see the contract in docs/design.md")
        return account
