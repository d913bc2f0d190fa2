"""How a training is followed to its end, where the end is what matters."""

import selectors
import sys
import time
from pathlib import Path
from threading import Event

import pytest

from bench import machine
from bench.process import Process
from bench.profiles import Limits
from bench.sandbox import View
from bench.supervise import watch

LAST_WORD = """
import time
time.sleep(0.2)
print('{"phase": "train", "step": 1, "loss": 1.0}')
"""


def test_what_is_said_just_before_the_end_is_heard_even_by_a_bench_that_comes_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    select = selectors.DefaultSelector.select

    def late(self: selectors.DefaultSelector, timeout: float | None = None) -> object:
        """There is nothing yet, and then this thread has no turn for a while."""
        found = select(self, 0)
        time.sleep(0.8)
        return found

    monkeypatch.setattr(selectors.DefaultSelector, "select", late)
    out = tmp_path / "out"
    out.mkdir()
    view = View([*machine.tools()], [out])
    process = Process([sys.executable, "-c", LAST_WORD], machine.environment(), out, tmp_path / "err", view, Limits())
    account = watch(process, Limits(), tmp_path / "log", lambda word: None, Event())
    assert account.losses == {1: 1.0}
