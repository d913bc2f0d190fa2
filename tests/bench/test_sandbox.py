"""The sandbox itself: what it keeps in, what it lets through, and how it is chosen."""

import errno
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import pytest

from bench import clock, sandbox, seccomp
from bench.data import Dataset
from bench.errors import MachineError, Paused, UsageError
from bench.machine import PYTHON
from bench.process import STILL_S, Pulse
from bench.sandbox import Child, Unconfined, View
from bench.seatbelt import profile
from tests.bench.test_measure import run
from tests.faults.runs import confined

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="bubblewrap and seccomp are Linux's")


@pytest.fixture
def anew() -> Iterator[None]:
    sandbox.chosen.cache_clear()
    yield
    sandbox.chosen.cache_clear()


def said(box: sandbox.Sandbox, folder: Path, program: str) -> tuple[str, int]:
    """What a Python program prints in the sandbox, and how it ends."""
    with (folder / "errors").open("w+b") as errors:
        child = box.start([str(PYTHON), "-I", "-c", program], View([], [folder]), {"PATH": "/usr/bin"}, folder, errors)
        output, _ = child.popen.communicate(timeout=30)
        child.let_go()
        errors.seek(0)
        return output.decode() + errors.read().decode(), box.exit_code(child.popen.returncode)


class Sieve(Unconfined):
    """A sandbox that lets everything through."""

    name = "sieve"


class Broken(Unconfined):
    """A sandbox in which nothing starts."""

    name = "broken"

    def start(
        self, command: Sequence[str], view: View, environment: Mapping[str, str], folder: Path, errors: BinaryIO
    ) -> Child:
        return super().start(
            ["/bin/sh", "-c", "echo user namespaces are forbidden >&2; exit 1"], view, {}, folder, errors
        )


@confined
def test_a_process_that_is_shut_in_and_tries_to_get_out_cannot() -> None:
    assert sandbox.escapes(sandbox.chosen()) == ""


def test_without_a_sandbox_the_same_process_can() -> None:
    found = sandbox.escapes(Unconfined())
    assert "it reads a person's file" in found
    assert "it connects to this machine" in found


@pytest.mark.parametrize(
    ("box", "words"), [(Sieve(), "does not hold here: it reads"), (Broken(), "(user namespaces are forbidden)")]
)
@pytest.mark.usefixtures("anew")
def test_a_sandbox_that_does_not_hold_is_not_taken(
    monkeypatch: pytest.MonkeyPatch, box: Unconfined, words: str
) -> None:
    monkeypatch.delenv(sandbox.SETTING, raising=False)
    monkeypatch.setattr(sandbox, "_of_this_system", lambda: box)
    with pytest.raises(MachineError) as error:
        sandbox.chosen()
    assert words in str(error.value)
    assert "NIGHTSHIFT_SANDBOX=none" in str(error.value)


@pytest.mark.usefixtures("anew")
def test_none_is_taken_where_a_person_asks_for_it_and_nothing_else_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(sandbox.SETTING, "none")
    assert sandbox.chosen().name == "none"
    sandbox.chosen.cache_clear()
    monkeypatch.setenv(sandbox.SETTING, "docker")
    with pytest.raises(UsageError, match="'docker'"):
        sandbox.chosen()


@confined
def test_exit_codes_and_signals_come_out_as_they_were(tmp_path: Path) -> None:
    box = sandbox.chosen()
    assert said(box, tmp_path, "raise SystemExit(7)")[1] == 7
    assert said(box, tmp_path, "import os; os.kill(os.getpid(), 11)")[1] == -11
    assert said(box, tmp_path, "print('well')") == ("well\n", 0)


@confined
@on_linux
@pytest.mark.parametrize("call", seccomp.REFUSED)
def test_a_refused_system_call_fails_with_eperm(tmp_path: Path, call: str) -> None:
    which = seccomp.column()
    assert which is not None
    number = seccomp.REFUSED[call][which]
    program = f"""if True:
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        print(libc.syscall({number}, -1, -1, -1, -1, -1, -1), ctypes.get_errno())"""
    assert said(sandbox.chosen(), tmp_path, program)[0] == f"-1 {errno.EPERM}\n"


@confined
@on_linux
def test_no_new_namespace_can_be_made(tmp_path: Path) -> None:
    program = "import ctypes; libc = ctypes.CDLL(None); print([libc.unshare(1 << bit) for bit in (17, 28, 29, 30)])"
    assert said(sandbox.chosen(), tmp_path, program)[0] == "[-1, -1, -1, -1]\n"


@confined
@on_linux
def test_it_sees_no_process_but_its_own(tmp_path: Path) -> None:
    program = (
        "import os; print(sorted(int(name) for name in os.listdir('/proc') if name.isdigit()) == [1, os.getpid()])"
    )
    assert said(sandbox.chosen(), tmp_path, program)[0] == "True\n"


@confined
def test_it_has_the_packages_of_a_trainer_and_not_those_of_the_bench(tmp_path: Path) -> None:
    program = """if True:
        import mlx.core, numpy, sentencepiece, zstandard
        import importlib.util
        print([name for name in ("anthropic", "bench", "httpx", "pydantic") if importlib.util.find_spec(name)])"""
    assert said(sandbox.chosen(), tmp_path, program)[0] == "[]\n"


def test_the_profile_for_macos_names_what_is_seen_and_quotes_it(tmp_path: Path) -> None:
    (tmp_path / 'a "b').mkdir()
    (tmp_path / "file").touch()
    text = profile(View([tmp_path / "file"], [tmp_path / 'a "b']))
    assert f'(allow file-read* (literal "{tmp_path}/file"))' in text
    assert f'(allow file-read* file-write* (subpath "{tmp_path}/a \\"b"))' in text
    assert text.index("(deny file-read*") < text.index("/file")


def test_standing_still_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(clock, "through_sleep", lambda: now[0])
    pulse = Pulse()
    now[0] += STILL_S - 1
    pulse.beat()
    now[0] += STILL_S + 1
    with pytest.raises(Paused):
        pulse.beat()


@pytest.mark.parametrize("pauses", [1, 3])
def test_a_run_during_which_the_bench_stood_still_is_repeated_and_not_judged(
    small_data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pauses: int
) -> None:
    expected = run(small_data, tmp_path).val_bpb
    real, slept, calls = clock.through_sleep, [0.0], [0]

    def through_sleep() -> float:
        calls[0] += 1
        if calls[0] in range(2, 2 + 2 * pauses, 2):
            slept[0] += 3600.0
        return real() + slept[0]

    monkeypatch.setattr(clock, "through_sleep", through_sleep)
    assert run(small_data, tmp_path).val_bpb == expected
    assert slept[0] == pauses * 3600.0
