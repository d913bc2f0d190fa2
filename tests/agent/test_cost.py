"""Cost and seeds: what a candidate's runs, beside the champion's, say against it however well they score."""

from dataclasses import replace
from pathlib import Path

import pytest

from agent import cost
from agent.attempt import Attempt, Champion, attempt
from agent.git import Repo, here
from agent.journal import open_journal
from agent.lab import Lab
from agent.proposal import Proposal
from agent.records import Experiment, Run
from agent.twins import FAST, MODEL, without_stale
from bench.data import Dataset
from bench.files import tree_key
from bench.job import Job
from bench.profiles import PROFILES
from tests.agent.builders import header
from tests.fakes import make_repo
from tests.fakes.bench import ScriptedBench

SETTINGS = "trainer/settings.py"
BETTER = Proposal("better", "it may help", "queue", "knobs", knobs=(("QUALITY", "0.9"),))


def is_candidate(job: Job) -> bool:
    return b"QUALITY = 0.9" in job.tree[SETTINGS]


def score(job: Job) -> float:
    return (1.9 if is_candidate(job) else 2.0) + job.seed / 1e12


class Seconds:
    """CPU seconds of a candidate's runs, one after another under each profile; the champion's are always 10."""

    def __init__(self, **taken: list[float]) -> None:
        self.taken = taken

    def __call__(self, job: Job) -> float:
        left = self.taken.get(job.profile.name.removeprefix("short-"))
        return left.pop(0) if left and is_candidate(job) else 10.0


@pytest.fixture
def repo(small_data: Dataset, tmp_path: Path) -> Repo:
    return here(make_repo(tmp_path / "person", small_data.root))


def tried(repo: Repo, bench: ScriptedBench, run: int = 2) -> Experiment:
    journal = open_journal(repo.root / "journal.jsonl")
    if journal.header is None:
        journal.append(header())
    sha = repo.commit_of("HEAD")
    this = Attempt(f"night-{run:04d}", run, 0, Champion(sha, repo.trainer(sha)), BETTER)
    return attempt(this, Lab(bench, journal, header()), repo, journal)


def test_a_candidate_that_costs_more_every_time_is_over_budget(repo: Repo) -> None:
    bench = ScriptedBench(score, Seconds(breadth=[12.0, 11.5, 13.0]))
    found = tried(repo, bench)
    assert (found.status, found.reason) == ("checks_failed", "over_budget")
    assert "1.20, then 1.15, then 1.30 times the champion's; 1.10 may be" in found.detail
    assert found.metrics["cost_ratio"] == pytest.approx(1.3)
    assert not any(job.profile.name == "short-confirm" for job in bench.jobs)


def test_each_second_look_is_measured_afresh_with_the_champion_beside_it(repo: Repo) -> None:
    bench = ScriptedBench(score, Seconds(breadth=[12.0, 12.0, 12.0]))
    tried(repo, bench)
    looks = [job for job in bench.jobs if job.profile.name == "short-breadth"][2:]
    assert [is_candidate(job) for job in looks] == [True, False, True, False]
    assert len({job.seed for job in looks}) == 1
    assert looks[1].parent != tree_key(looks[0].tree), "it is lent nothing that the candidate compiled"


@pytest.mark.parametrize("taken", [[12.0, 10.5], [12.0, 12.0, 10.9]])
def test_one_look_within_the_budget_clears_a_candidate(repo: Repo, taken: list[float]) -> None:
    found = tried(repo, ScriptedBench(score, Seconds(breadth=taken)))
    assert found.status == "keep"


@pytest.mark.parametrize("ratio", [0.5, 1.0, 1.09])
def test_a_candidate_within_the_budget_is_not_measured_again(repo: Repo, ratio: float) -> None:
    bench = ScriptedBench(score, lambda job: 10.0 * ratio if is_candidate(job) else 10.0)
    found = tried(repo, bench)
    assert found.status == "keep"
    assert found.metrics["cost_ratio"] == pytest.approx(ratio)
    assert len([job for job in bench.jobs if job.profile.name == "short-breadth"]) == 2


def test_a_candidate_that_costs_more_at_confirm_alone_is_not_kept(repo: Repo) -> None:
    found = tried(repo, ScriptedBench(score, Seconds(confirm=[20.0] * 8)))
    assert (found.status, found.reason) == ("checks_failed", "over_budget")


def test_a_candidate_that_breadth_drops_anyway_costs_no_second_look(repo: Repo) -> None:
    bench = ScriptedBench(lambda job: 2.2 if is_candidate(job) else 2.0, Seconds(breadth=[20.0]))
    found = tried(repo, bench)
    assert (found.status, found.reason) == ("discard", "worse_at_breadth")
    assert found.metrics["cost_ratio"] == pytest.approx(2.0)


