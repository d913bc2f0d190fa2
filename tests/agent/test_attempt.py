"""One experiment: how the way a run failed becomes a verdict."""

from concurrent.futures import Future
from pathlib import Path

import pytest

from agent.attempt import Attempt, Champion, attempt
from agent.git import here
from agent.journal import open_journal
from agent.lab import Lab
from agent.proposal import Proposal
from bench.data import Dataset
from bench.errors import RunFailed
from bench.job import Job, Measurement
from tests.agent.builders import header
from tests.fakes import make_repo


class Failing:
    """A bench on which every run fails in one way."""

    def __init__(self, reason: str) -> None:
        self.reason = reason

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
