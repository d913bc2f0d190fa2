"""`nightshift calibrate`, on the fast fake trainer: real processes, and a night that rests on what was learnt.

With `nightshift proxy`, which says what was learnt of breadth.
"""

import json
import re
from concurrent.futures import Future
from pathlib import Path

import pytest

from agent import calibrate
from agent.calibrate import Timing, fitting
from agent.cli_night import profiles_of
from agent.experience import COMMITTED, read
from agent.git import here
from agent.journal import Journal, open_journal
from agent.lab import Lab
from agent.opening import data_key, experience_path, journal_path
from bench.data import Dataset, open_dataset
from bench.job import Cost, Job, Measurement
from bench.profiles import PROFILES, profile
from tests.agent.builders import header
from tests.agent.test_night import nightshift
from tests.fakes import fake_tree, make_repo
from tests.fakes.bench import ScriptedBench

IDEAS = "## Better quality\n\nlane: quality\n\n```knobs\nQUALITY = 0.9\n```\n"


def measured(repo: Path) -> int:
    return (repo / ".git" / "nightshift" / calibrate.JOURNAL).read_text().count('"type":"measured"')


@pytest.mark.long
def test_a_calibration_is_learnt_from_once_and_the_next_night_rests_on_it(small_data: Dataset, tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "person", small_data.root, IDEAS)
    opened = nightshift(repo, "run", "--short", "--name", "before", "--max-experiments", "1").stdout
    assert "provisional: `nightshift calibrate`" in opened
    assert "left out: night before" in nightshift(repo, "proxy", "--name", "before").stderr

    said = nightshift(repo, "calibrate", "--short", "--seeds", "4").stdout
    assert "short-confirm: one run varies by" in said
    assert "1 changes measured at both" in said
    (found,) = read(repo / ".git" / "nightshift" / "experience.json")
    assert [change.name for change in found.changes] == ["better-quality"]
    count = measured(repo)
    nightshift(repo, "calibrate", "--short", "--seeds", "4")
    assert measured(repo) == count == 2 * 2 * calibrate.SEEDS_A_CHANGE

    opened = nightshift(repo, "run", "--short", "--name", "after", "--max-experiments", "1").stdout
    assert "as 1 changes showed on" in opened
    assert "provisional" not in opened
    nightshift(repo, "run", "--name", "after", "--max-experiments", "1")
    assert headers(repo, "after") == ["short-"], "going on without --short is no other night"

    refused = nightshift(repo, "proxy", "--name", "after", check=False)
    assert refused.returncode == 1
    (line,) = refused.stderr.splitlines()
    assert re.search(r"only \d changes were measured at breadth and at confirm.* type `nightshift calibrate`", line)


@pytest.mark.parametrize(
    ("training_s", "chosen", "why"),
    [
        (
            10.0,
            "x4-",
            "confirm takes 12 s here; x4- takes 42 s, within the 60 s asked for: measure with the x4- profiles",
        ),
        (
            14.5,
            "x4-",
            "confirm takes 16 s here; x4- takes 60 s, within the 60 s asked for: measure with the x4- profiles",
        ),
        (
            15.0,
            "",
            "confirm takes 17 s here; x4- would take 62 s, above the 60 s asked for: stay with the profiles as shipped",
        ),
        (
            60.0,
            "",
            "confirm takes 62 s here, above the 60 s asked for, and x4- would take 242 s:"
            " stay with the profiles as shipped",
        ),
    ],
)
def test_the_longest_profiles_that_fit_are_chosen_and_said_why(training_s: float, chosen: str, why: str) -> None:
    assert fitting(Timing(training_s, beside_s=2.0), 60.0) == (chosen, why)


def test_each_class_is_whole_and_of_one_size_with_the_shipped_one() -> None:
    for stage, times in (("smoke", 1), ("breadth", 4), ("confirm", 4)):
        shipped, longer = profile(stage), profile(f"x4-{stage}")
        assert longer.steps == times * shipped.steps
        assert (longer.size, longer.window, longer.val_tokens) == (shipped.size, shipped.window, shipped.val_tokens)
        assert (longer.check_twins, longer.check_prefixes) == (shipped.check_twins, shipped.check_prefixes)
    assert all(f"{name}confirm" in PROFILES for name in calibrate.CLASSES)


