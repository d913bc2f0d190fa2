"""One run of a script that a person brings: what it finds, what is read off its output, and how it ends."""

import json
import sys
from pathlib import Path
from threading import Event

import psutil
import pytest

from bench import sandbox
from bench.errors import Interrupted, RunFailed, UsageError
from bench.job import Job, Measurement, Progress
from bench.measure import PROGRESS
from bench.rig import OUTPUT, Rig, run_script, words_of
from bench.script import Script

SHUT_IN = sandbox.chosen().name != "none"


class Bed:
    """A repository's folder with a script in it, run under settings."""

    def __init__(self, top: Path) -> None:
        self.top, self.folder, self.words = top / "repo", top / "run", list[Progress]()
        self.stop = Event()
        self.top.mkdir()

    def run(self, source: str, **settings: object) -> Measurement:
        stage = str(settings.pop("stage", "confirm"))
        usual = {"command": f"{sys.executable} train.py", "files": ["train.py"], "timeout_minutes": 0.5}
        script = Script.model_validate(usual | settings)
        job = Job({"train.py": source.encode()}, script.profile(stage), seed=7)
        rig = Rig(script, self.top, {"lib/near.py": b"NEAR = 1.5\n"})
        return run_script(job, rig, self.folder, self.words.append, self.stop)

    def fails(self, source: str, **settings: object) -> RunFailed:
        with pytest.raises(RunFailed) as failure:
            self.run(source, **settings)
        return failure.value


@pytest.fixture
def bed(tmp_path: Path) -> Bed:
    return Bed(tmp_path)


@pytest.mark.parametrize(
    ("source", "settings", "value"),
    [
        ("print('val_bpb:          0.997900')", {}, 0.9979),
        ("print('val_bpb: 9.0'); print('val_bpb: 1.25')", {}, 1.25),
        ("print('x', end=chr(13)); print('val_bpb: 1.25', end='')", {}, 1.25),
        ("print('METRIC loss=3e-1'); print('METRIC other=2')", {"metric": "pi", "name": "loss"}, 0.3),
        ("print('METRIC acc=0.75')", {"metric": "pi", "name": "acc", "direction": "higher"}, -0.75),
        ("print('final val_bpb:2.5 done')", {"metric": r"final val_bpb:(\S+)"}, 2.5),
        ("import sys; sys.stderr.write('val_bpb: 4.5\\n')", {}, 4.5),
        ("from lib.near import NEAR; print('val_bpb:', NEAR)", {}, 1.5),
    ],
)
def test_the_metric_is_the_last_one_printed(bed: Bed, source: str, settings: dict[str, object], value: float) -> None:
    assert bed.run(source, **settings).val_bpb == value


@pytest.mark.parametrize(
    ("source", "reason", "words"),
    [
        ("print('my val_bpb: 1.0')", "no_metric", "printed no val_bpb"),
        ("print('val_bpb: low')", "no_metric", "'low' for val_bpb, which is no number"),
        ("print('val_bpb: nan')", "not_finite", "val_bpb nan"),
        ("print('val_bpb: inf')", "not_finite", "val_bpb inf"),
        ("print('val_bpb: 1.0'); raise SystemExit('the widget is bent')", "exit_code", "the widget is bent"),
        ("print('FAIL'); raise SystemExit(1)", "exit_code", "FAIL"),
        ("import os; os.kill(os.getpid(), 9)", "signal", "SIGKILL"),
        ("while True: print('x' * 1000)", "endless_output", "bytes of output"),
    ],
)
def test_a_run_without_a_number_says_why(bed: Bed, source: str, reason: str, words: str) -> None:
    failure = bed.fails(source)
    assert failure.reason == reason
    assert words in failure.detail


def test_a_timeout_kills_whatever_it_has_started(bed: Bed) -> None:
    source = (
        "import subprocess, sys, time\n"
        "print('step 00003 | loss: 2.5', flush=True)\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(987)'], start_new_session=True)\n"
        "time.sleep(987)\n"
    )
    failure = bed.fails(source, timeout_minutes=0.05)
    assert (failure.reason, failure.detail) == ("over_time", "it took more than its 3 s after step 3; killed")
    left = [one for one in psutil.process_iter(["cmdline"]) if "time.sleep(987)" in " ".join(one.info["cmdline"] or [])]
    assert not left


def test_it_can_be_stopped(bed: Bed) -> None:
    bed.stop.set()
    with pytest.raises(Interrupted):
        bed.run("import time; time.sleep(60)")


