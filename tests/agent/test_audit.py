"""`nightshift audit` and `nightshift transfer`: what they measure, how often, and what they say of it."""

import json
import math
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent import audit
from agent.git import Repo
from agent.journal import Journal, open_journal
from agent.lab import Lab
from agent.records import Audited, Estimate, Reverted, Transferred
from bench.data import Dataset
from bench.errors import Interrupted, NightshiftError, UsageError
from bench.files import tree_key
from bench.job import Job
from tests.agent.builders import BASE, baseline, confirmed, dropped, evidence, header, sha
from tests.agent.test_night import environment, journal_of, nightshift, run_night, verdicts
from tests.fakes import make_repo
from tests.fakes.bench import ScriptedBench

SLEEP = (1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4)
"""Hours of sleep gained, from Student's own paper."""
IDEAS = "## Worse quality\n\n```knobs\nQUALITY = 0.2\n```\n\n## Better quality\n\n```knobs\nQUALITY = 0.9\n```\n"


class Trees(Repo):
    """A repository whose every commit has a trainer of its own, but for one that takes all out again."""

    def trainer(self, commit: str) -> dict[str, bytes]:
        return {"trainer/a.py": (BASE if commit == sha(99) else commit).encode()}


REPO = Trees(Path(), Path())


def taken_out(run: int, commit: str) -> Reverted:
    return Reverted(timestamp=1, id=f"night-{run:04d}", parent=sha(run), sha=commit)


def journal(folder: Path, *kept: int) -> Journal:
    """A night with those keeps, one on top of the other, and a discard before each."""
    written = open_journal(folder / "j.jsonl")
    written.append(header())
    written.append(baseline())
    parent = BASE
    for run in kept:
        written.append(dropped(run - 1))
        written.append(confirmed(run, "keep", (-0.02, -0.02), parent=parent))
        parent = sha(run)
    return written


def lab(written: Journal, bench: ScriptedBench) -> Lab:
    opened = written.header
    assert opened is not None
    return Lab(bench, written, opened)


def score(job: Job) -> float:
    """The first champion scores 2.3, whatever was kept later less, and no seed like another."""
    tree = job.tree["trainer/a.py"].decode()
    gain = 0.0 if tree == BASE else 0.01 * int(tree[::-1], 16) + job.seed % 7 / 10_000
    return 2.3 + job.seed % 100 / 1000 - gain


def estimate(*differences: float, profile: str = "transfer") -> Estimate:
    return audit.estimate(profile, evidence(profile, *differences).pairs)


def test_the_interval_is_students_on_his_own_data() -> None:
    assert audit.interval(SLEEP) == pytest.approx((1.58, 0.7001142, 2.4598858))


@pytest.mark.parametrize("differences", [(), (-0.01,)])
def test_fewer_than_two_pairs_give_no_interval(differences: tuple[float, ...]) -> None:
    with pytest.raises(NightshiftError, match="two pairs"):
        audit.interval(differences)


def test_an_audit_pairs_the_first_champion_with_the_last_on_the_sealed_split(tmp_path: Path) -> None:
    written, bench = journal(tmp_path, 3, 5), ScriptedBench(score)
    first, last = audit.champions(written, REPO)
    found = audit.audit(first, last, lab(written, bench), REPO, 6)
    assert (found.first, found.last) == (BASE, sha(5))
    assert {job.profile.split for job in bench.jobs} == {"audit"}
    assert found.evidence.profile == "short-audit"
    assert len(found.evidence.pairs) == 6
    assert found.evidence.low < found.evidence.mean < found.evidence.high < -0.04


def test_an_audit_s_seeds_had_no_part_in_anything_before(tmp_path: Path) -> None:
    written = journal(tmp_path, 3)
    laboratory = lab(written, ScriptedBench(score))
    found = audit.audit(BASE, sha(3), laboratory, REPO, 6)
    before = {
        seed
        for commit in (BASE, sha(3))
        for stage in ("smoke", "breadth", "confirm", "transfer")
        for seed in laboratory.seeds(REPO.trainer(commit), laboratory.profile(stage), 100)
    }
    assert before.isdisjoint(pair.seed for pair in found.evidence.pairs)


