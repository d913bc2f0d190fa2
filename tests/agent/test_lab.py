"""The lab: what is run, what serves again, and what is journalled in which order."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from agent.journal import Journal, open_journal
from agent.lab import Lab, Subject, pairs
from agent.records import Header
from bench.errors import Interrupted, MachineError, RunFailed
from bench.job import Job
from bench.profiles import Profile
from tests.agent.builders import header
from tests.fakes.bench import ScriptedBench

CANDIDATE = Subject("candidate", {"trainer/a.py": b"x = 2"}, "candidate")
CHAMPION = Subject("champion", {"trainer/a.py": b"x = 1"}, "champion")


def score(job: Job) -> float:
    return (2.0 if job.label == "champion" else 1.9) + job.seed / 1000


def lab(path: Path, bench: ScriptedBench, opened: Header | None = None) -> Lab:
    return Lab(bench, open_journal(path), opened or header())


def test_pairs_come_back_in_seed_order(tmp_path: Path) -> None:
    laboratory = lab(tmp_path / "j.jsonl", ScriptedBench(score))
    found = pairs(laboratory.run([CANDIDATE, CHAMPION], laboratory.profile("breadth"), [7, 3, 5]))
    assert [pair.seed for pair in found] == [7, 3, 5]
    assert all(pair.difference == pytest.approx(-0.1) for pair in found)


def test_runs_are_journalled_in_the_order_they_were_asked_for(tmp_path: Path) -> None:
    laboratory = lab(tmp_path / "j.jsonl", ScriptedBench(score))
    laboratory.run([CANDIDATE, CHAMPION], laboratory.profile("breadth"), [7, 3])
    assert [record.seed for record in laboratory.journal.measured.values()] == [7, 7, 3, 3]


def test_nothing_is_measured_twice_even_by_another_process(tmp_path: Path) -> None:
    first, second = ScriptedBench(score), ScriptedBench(score)
    for bench in (first, second):
        laboratory = lab(tmp_path / "j.jsonl", bench)
        runs = laboratory.run([CANDIDATE, CHAMPION], laboratory.profile("breadth"), [1, 2])
    assert len(first.jobs) == 4
    assert second.jobs == []
    assert not any(run.fresh for run in runs)


@pytest.mark.parametrize(
    "changes",
    [
        {"data": "other text"},
        {"sandbox": "another"},
        {"fingerprint": {**header().fingerprint.model_dump(), "mlx": "9.9"}},
        {"profiles": ""},
    ],
)
def test_what_the_number_depends_on_is_measured_afresh(tmp_path: Path, changes: dict[str, object]) -> None:
    for opened, expected in ((header(), 1), (header(**changes), 1)):
        bench = ScriptedBench(score)
        laboratory = lab(tmp_path / "j.jsonl", bench, opened)
        laboratory.run([CANDIDATE], laboratory.profile("breadth"), [1])
        assert len(bench.jobs) == expected


def test_a_run_that_compared_its_twins_does_not_serve_for_one_that_did_not(tmp_path: Path) -> None:
    bench = ScriptedBench(score)
    laboratory = lab(tmp_path / "j.jsonl", bench)
    for check_twins in (False, True, False):
        laboratory.run([CANDIDATE], replace(laboratory.profile("smoke"), check_twins=check_twins), [1])
    assert [job.profile.check_twins for job in bench.jobs] == [False, True]


def test_a_run_on_the_sealed_split_does_not_serve_for_one_on_val(tmp_path: Path) -> None:
    bench = ScriptedBench(score)
    laboratory = lab(tmp_path / "j.jsonl", bench)
    confirm = laboratory.profile("confirm")
    for budget in (confirm, replace(confirm, split="audit"), confirm):
        laboratory.run([CANDIDATE], budget, [1])
    assert [job.profile.split for job in bench.jobs] == ["val", "audit"]


def test_runs_journalled_before_profiles_named_their_split_still_serve(tmp_path: Path) -> None:
    laboratory = lab(tmp_path / "j.jsonl", ScriptedBench(score))
    laboratory.run([CANDIDATE], Profile("kept", "tiny", steps=1, window=2, val_tokens=3, baseline_bytes=100), [1])
    assert list(laboratory.journal.measured) == ["f2c8b13f9ec57bee9cff3676b9de84bb"]


def test_a_crash_is_remembered_too(tmp_path: Path) -> None:
    for expected in (1, 0):
        bench = ScriptedBench(lambda job: -1.0)
        laboratory = lab(tmp_path / "j.jsonl", bench)
        (run,) = laboratory.run([CANDIDATE], laboratory.profile("smoke"), [1])
        assert run.reason == "exit_code"
        assert len(bench.jobs) == expected
    with pytest.raises(RunFailed):
        pairs([run])


def test_a_champion_that_fails_is_the_machine_s_fault_and_not_the_candidate_s(tmp_path: Path) -> None:
    laboratory = lab(tmp_path / "j.jsonl", ScriptedBench(lambda job: -1.0))
    with pytest.raises(MachineError, match="champion itself"):
        pairs(laboratory.run([CHAMPION], laboratory.profile("smoke"), [1]))


def test_an_interruption_keeps_what_was_finished_and_records_nothing_of_what_was_not(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    laboratory = lab(path, ScriptedBench(lambda job: math.nan if job.seed == 2 else 2.0))
    with pytest.raises(Interrupted):
        laboratory.run([CANDIDATE], laboratory.profile("breadth"), [1, 2, 3])
    assert [record.seed for record in open_journal(path).measured.values()] == [1, 3]


def test_a_new_champion_gets_new_seeds_and_the_same_one_the_same(tmp_path: Path) -> None:
    laboratory = lab(tmp_path / "j.jsonl", ScriptedBench(score))
    breadth, confirm = laboratory.profile("breadth"), laboratory.profile("confirm")
    mine = laboratory.seeds(CHAMPION.tree, breadth, 4)
    assert laboratory.seeds(CHAMPION.tree, breadth, 2) == mine[:2]
    others = [laboratory.seeds(CANDIDATE.tree, breadth, 4), laboratory.seeds(CHAMPION.tree, confirm, 4)]
    assert all(set(mine).isdisjoint(other) for other in others)
    assert all(0 <= seed < 2**31 for seed in mine)


def test_where_repeats_are_not_bit_identical_a_champion_is_measured_for_each_experiment(tmp_path: Path) -> None:
    gpu = header(fingerprint={**header().fingerprint.model_dump(), "device": "gpu"})
    bench = ScriptedBench(score)
    laboratory = Lab(bench, Journal(tmp_path / "j.jsonl"), gpu)
    for experiment in (2, 3):
        champion = laboratory.champion(CHAMPION.tree, experiment, "champion")
        laboratory.run([champion], laboratory.profile("breadth"), [1])
    assert len(bench.jobs) == 2


def test_only_what_is_measured_afresh_is_bound_to_one_machine_as_a_pair(tmp_path: Path) -> None:
    bench = ScriptedBench(score)
    laboratory = lab(tmp_path / "j.jsonl", bench)
    breadth = laboratory.profile("breadth")
    laboratory.run([CANDIDATE, CHAMPION], breadth, [1, 2])
    afresh = [replace(one, repeat=7) for one in (CANDIDATE, CHAMPION)]
    laboratory.run(afresh, breadth, [1, 2])
    bound = [job.pair for job in bench.jobs]
    assert bound[:4] == [""] * 4
    first, second = bound[4::2]
    assert bound[4:] == [first, first, second, second]
    assert first != second
