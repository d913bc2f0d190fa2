"""One experiment: how the way a run failed becomes a verdict."""

from concurrent.futures import Future
from pathlib import Path

import pytest

from agent.attempt import SPARE_SEEDS, Attempt, Champion, attempt
from agent.gain import regain
from agent.git import Repo, here
from agent.journal import Journal, open_journal
from agent.lab import Lab
from agent.proposal import Proposal
from bench.data import Dataset
from bench.errors import ChampionFails, RunFailed
from bench.job import Job, Measurement
from tests.agent.builders import header
from tests.fakes import make_repo
from tests.fakes.bench import ScriptedBench


class Failing:
    """A bench on which every run fails in one way."""

    def __init__(self, reason: str) -> None:
        self.reason, self.capacity = reason, 1

    def submit(self, job: Job) -> Future[Measurement]:
        future: Future[Measurement] = Future()
        future.set_exception(RunFailed(self.reason, f"as every run of {job.profile.name} does"))
        return future


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        ("wrong_gradient", "checks_failed"),
        ("artifact_too_large", "checks_failed"),
        ("exit_code", "crash"),
        ("hang", "crash"),
    ],
)
def test_a_sound_run_whose_result_is_refused_failed_a_check_and_any_other_crashed(
    small_data: Dataset, tmp_path: Path, reason: str, status: str
) -> None:
    repo = here(make_repo(tmp_path / "person", small_data.root))
    journal = open_journal(tmp_path / "journal.jsonl")
    journal.append(header())
    sha = repo.commit_of("HEAD")
    idea = Proposal("better", "it may help", "queue", "knobs", knobs=(("QUALITY", "0.9"),))
    this = Attempt("night-0002", 2, 0, Champion(sha, repo.trainer(sha)), idea)
    found = attempt(this, Lab(Failing(reason), journal, header()), repo, journal)
    assert (found.status, found.reason) == (status, reason)


def night(small_data: Dataset, folder: Path) -> tuple[Repo, Journal, Attempt]:
    repo = here(make_repo(folder / "person", small_data.root))
    journal = open_journal(folder / "journal.jsonl")
    journal.append(header())
    sha = repo.commit_of("HEAD")
    idea = Proposal("better", "it may help", "queue", "knobs", knobs=(("QUALITY", "0.9"),))
    return repo, journal, Attempt("night-0002", 2, 0, Champion(sha, repo.trainer(sha)), idea)


def score(job: Job) -> float:
    return 1.9 if b"QUALITY = 0.9" in job.tree["trainer/settings.py"] else 2.0


def test_a_seed_under_which_the_champion_fails_is_passed_over(small_data: Dataset, tmp_path: Path) -> None:
    repo, journal, this = night(small_data, tmp_path)
    fails = Lab(ScriptedBench(score), journal, header())
    first, *others = fails.seeds(this.champion.tree, fails.profile("breadth"), 3)
    bench = ScriptedBench(lambda job: -1.0 if job.seed == first and "champion" in job.label else score(job))
    found = attempt(this, Lab(bench, journal, header()), repo, journal)
    assert found.status == "keep"
    assert found.breadth is not None
    assert [pair.seed for pair in found.breadth.pairs] == others[: len(found.breadth.pairs)]
    assert first not in {run.seed for run in found.runs}


def test_a_champion_that_fails_under_every_seed_ends_the_night(small_data: Dataset, tmp_path: Path) -> None:
    repo, journal, this = night(small_data, tmp_path)
    bench = ScriptedBench(lambda job: -1.0 if "champion" in job.label else 2.0)
    with pytest.raises(ChampionFails, match="champion itself fails"):
        attempt(this, Lab(bench, journal, header()), repo, journal)
    assert sum("champion" in job.label for job in bench.jobs) == SPARE_SEEDS + 1


@pytest.mark.parametrize("failing", ["QUALITY = 0.9", "QUALITY = 0.5"])
def test_a_gain_is_measured_afresh_under_seeds_that_both_run_under(
    small_data: Dataset, tmp_path: Path, failing: str
) -> None:
    repo, journal, this = night(small_data, tmp_path)
    kept = attempt(this, Lab(ScriptedBench(score), journal, header()), repo, journal)
    laboratory = Lab(ScriptedBench(score), journal, header())
    first, *others = laboratory.seeds(repo.trainer(kept.sha), laboratory.profile("confirm"), 5)

    def fails(job: Job) -> float:
        return -1.0 if job.seed == first and failing.encode() in job.tree["trainer/settings.py"] else score(job)

    found = regain(kept, Lab(ScriptedBench(fails), journal, header()), repo)
    assert [pair.seed for pair in found.evidence.pairs] == others[: len(found.evidence.pairs)]