def test_its_environment_is_what_the_settings_say(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_TOKEN", "inherited")
    monkeypatch.setenv("A_SECRET", "mine")
    source = "import json, os; open('env.json', 'w'); print('env', json.dumps(dict(os.environ))); print('val_bpb: 1')"
    settings: dict[str, object] = {
        "seed_env": "SEED",
        "environment": {"ITERATIONS": "100", "SIZE": "small"},
        "smoke": {"ITERATIONS": "3"},
        "inherit": ["A_TOKEN", "NOT_SET"],
    }
    found = {}
    for stage in ("smoke", "confirm"):
        bed.run(source, stage=stage, **settings)
        found[stage] = json.loads((bed.folder / OUTPUT).read_text().splitlines()[0].removeprefix("env "))
    assert [found[stage]["ITERATIONS"] for stage in found] == ["3", "100"]
    told = {"SEED": "7", "SIZE": "small", "A_TOKEN": "inherited"}
    assert told.items() <= found["confirm"].items()
    assert not {"A_SECRET", "NOT_SET"} & found["confirm"].keys()
    assert found["confirm"]["HOME"] == str(bed.folder / "home")


def test_a_seed_that_has_no_variable_is_not_set(bed: Bed) -> None:
    assert bed.run("import os; print('val_bpb:', float('SEED' in os.environ))").val_bpb == 0.0


def test_what_it_reads_is_found_where_it_looks_and_cannot_be_written(
    bed: Bed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = tmp_path / "person"
    for path in (person / ".cache" / "shards" / "a", bed.top / "data" / "b", tmp_path / "else" / "c"):
        path.parent.mkdir(parents=True)
        path.write_text("there")
    monkeypatch.setenv("HOME", str(person))
    source = f"""
from pathlib import Path
found = [Path.home() / ".cache/shards/a", Path("data/b"), Path({str(tmp_path / "else" / "c")!r})]
assert [one.read_text() for one in found] == ["there"] * 3
Path("log.txt").write_text("mine"), (Path.home() / "mine").write_text("mine")
if {SHUT_IN}:
    for one in found:
        try:
            one.write_text("changed")
        except OSError:
            continue
        raise SystemExit("it could be written")
print("val_bpb: 1")
"""
    bed.run(source, reads=["~/.cache/shards", "data", str(tmp_path / "else")])
    assert (bed.top / "data" / "b").read_text() == "there"
    assert sorted(path.name for path in bed.folder.iterdir()) == [OUTPUT, PROGRESS, "stderr.txt"]


@pytest.mark.skipif(not SHUT_IN, reason="there is no sandbox here")
def test_it_reaches_neither_the_network_nor_what_was_not_named(bed: Bed, tmp_path: Path) -> None:
    (bed.top / "private").write_text("mine")
    source = f"""
import socket, os
reached = 0.0
try:
    socket.create_server(("127.0.0.1", 0))
    reached += 1
except OSError:
    pass
reached += 2 * os.path.exists({str(bed.top / "private")!r})
print("val_bpb:", reached)
"""
    assert bed.run(source).val_bpb == 0.0
    assert bed.run(source, network=True).val_bpb == 1.0


def test_steps_and_losses_are_shown_and_kept(bed: Bed) -> None:
    bed.run(
        "print('step 00001 (1%) | loss: 2.500000 |', end=chr(13)); print('step 00002 | loss: nan'); print('val_bpb: 1')"
    )
    shown = [(word.step, word.loss) for word in bed.words if word.step]
    assert shown == [(1, 2.5), (2, None)]
    kept = [Progress.model_validate_json(line) for line in (bed.folder / PROGRESS).read_text().splitlines()]
    assert [(word.step, word.loss) for word in kept] == shown
    bed.words.clear()
    bed.run("print('at 5 of 9'); print('val_bpb: 1')", progress=r"at (?P<step>\d+) of")
    assert [word.step for word in bed.words] == [0, 5]


def test_what_the_settings_name_and_is_not_there_is_said(bed: Bed) -> None:
    with pytest.raises(UsageError, match="there is no program 'no-such-program'"):
        bed.run("", command="no-such-program train.py")
    with pytest.raises(UsageError, match="there is no nowhere, which `reads`"):
        bed.run("", reads=["nowhere"])


def test_a_program_of_the_repository_is_found_from_its_top(bed: Bed) -> None:
    program = bed.top / "bin" / "go"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho val_bpb: 6\n")
    program.chmod(0o755)
    rig = Rig(Script(command="bin/go train.py", files=("train.py",)), bed.top, {})
    assert words_of(rig) == [str(program), "train.py"]
    assert bed.run("", command="bin/go train.py").val_bpb == 6.0