def headers(repo: Path, name: str) -> list[str]:
    return [one.profiles for one in open_journal(repo / ".git" / "nightshift" / name / "autoresearch.jsonl").headers]


@pytest.mark.long
def test_the_profiles_that_fit_this_machine_are_measured_and_the_next_call_goes_on_with_them(
    small_data: Dataset, tmp_path: Path
) -> None:
    repo = make_repo(tmp_path / "person", small_data.root)
    said = nightshift(repo, "calibrate", "--seeds", "2").stdout
    assert "measure with the x4- profiles" in said
    assert "x4-confirm: one run varies by" in said
    (found,) = read(repo / ".git" / "nightshift" / "experience.json")
    assert found.profiles == "x4-"
    assert measured(repo) == 3 * 2, "confirm as shipped, to be timed, and both stages of the class that fits"
    said = nightshift(repo, "calibrate", "--seeds", "2", "--target-seconds", "0.01").stdout
    assert "above the 0.01 s asked for" in said
    assert measured(repo) == 4 * 2, "what was timed serves again"
    assert [one.profiles for one in read(repo / ".git" / "nightshift" / "experience.json")] == ["x4-", ""]


def test_the_first_run_s_kernels_are_not_taken_for_confirm_s_time(tmp_path: Path) -> None:
    class Bench(ScriptedBench):
        def submit(self, job: Job) -> Future[Measurement]:
            found = super().submit(job).result()
            wall = {"warm": 100.0, "compile": 9.0, "setup": 1.0, "train": 50.0, "score": 5.0}
            phases = {name: Cost(wall_s=wall_s, cpu_s=1.0) for name, wall_s in wall.items()}
            future: Future[Measurement] = Future()
            future.set_result(found.model_copy(update={"phases": phases}))
            return future

    bench, journal = Bench(lambda job: 2.0), Journal(tmp_path / "j.jsonl")
    lab = Lab(bench, journal, header(profiles=""))
    assert calibrate.time_confirm(lab, fake_tree()) == Timing(training_s=50.0, beside_s=6.0)
    assert [job.profile.name for job in bench.jobs] == ["confirm"] * calibrate.AT_A_TIME
    list(calibrate.measure(lab, fake_tree(), [], 2))
    assert sum(job.profile.name == "confirm" for job in bench.jobs) == 2, "they are the calibration's first runs"


def test_a_new_night_takes_the_profiles_calibrated_last_and_one_that_began_keeps_its_own(
    small_data: Dataset, tmp_path: Path
) -> None:
    repo = here(make_repo(tmp_path / "person", small_data.root))
    data, fingerprint = open_dataset(small_data.root), header().fingerprint
    assert profiles_of(repo, "n", fingerprint, data) == ""

    one = read(COMMITTED)[0].model_copy(update={"machine": fingerprint.processor, "data": data_key(data)})
    own = [one, one.model_copy(update={"profiles": "x4-"}), one.model_copy(update={"profiles": "short-"})]
    path = experience_path(repo)
    path.parent.mkdir(parents=True)
    path.write_text("".join(f"{line.model_dump_json()}\n" for line in own))
    assert profiles_of(repo, "n", fingerprint, data) == "x4-"
    elsewhere = fingerprint.model_copy(update={"processor": "another"})
    assert profiles_of(repo, "n", elsewhere, data) == ""

    for begun in ("", "short-"):
        journal_path(repo, f"n{begun}").parent.mkdir()
        Journal(journal_path(repo, f"n{begun}")).append(header(profiles=begun))
        assert profiles_of(repo, f"n{begun}", fingerprint, data) == begun


def test_without_a_calibration_breadth_is_examined_from_the_stand_in(small_data: Dataset, tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "person", small_data.root)
    assert "provisional: `nightshift calibrate`" in nightshift(repo, "proxy").stdout
    told = json.loads(nightshift(repo, "proxy", "--json").stdout)
    assert told["provisional"]
    assert told["conclusion"].startswith("breadth ranks changes as confirm does with ρ = ")