@pytest.mark.parametrize("profile", ["breadth", "confirm"])
def test_a_candidate_that_takes_a_quarter_more_memory_is_refused(repo: Repo, profile: str) -> None:
    def memory(job: Job) -> int:
        greedy = is_candidate(job) and job.profile.name.endswith(profile)
        return 630_000_000 if greedy else 500_000_000

    found = tried(repo, ScriptedBench(score, memory=memory))
    assert (found.status, found.reason) == ("checks_failed", "over_memory")
    assert "630 MB at its peak, 1.26 times the champion's; 1.25 may be" in found.detail


@pytest.mark.parametrize("champion", [500_000_000, 120_000_000])
def test_a_candidate_may_take_a_little_more_memory_and_the_memory_of_hardly_any_model_is_not_compared(
    repo: Repo, champion: int
) -> None:
    found = tried(repo, ScriptedBench(score, memory=lambda job: champion + 100_000_000 * is_candidate(job)))
    assert found.status == "keep"


def test_work_done_in_any_phase_of_the_training_counts_and_scoring_does_not() -> None:
    from bench.job import Cost
    from tests.fakes.bench import measurement

    names = ("twins", "setup", "compile", "train", "export", "load", "score")
    phases = {name: Cost(wall_s=1.0, cpu_s=10.0**place) for place, name in enumerate(names)}
    found = measurement(2.0, 0.0, "").model_copy(update={"phases": phases})
    assert found.training == Cost(wall_s=4.0, cpu_s=11110.0)


def test_runs_of_an_older_journal_without_cost_give_no_ratio() -> None:
    runs = [Run(role="candidate", profile="breadth", seed=1), Run(role="champion", profile="breadth", seed=1)]
    assert cost.ratio(runs) is None
    assert cost.over_budget(1.1, None, lambda look: pytest.fail("measured")) == (None, None)


def test_trainings_that_are_little_more_than_starting_up_are_not_compared() -> None:
    def pair(seconds: float) -> list[Run]:
        return [
            Run(role="candidate", profile="breadth", seed=1, training_s=2 * seconds),
            Run(role="champion", profile="breadth", seed=1, training_s=seconds),
        ]

    assert cost.ratio(pair(cost.LEAST_S)) == 2.0
    assert cost.ratio(pair(0.9 * cost.LEAST_S)) is None


def test_every_profile_has_the_budget_of_the_design() -> None:
    assert {profile.max_cost for profile in PROFILES.values()} == {1.10}


FAST_CODE = b"TWINS = {'quick': ('attention',), 'swift': ('loss',)}\n"
MODEL_CODE = b"def attention(x):\n    return x\n\n\ndef loss(x):\n    return x\n"


def test_a_candidate_that_runs_a_form_plain_is_compared_with_the_champion_run_plain_there_too() -> None:
    champion = {FAST: FAST_CODE, MODEL: MODEL_CODE}
    candidate = without_stale(champion, {FAST: FAST_CODE, MODEL: MODEL_CODE.replace(b"return x", b"return 2 * x", 1)})
    assert cost.rival(champion, candidate) == {FAST: candidate[FAST], MODEL: MODEL_CODE}
    assert b"quick" not in candidate[FAST]


def test_any_other_candidate_is_compared_with_the_champion_as_it_is() -> None:
    champion = {FAST: FAST_CODE, MODEL: MODEL_CODE}
    slower = {FAST: FAST_CODE.replace(b"'quick': ('attention',), ", b"") + b"# my own\n", MODEL: MODEL_CODE}
    for candidate in (slower, {**champion, MODEL: MODEL_CODE + b"x = 1\n"}, {MODEL: MODEL_CODE}):
        assert cost.rival(champion, candidate) == champion


def test_a_candidate_that_leaves_the_same_artifact_under_two_seeds_ignores_its_seed(repo: Repo) -> None:
    def same(job: Job) -> str:
        return "one" if is_candidate(job) else f"{tree_key(job.tree)} {job.seed}"

    found = tried(repo, ScriptedBench(score, artifact=same))
    assert (found.status, found.reason) == ("checks_failed", "ignores_seed")
    assert "short-confirm" in found.detail


def test_a_champion_that_ignores_its_seed_is_not_held_against_a_candidate(repo: Repo) -> None:
    found = tried(repo, ScriptedBench(score, artifact=lambda job: str(job.seed) if is_candidate(job) else "one"))
    assert found.status == "keep"


def test_the_gate_refuses_a_proposal_before_any_run_and_makes_no_commit(repo: Repo) -> None:
    diff = "--- /dev/null\n+++ b/trainer/noise.py\n@@ -0,0 +1,2 @@\n+import socket\n+x = 1\n"
    bench = ScriptedBench(score)
    journal = open_journal(repo.root / "journal.jsonl")
    journal.append(header())
    sha = repo.commit_of("HEAD")
    this = Attempt(
        "night-0002", 2, 0, Champion(sha, repo.trainer(sha)), replace(BETTER, knobs=(), diff=diff, title="a socket")
    )
    found = attempt(this, Lab(bench, journal, header()), repo, journal)
    assert (found.status, found.reason, found.sha) == ("checks_failed", "forbidden_import", "")
    assert found.detail.startswith("trainer/noise.py:1: socket")
    assert bench.jobs == []
