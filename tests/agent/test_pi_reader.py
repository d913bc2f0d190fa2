"""The journal opens in pi-autoresearch: its own reader, as published, is run over lines that we wrote."""

import json
import math
import shutil
import subprocess
from pathlib import Path

import pytest

from agent.foreign import append_foreign, read_foreign
from agent.history import append_to_history
from agent.journal import Journal
from agent.records import Experiment, Repaired, Reverted
from tests.agent.builders import baseline, confirmed, dropped, experiment, header

READER = "pi-autoresearch@1.6.0"
TYPE_STRIPPER = "sucrase@3.35.1"
PLAIN = """
const { readFileSync, writeFileSync } = require("node:fs");
const { transform } = require("sucrase");
const [source, target] = process.argv.slice(2);
writeFileSync(target, transform(readFileSync(source, "utf8"), { transforms: ["typescript"] }).code);
"""
READ = """
import { readFileSync } from "node:fs";
import { hasAutoresearchConfigHeader, reconstructJsonlState } from "./jsonl.mjs";
const text = readFileSync(process.argv[2], "utf8");
console.log(JSON.stringify({ opens: hasAutoresearchConfigHeader(text), ...reconstructJsonlState(text) }));
"""

pytestmark = pytest.mark.network


def call(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout


@pytest.fixture(scope="session")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the published reader, its type annotations taken off, and a script that runs it."""
    if not shutil.which("npm") or not shutil.which("node"):
        pytest.skip("there is no npm here, which brings pi-autoresearch's reader")
    folder = tmp_path_factory.mktemp("pi")
    try:
        (archive,) = json.loads(call(folder, "npm", "pack", "--json", READER))
        call(folder, "npm", "install", "--no-save", "--ignore-scripts", "--prefix", str(folder), TYPE_STRIPPER)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"npm cannot fetch pi-autoresearch's reader: {error}")
    call(folder, "tar", "xzf", archive["filename"])
    (folder / "plain.cjs").write_text(PLAIN)
    (folder / "read.mjs").write_text(READ)
    call(folder, "node", "plain.cjs", "package/extensions/pi-autoresearch/jsonl.ts", "jsonl.mjs")
    return folder


def opened(reader: Path, journal: Path) -> dict[str, object]:
    state: dict[str, object] = json.loads(call(reader, "node", "read.mjs", str(journal)))
    return state


def as_it_reads(experiments: list[Experiment]) -> list[dict[str, object]]:
    """What the reader must make of these: the ten keys that it knows."""
    return [
        {
            "run": one.run,
            "commit": one.commit,
            "metric": one.metric,
            "metrics": one.metrics,
            "status": one.status,
            "description": one.description,
            "timestamp": one.timestamp,
            "segment": one.segment,
            "confidence": one.confidence,
            "asi": one.asi,
        }
        for one in experiments
    ]


FIRST = [
    baseline(),
    dropped(2, description='a "quoted" idea, ½ and a line\u2028separator', metrics={"breadth_difference": 0.0104}),
    confirmed(3, "keep", [-0.0201234567, -0.0187654321], metrics={"total_bytes": 712_345, "run_cpu_s": 11.25}),
    experiment(4, "crash", reason="diverged"),
    experiment(5, "checks_failed", reason="no_match", commit="", sha=""),
]
SECOND = [baseline(6, segment=1), dropped(7, segment=1, asi={})]


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Two segments, with records of our own kinds in between."""
    night = Journal(tmp_path / "autoresearch.jsonl")
    night.append(header())
    for one in FIRST:
        night.append(one)
    night.append(Reverted(timestamp=1, id=FIRST[2].id, parent=FIRST[2].sha, sha="d" * 40))
    night.append(Repaired(timestamp=2, what="moved the branch"))
    night.append(header(data="fineweb"))
    for one in SECOND:
        night.append(one)
    return night.path


def test_every_experiment_comes_back_as_it_was_written(reader: Path, journal: Path) -> None:
    state = opened(reader, journal)
    assert state["opens"] is True
    assert state["results"] == as_it_reads([*FIRST, *SECOND])
    assert all(math.isfinite(one.metric) for one in FIRST)


def test_the_night_and_its_metric_are_known_by_name(reader: Path, journal: Path) -> None:
    state = opened(reader, journal)
    told = [state[key] for key in ("name", "metricName", "metricUnit", "bestDirection", "currentSegment")]
    assert told == ["night", "val_bpb", "", "lower", 1]


def test_the_committed_history_counts_segments_as_the_reader_does(reader: Path, tmp_path: Path) -> None:
    earlier = append_to_history("", [header(name="monday"), baseline(id="monday-0001")])
    text = append_to_history(earlier, [header(), *FIRST, header(data="fineweb"), *SECOND])
    (tmp_path / "history.jsonl").write_text(text, encoding="utf-8")
    results = opened(reader, tmp_path / "history.jsonl")["results"]
    assert isinstance(results, list)
    ours = [json.loads(line) for line in text.removesuffix("\n").split("\n")]
    assert [one["segment"] for one in results] == [word["segment"] for word in ours if "run" in word]
    assert [one["run"] for one in results] == list(range(1, 9))


def test_what_was_imported_opens_there_under_its_own_metric_and_direction(reader: Path, tmp_path: Path) -> None:
    log = (
        '{"type":"config","name":"sorting","metricName":"ops","metricUnit":"/s","bestDirection":"higher"}\n'
        '{"run":1,"commit":"1234567","metric":1200,"metrics":{},"status":"keep","description":"baseline"}\n'
    )
    history = append_to_history("", [header(), baseline()])
    text, _ = append_foreign(history, read_foreign(log.encode(), "log.jsonl"))
    (tmp_path / "history.jsonl").write_text(text, encoding="utf-8")
    state = opened(reader, tmp_path / "history.jsonl")
    told = [state[key] for key in ("name", "metricName", "metricUnit", "bestDirection", "currentSegment")]
    assert told == ["elsewhere-sorting", "ops", "/s", "higher", 1]
    results = state["results"]
    assert isinstance(results, list)
    assert [(one["run"], one["metric"], one["segment"]) for one in results] == [(1, 2.3, 0), (2, 1200, 1)]
