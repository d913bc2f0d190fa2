"""The pipe between the judge and a process that may do anything: real processes, real pipes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from bench.errors import Interrupted, RunFailed
from bench.line import Line
from bench.machine import PYTHON
from bench.process import Process
from bench.profiles import Limits
from bench.sandbox import View

VOCABULARY = 8
ASKED = np.arange(6, dtype=np.int32).reshape(2, 3)
LOGITS = 4 * 2 * 3 * VOCABULARY
"""Bytes of a right answer to it."""

SERVER = f"""
import os, struct, sys, time
def say(*words, seconds=0.0):
    os.write(1, struct.pack("<3id", *words, seconds))
def hear():
    return os.read(0, 8 + 4 * 6)
right, body = (2, 3, {VOCABULARY}), bytes({LOGITS})
"""
LOADED = "say(0, 0, 0)\n"
HONEST = LOADED + "while hear():\n    say(*right)\n    os.write(1, body)\n"


@contextmanager
def serving(code: str, folder: Path, *, limit_s: float = 20.0, stop: Event | None = None) -> Iterator[Line]:
    command = [str(PYTHON), "-c", SERVER + code]
    view = View([], [folder])
    process = Process(command, {"PATH": "/usr/bin"}, folder, folder / "stderr.txt", view, Limits())
    line = Line(process, VOCABULARY, limit_s, stop or Event())
    try:
        yield line
    finally:
        process.end()
        line.close()


def talk(line: Line, questions: int = 2) -> list[float]:
    """Some questions and answers; the seconds that were said of each."""
    line.loaded()
    said = []
    for _ in range(questions):
        line.ask(ASKED)
        logits, seconds = line.answer(*ASKED.shape)
        assert logits.shape == (6, VOCABULARY)
        said.append(seconds)
    line.hang_up()
    return said


def test_an_honest_server_is_heard_to_the_end(tmp_path: Path) -> None:
    with serving(HONEST, tmp_path) as line:
        assert talk(line) == [0.0, 0.0]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("say(1, 0, 0)\nwhile hear():\n    say(*right)\n    os.write(1, body)", "cannot_load"),
        ("say(-1, -1, -1); time.sleep(60)", "cannot_load"),
        ("", "cannot_load"),
        ("os.write(1, b'half a')", "cannot_load"),
        ("sys.exit('the artifact is bent')", "cannot_load"),
        (LOADED + "hear(); say(2, 3, 9)", "bad_logits"),
        (LOADED + "hear(); say(-2, -3, 8)", "bad_logits"),
        (LOADED + "hear(); say(2**31 - 1, 2**31 - 1, 2**31 - 1)", "bad_logits"),
        (LOADED + "hear(); say(*right); os.write(1, body[5:])", "cannot_load"),
        (LOADED + "hear(); say(*right); os.close(1)", "cannot_load"),
        (LOADED + "hear(); say(*right); os.write(1, b'\\0\\0\\xc0\\x7f' + body[4:]); time.sleep(60)", "not_finite"),
        (LOADED + "hear(); say(*right); os.write(1, body + b'more'); time.sleep(60)", "bad_logits"),
        (
            LOADED + "hear(); say(*right); os.write(1, body); hear(); say(*right); os.write(1, body + b'x')",
            "bad_logits",
        ),
        ("os.write(1, struct.pack('<3id', 0, 0, 0, 0) + struct.pack('<3id', *right, 0) + body); hear()", "bad_logits"),
        ("os.write(2, b'x' * (2 << 20)); " + LOADED + "hear(); time.sleep(60)", "endless_output"),
    ],
)
def test_each_breach_of_the_protocol_has_a_name(tmp_path: Path, code: str, reason: str) -> None:
    with serving(code, tmp_path) as line, pytest.raises(RunFailed) as failure:
        talk(line)
    assert failure.value.reason == reason


@pytest.mark.parametrize(
    "code",
    [
        "time.sleep(60)",
        LOADED + "hear(); time.sleep(60)",
        LOADED + "hear(); say(*right); os.write(1, body[5:]); time.sleep(60)",
        "say(0, 0, 0)\nwhile True: time.sleep(0.01); os.write(1, b'') ",
    ],
)
def test_whoever_stops_answering_is_over_time(tmp_path: Path, code: str) -> None:
    with serving(code, tmp_path, limit_s=1.0) as line, pytest.raises(RunFailed) as failure:
        talk(line)
    assert failure.value.reason == "over_time"


def test_whoever_does_not_read_his_questions_is_over_time(tmp_path: Path) -> None:
    longer_than_any_pipe = np.zeros((16, 1 << 16), dtype=np.int32)
    with serving(LOADED + "time.sleep(60)", tmp_path, limit_s=1.0) as line, pytest.raises(RunFailed) as failure:
        line.loaded()
        line.ask(longer_than_any_pipe)
    assert failure.value.reason == "over_time"


def test_a_server_that_will_not_end_is_ended(tmp_path: Path) -> None:
    with serving(HONEST + "time.sleep(600)", tmp_path) as line:
        talk(line)
        assert not line.process.alive


@pytest.mark.parametrize("seconds", ["float('nan')", "float('inf')", "-1.0", "1e300"])
def test_a_claim_of_seconds_is_never_more_than_what_was_waited(tmp_path: Path, seconds: str) -> None:
    code = LOADED + f"while hear():\n    say(*right, seconds={seconds})\n    os.write(1, body)\n"
    with serving(code, tmp_path) as line:
        start = time.monotonic()
        said = talk(line)
        assert all(0 <= claim <= time.monotonic() - start for claim in said)


def test_a_stop_from_outside_interrupts_at_once(tmp_path: Path) -> None:
    stop = Event()
    stop.set()
    with serving("time.sleep(60)", tmp_path, stop=stop) as line, pytest.raises(Interrupted):
        talk(line)