def test_an_interrupted_audit_goes_on_where_it_stood(tmp_path: Path) -> None:
    written = journal(tmp_path, 3)
    first = ScriptedBench(lambda job: math.nan if len(first.jobs) > 7 else score(job))
    with pytest.raises(Interrupted):
        audit.audit(BASE, sha(3), lab(written, first), REPO, 6)
    again, whole = ScriptedBench(score), ScriptedBench(score)
    found = audit.audit(BASE, sha(3), lab(open_journal(written.path), again), REPO, 6)
    (tmp_path / "whole").mkdir()
    assert found.evidence == audit.audit(BASE, sha(3), lab(journal(tmp_path / "whole", 3), whole), REPO, 6).evidence
    assert (len(again.jobs), len(whole.jobs)) == (5, 12)


def test_where_nothing_was_kept_there_is_nothing_to_audit(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing was kept"):
        audit.champions(journal(tmp_path), REPO)


def test_where_all_that_was_kept_was_taken_out_there_is_nothing_to_audit_or_to_transfer(tmp_path: Path) -> None:
    written = journal(tmp_path, 3)
    written.append(taken_out(3, sha(99)))
    with pytest.raises(UsageError, match="nothing was kept"):
        audit.champions(written, REPO)
    with pytest.raises(UsageError, match="nothing was kept that still stands"):
        audit.standing(written)


def test_an_audit_is_about_the_champion_it_measured_and_no_later_one(tmp_path: Path) -> None:
    written = journal(tmp_path, 3)
    assert written.audited is None
    found = audit.audit(BASE, sha(3), lab(written, ScriptedBench(score)), REPO, 2)
    written.append(found)
    assert open_journal(written.path).audited == found
    written.append(confirmed(5, "keep", (-0.02, -0.02), parent=sha(3)))
    assert written.audited is None


def test_the_keeps_of_the_open_segment_that_were_not_taken_out_are_transferred(tmp_path: Path) -> None:
    written = journal(tmp_path, 3, 5, 7)
    written.append(taken_out(5, sha(8)))
    assert [one.id for one in audit.standing(written)] == ["night-0003", "night-0007"]
    written.append(header(data="other text"))
    written.append(baseline(8, segment=1))
    written.append(confirmed(9, "keep", (-0.02, -0.02), segment=1))
    assert [one.id for one in audit.standing(written)] == ["night-0009"]


def test_a_keep_is_measured_against_its_parent_one_size_class_up(tmp_path: Path) -> None:
    written, bench = journal(tmp_path, 3), ScriptedBench(score)
    (kept,) = audit.standing(written)
    found = audit.transfer(kept, lab(written, bench), REPO, 3)
    assert {job.profile.size for job in bench.jobs} == {"small"}
    assert {tree_key(job.tree) for job in bench.jobs} == {tree_key(REPO.trainer(one)) for one in (BASE, sha(3))}
    assert found.id == "night-0003"
    assert found.evidence is not None
    assert found.evidence.mean == pytest.approx(-0.03, abs=0.001)


def test_a_tree_that_is_one_s_change_and_the_next_one_s_parent_is_measured_once(tmp_path: Path) -> None:
    written, bench = journal(tmp_path, 3, 5), ScriptedBench(score)
    laboratory = lab(written, bench)
    for kept in audit.standing(written):
        audit.transfer(kept, laboratory, REPO, 3)
    assert len(bench.jobs) == 3 * 3


@pytest.mark.parametrize(("broken", "reason"), [(sha(3), "exit_code"), (BASE, "parent_fails")])
def test_what_does_not_run_there_is_journalled_with_its_reason(tmp_path: Path, broken: str, reason: str) -> None:
    written = journal(tmp_path, 3)
    bench = ScriptedBench(lambda job: -1.0 if job.tree["trainer/a.py"] == broken.encode() else score(job))
    (kept,) = audit.standing(written)
    written.append(audit.transfer(kept, lab(written, bench), REPO, 2))
    found = open_journal(written.path).transferred["night-0003"]
    assert (found.evidence, found.reason) == (None, reason)
    said = audit.transferred_in_words(kept, found)
    assert said.startswith(f"night-0003 idea 3: fails there: {reason}: ")
    assert "as scripted" in said
    assert audit.transferred_as_json(kept, found)["verdict"] == "fails"


@pytest.mark.parametrize(
    ("differences", "words"),
    [
        ((-0.010, -0.011, -0.012), "holds"),
        ((0.010, 0.011, 0.012), "does not hold"),
        ((-0.010, 0.001, -0.012), "not resolved"),
        ((0.010, -0.001, 0.012), "not resolved"),
        ((0.0, 0.0, 0.0), "changes nothing"),
    ],
)
def test_a_transfer_is_judged_by_its_interval(differences: tuple[float, ...], words: str) -> None:
    found = estimate(*differences)
    assert audit.verdict(found) == words
    kept = confirmed(3, "keep", (-0.02, -0.02))
    told = audit.transferred_in_words(kept, Transferred(timestamp=1, id=kept.id, evidence=found))
    assert told.startswith(f"night-0003 idea 3: {words} at small: ")


def test_an_audit_in_words_and_as_json() -> None:
    found = Audited(timestamp=1, first=BASE, last=sha(3), evidence=estimate(-0.018, -0.020, profile="audit"))
    assert audit.audited_in_words(found) == (
        "audited on 2 fresh seeds and the sealed split: −19.0 thousandths of a bit per byte"
        " (95 % interval −31.7 to −6.3), first champion bbbbbbb 2.3000 → last 3000000 2.2810"
    )
    told = audit.audited_as_json(found)
    assert told["mean"] == pytest.approx(-0.019)
    assert told["candidate_bpb"] == pytest.approx(2.281)


def test_numbers_of_short_profiles_say_so() -> None:
    short = Audited(timestamp=1, first=BASE, last=sha(3), evidence=estimate(-0.018, -0.020, profile="short-audit"))
    assert "short-audit" in audit.audited_in_words(short)


def measured(repo: Path, profile: str) -> int:
    return sum(record.profile == profile for record in journal_of(repo).measured.values())


@pytest.mark.long
def test_a_night_is_audited_once_and_each_keep_is_transferred_once(small_data: Dataset, tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "person", small_data.root, IDEAS)
    run_night(repo, "--max-experiments", "1")
    for command, words in (("audit", "nothing to audit"), ("transfer", "nothing to transfer")):
        refused = nightshift(repo, command, check=False)
        assert refused.returncode != 0
        (line,) = refused.stderr.strip().splitlines()
        assert words in line
    run_night(repo, "--max-experiments", "2")
    kept = journal_of(repo).champion

    first = json.loads(nightshift(repo, "audit", "--seeds", "3", "--json").stdout)
    assert (first["last"], first["profile"], len(first["pairs"])) == (kept, "short-audit", 3)
    assert first["high"] < 0
    assert "short profiles" in first["note"]
    again = nightshift(repo, "audit", "--seeds", "4").stdout
    assert "audited on 3 fresh seeds and the sealed split" in again
    assert "nothing was measured now" in again
    assert json.loads(nightshift(repo, "audit", "--json").stdout) == first
    assert measured(repo, "short-audit") == 2 * 3

    said = nightshift(repo, "transfer", "--seeds", "3").stdout
    assert "n-0003 Better quality: holds at small (short-transfer): −" in said
    (told,) = json.loads(nightshift(repo, "transfer", "--seeds", "4", "--json").stdout)["keeps"]
    assert (told["id"], told["verdict"], len(told["pairs"])) == ("n-0003", "holds", 3)
    assert measured(repo, "short-transfer") == 2 * 3


@pytest.mark.long
def test_an_audit_that_is_interrupted_goes_on_and_one_elsewhere_is_refused(small_data: Dataset, tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "person", small_data.root, IDEAS)
    run_night(repo, "--max-experiments", "2")
    assert verdicts(repo)[-1] == ("Better quality", "keep", "improved")
    words = [sys.executable, "-m", "agent.cli", "audit", "--seeds", "6"]
    running = subprocess.Popen(words, cwd=repo, env=environment(), stderr=subprocess.PIPE, text=True)
    path = repo / ".git" / "nightshift" / "n" / "autoresearch.jsonl"
    while '"short-audit"' not in path.read_text():
        assert running.poll() is None, running.communicate()
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=20)
    assert running.returncode == 1
    assert said.strip().splitlines()[-1].startswith("nightshift: stopped; all that was measured is journalled")
    assert journal_of(repo).audited is None

    before = path.read_text()
    opened = journal_of(repo).header
    assert opened is not None
    path.write_text(before.replace(f'"data":"{opened.data}"', '"data":"other text"'))
    refused = nightshift(repo, "audit", check=False)
    assert refused.returncode != 0
    assert "measured on other data" in refused.stderr
    path.write_text(before)

    nightshift(repo, "audit", "--seeds", "6")
    assert path.read_text().count('"profile":"short-audit","seed"') == measured(repo, "short-audit") == 2 * 6
