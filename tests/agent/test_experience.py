"""What verdicts rest on beside the pairs: a calibration, a stand-in for it, and the night so far."""

import json
from concurrent.futures import Future
from pathlib import Path

import pytest

from agent import calibrate
from agent.calibrate import Change
from agent.experience import COMMITTED, Experience, before, of_calibration, read, sample
from agent.ideas import parse_ideas
from agent.journal import Journal
from agent.lab import Lab
from agent.records import Header
from bench.files import tree_key
from bench.job import Job, Measurement
from tests.agent.builders import evidence, experiment, header
from tests.fakes import fake_tree
from tests.fakes.bench import ScriptedBench

CHAMPION = fake_tree()
SETTINGS = "trainer/settings.py"
BETTER = Change("better", "optimizer", CHAMPION | {SETTINGS: CHAMPION[SETTINGS] + b"# better\n"})
SAME = Change("same", "export", CHAMPION | {SETTINGS: CHAMPION[SETTINGS] + b"# same\n"})


def score(job: Job) -> float:
    """A seed's own level, and a gain that is twice as large at breadth."""
    gain = 0.0 if b"# better" not in job.tree[SETTINGS] else 0.04 if "breadth" in job.profile.name else 0.02
    return 2.0 + job.seed % 1000 / 1e5 - gain * (1 + job.seed % 7 / 1e3)


def calibrated(path: Path, seeds: int = 10, opened: Header | None = None) -> tuple[Journal, ScriptedBench]:
    journal, bench = Journal(path), ScriptedBench(score)
    journal.append(opened or header())
    list(calibrate.measure(Lab(bench, journal, journal.headers[0]), CHAMPION, [BETTER, SAME], seeds))
    return journal, bench


def learnt(journal: Journal) -> Experience:
    names = {tree_key(change.tree): (change.slug, change.lane) for change in (BETTER, SAME)}
    return of_calibration(journal, names, tree_key(CHAMPION))


def test_a_calibration_measures_champion_and_changes_under_the_same_seeds_and_each_run_once(tmp_path: Path) -> None:
    _, bench = calibrated(tmp_path / "j.jsonl")
    runs = [(tree_key(job.tree), job.profile.name, job.seed) for job in bench.jobs]
    assert len(runs) == len(set(runs)) == 2 * (10 + 2 * calibrate.SEEDS_A_CHANGE)
    champions = {run[1:] for run in runs if run[0] == tree_key(CHAMPION)}
    assert {run[1:] for run in runs} == champions


def test_what_a_calibration_learns(tmp_path: Path) -> None:
    found = learnt(calibrated(tmp_path / "j.jsonl")[0])
    assert {stage: len(scores) for stage, scores in found.scores.items()} == {"breadth": 10, "confirm": 10}
    better, *others = found.changes
    assert (better.name, better.lane) == ("better", "optimizer")
    assert better.confirm is not None
    assert better.confirm.mean == pytest.approx(-0.02, rel=0.01)
    assert better.confirm.pairs == calibrate.SEEDS_A_CHANGE
    assert better.confirm.differences == pytest.approx([-0.02] * calibrate.SEEDS_A_CHANGE, rel=0.01)
    assert others == [], "a change without any difference says nothing of noise"
    assert found.promotion().slope == pytest.approx(0.5, abs=0.01)


def test_what_a_run_of_the_champion_takes_is_the_median_of_its_runs(tmp_path: Path) -> None:
    class Bench(ScriptedBench):
        def submit(self, job: Job) -> Future[Measurement]:
            known = b"# better" in job.tree[SETTINGS]
            cpu_s = 1e6 if known else (5.0 if "breadth" in job.profile.name else 20.0) + (len(self.jobs) == 0) * 1000
            future: Future[Measurement] = Future()
            future.set_result(super().submit(job).result().model_copy(update={"cpu_s": cpu_s}))
            return future

    journal = Journal(tmp_path / "j.jsonl")
    journal.append(header())
    list(calibrate.measure(Lab(Bench(score), journal, header()), CHAMPION, [BETTER], 4))
    assert learnt(journal).seconds == {"breadth": 5.0, "confirm": 20.0}


def test_only_runs_of_the_class_that_is_calibrated_are_counted(tmp_path: Path) -> None:
    journal, bench = calibrated(tmp_path / "j.jsonl")
    count = len(learnt(journal).scores["confirm"])
    calibrate.time_confirm(Lab(bench, journal, header(profiles="")), CHAMPION)
    assert len(learnt(journal).scores["confirm"]) == count


def test_runs_under_other_conditions_are_not_counted(tmp_path: Path) -> None:
    journal, bench = calibrated(tmp_path / "j.jsonl")
    other = header(data="other text")
    journal.append(other)
    list(calibrate.measure(Lab(bench, journal, other), CHAMPION, [], 4))
    assert {len(scores) for scores in learnt(journal).scores.values()} == {4}


QUEUE = """
## A

```knobs
NUDGE = 1
```

## B

```knobs
NO_SUCH = 1
```

## C

Words alone.
"""


def test_only_ideas_that_apply_are_measured() -> None:
    found = calibrate.changes(CHAMPION, parse_ideas(QUEUE)[0], "tiny")
    assert [change.slug for change in found] == ["a"]


def test_without_a_calibration_of_this_machine_the_committed_one_stands_in_and_says_so(tmp_path: Path) -> None:
    own = learnt(calibrated(tmp_path / "j.jsonl")[0])
    assert before(header(), [own]) == own
    assert before(header(data="other text"), [own]).provisional
    assert before(header(), []).provisional
    assert not own.provisional


def test_the_committed_one_is_a_measurement_of_the_full_profiles() -> None:
    found = read(COMMITTED)[0]
    assert found.profiles == ""
    assert len(found.scores["confirm"]) >= 8
    assert sum(change.confirm is not None for change in found.changes) >= 5


def test_what_the_night_decides_is_learnt_from_too() -> None:
    start = before(header(), [])
    decided = experiment(2, lane="optimizer", breadth=evidence("b", -0.02), confirm=evidence("c", -0.01, -0.012))
    refused = experiment(3, lane="optimizer", breadth=None, confirm=None)
    after = start.after([decided, refused])
    assert len(after.changes) == len(start.changes) + 1
    assert after.promotion().changes == start.promotion().changes + 1


def test_pairs_without_any_difference_are_left_out() -> None:
    assert sample([0.0, 0.0]) is None
    found = sample([0.0, 0.01, 0.03])
    assert found is not None
    assert found.pairs == 2
    assert found.mean == pytest.approx(0.02)
    assert found.differences == (0.0, 0.01, 0.03), "but what was drawn is not forgotten"


def test_the_committed_experience_reads_as_it_was_written_before_single_differences_were_kept() -> None:
    word = json.loads(COMMITTED.read_text().splitlines()[0])
    word.pop("seconds", None)
    for change in word["changes"]:
        for stage in ("breadth", "confirm"):
            (change[stage] or {}).pop("differences", None)
    older = Experience.model_validate(word)
    assert older.seconds == {}
    assert {one.confirm.differences for one in older.changes if one.confirm} == {()}
