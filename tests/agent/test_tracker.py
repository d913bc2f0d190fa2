"""`nightshift export --wandb`: a night in Weights & Biases' own offline files, read back with its own records."""

import importlib
import json
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent import tracker
from agent.journal import Journal
from agent.opening import RUNS
from agent.records import Regained, Reverted
from bench import files
from bench.errors import MachineError, UsageError
from bench.measure import PROGRESS
from bench.slots import folder_name
from tests.agent.builders import KEPT, NIGHT, evidence, header, sha
from tests.agent.test_night import nightshift
from tests.fakes import make_repo

RECORD: Any = importlib.import_module("wandb.proto.wandb_internal_pb2").Record
FRAGMENT, BLOCK, HEAD = struct.Struct("<IHB"), 32768, 7
LAST_OF_A_RECORD = (1, 4)
TREE = "t" * 64


def records(path: Path) -> Iterator[Any]:
    """The records of a run's file, whose frames are those of LevelDB's log."""
    content, position, part = path.read_bytes(), HEAD, b""
    while position + HEAD <= len(content):
        if BLOCK - position % BLOCK < HEAD:
            position += BLOCK - position % BLOCK
            continue
        _, length, kind = FRAGMENT.unpack_from(content, position)
        position += HEAD + length
        part += content[position - length : position]
        if kind in LAST_OF_A_RECORD:
            yield RECORD.FromString(part)
            part = b""


def read(folder: Path) -> dict[str, dict[str, Any]]:
    """What each run tells, by its id: group, configuration, summary, losses by step, exit code."""
    found: dict[str, dict[str, Any]] = {}
    for path in folder.glob("wandb/offline-run-*/*.wandb"):
        one: dict[str, Any] = {"config": {}, "summary": {}, "losses": {}}
        for record in records(path):
            if record.HasField("run"):
                one |= {"group": record.run.run_group, "tags": list(record.run.tags)}
                one["config"] |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
                found[record.run.run_id] = one
            if record.HasField("summary"):
                for item in record.summary.update:
                    one["summary"]["/".join(item.nested_key) or item.key] = json.loads(item.value_json)
            if record.HasField("history"):
                items = {item.nested_key[0]: json.loads(item.value_json) for item in record.history.item}
                one["losses"][items["_step"]] = {key: items[key] for key in items if key.startswith("loss/")}
            if record.HasField("exit"):
                one["exit"] = record.exit.exit_code
    return found


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Journal:
    """One of everything, with one run's folder left."""
    folder = tmp_path_factory.mktemp("night")
    kept = KEPT.model_copy(update={"tree": TREE})
    learnt = Regained(timestamp=5, id=KEPT.id, evidence=evidence("short-confirm", -0.01, -0.012))
    taken_out = Reverted(timestamp=6, id=KEPT.id, parent=sha(3), sha=sha(9))
    told = [kept if one.id == KEPT.id else one for one in NIGHT]
    run = folder / RUNS / folder_name(TREE, "short-breadth", 101)
    words = [{"phase": "train", "step": step, "loss": 7.0 - step / 4} for step in (1, 2, 3)]
    files.write_atomic(run / PROGRESS, "".join(f"{json.dumps(word)}\n" for word in words).encode())
    return Journal(folder / "autoresearch.jsonl", [header(), *told, learnt, taken_out])


@pytest.fixture(scope="module")
def written(night: Journal, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("wandb") / "runs"
    assert tracker.write(night, folder) == len(NIGHT)
    return read(folder)


def test_there_is_one_run_an_experiment_in_one_group(written: dict[str, dict[str, Any]]) -> None:
    assert sorted(written) == [one.id for one in NIGHT]
    assert {one["group"] for one in written.values()} == {"night"}
    assert [written[one.id]["tags"] for one in NIGHT] == [[one.status] for one in NIGHT]
    assert [written[one.id]["exit"] for one in NIGHT] == [0, 0, 0, 1, 0, 0]


def test_a_run_s_configuration_says_what_was_changed_and_measured_under_what(
    written: dict[str, dict[str, Any]],
) -> None:
    told = written[KEPT.id]["config"]
    assert told["knobs"] == {"MATRIX_LR": "0.06"}
    assert (told["source"], told["commit"], told["seeds"]) == ("queue", KEPT.sha, [100, 101, 102, 103, 104])
    assert (told["data"], told["machine"]["mlx"]) == ("embedded 0123456789ab", "0.32.4")


def test_a_run_s_summary_has_verdict_differences_with_intervals_and_cost(written: dict[str, dict[str, Any]]) -> None:
    told = written[KEPT.id]["summary"]
    assert (told["val_bpb"], told["verdict"], told["reverted"]) == (KEPT.metric, "keep", True)
    assert told["confirm"]["difference"] == pytest.approx(-0.019)
    assert told["confirm"]["low"] == pytest.approx(-0.019 - 1.96 * 0.005 / 2**0.5)
    assert (told["regained"]["difference"], told["regained"]["pairs"]) == (pytest.approx(-0.011), 2)
    assert (told["wall_s"], told["total_bytes"]) == (KEPT.wall_s, 712_345)


def test_what_was_not_measured_is_left_out(written: dict[str, dict[str, Any]]) -> None:
    for one in NIGHT:
        told = written[one.id]["summary"]
        assert ("val_bpb" in told, "breadth" in told, "confirm" in told) == (
            one.metric > 0,
            one.breadth is not None,
            one.confirm is not None,
        )


def test_losses_are_there_as_far_as_the_folders_of_runs_are(written: dict[str, dict[str, Any]]) -> None:
    assert written[KEPT.id]["losses"] == {
        step: {"loss/short-breadth/101": 7.0 - step / 4} for step in (1, 2, 3)
    }  # fmt: skip
    assert not any(one["losses"] for name, one in written.items() if name != KEPT.id)


def test_a_folder_that_holds_runs_is_refused(night: Journal, tmp_path: Path) -> None:
    (tmp_path / "wandb").mkdir()
    with pytest.raises(UsageError, match="name an empty folder"):
        tracker.write(night, tmp_path)


def test_a_missing_extra_is_one_line_with_the_command(
    night: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(MachineError, match=r"pip install 'nightshift\[wandb\]'"):
        tracker.write(night, tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_one_form_is_to_be_chosen(tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "person", tmp_path)
    for words in ([], ["--tsv", "--wandb", "runs"]):
        said = nightshift(repo, "export", *words, check=False).stderr
        assert said == "nightshift: choose one of --tsv, --wandb DIR and --submission DIR\n"


@pytest.mark.parametrize(
    "option", ["--commit=HEAD", "--steps=5", "--hours=1", "--seed=2", "--set=A=1", "--github-id=me"]
)
def test_what_is_for_a_submission_alone_is_refused_elsewhere(option: str, tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "person", tmp_path)
    said = nightshift(repo, "export", "--tsv", option, check=False).stderr
    assert said == f"nightshift: {option.partition('=')[0]} is for --submission DIR: leave it out here\n"
