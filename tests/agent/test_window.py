"""Several experiments under way: what is decided is what one at a time decides, in the same order, and sooner.

Real git, journal and files and the whole night's loop, in a world whose clock jumps (tests/fakes/world.py).
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.git import here
from agent.journal import Journal
from agent.records import Experiment, Regained
from agent.researchers import Search
from bench.data import Dataset
from bench.errors import Interrupted, MachineError
from bench.job import Job
from tests.chaos.intact import facts
from tests.fakes import fake_tree
from tests.fakes.house import score, value
from tests.fakes.stack import RUN_S, Stack, build_stack, ideas
from tests.fakes.world import EPOCH_MS, World

Build = Callable[..., Stack]
BETTER, WORSE, WITHOUT = ("QUALITY", 0.9), ("QUALITY", 0.2), ("NUDGE", 0.5)
MANY = 48
COMMUTING = ideas(*([("NUDGE", round(0.1 + number / 1000, 3))] for number in range(MANY)))
"""Each is dropped, whatever the champion."""


@pytest.fixture
def stack(small_data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    def build(queue: str, capacity: int = 2, **how: Callable[[Job], float]) -> Stack:
        folder = tmp_path / f"person-{len(list(tmp_path.iterdir()))}"
        return build_stack(World().rule(monkeypatch), folder, small_data.root, queue, capacity, **how)

    return build


def verdicts(journal: Journal) -> list[tuple[str, str, str, str]]:
    return [(one.id, one.description, one.status, one.reason) for one in journal.experiments[1:]]


def uneven(job: Job) -> float:
    """A score by which one idea in four goes on to confirm, and is not resolved there."""
    nudge = value(job, "NUDGE")
    promising = round(nudge * 1000) % 4 == 0 and nudge > 0
    if not promising:
        return score(job)
    return 2.5 + (-0.008 if "breadth" in job.profile.name else 0.003 * (-1) ** (job.seed % 2)) + job.seed % 7 / 1e4


def hourly(stack: Stack, most: int) -> tuple[float, Journal]:
    """Experiments decided an hour, the baseline's time left out."""
    journal = stack.night(most)
    began = journal.experiments[0].timestamp
    return most / ((journal.experiments[-1].timestamp - began) / 3.6e6), journal


def test_slots_decide_in_proportion_and_the_same_as_one(stack: Build) -> None:
    one, serial = hourly(stack(COMMUTING, 1, bpb=uneven), MANY)
    assert sum(bool(found.confirm) for found in serial.experiments) > MANY / 5, "they differ in length"
    for slots, least in ((2, 1.9), (4, 3.7), (8, 7.2)):
        found, journal = hourly(stack(COMMUTING, slots, bpb=uneven), MANY)
        assert verdicts(journal) == verdicts(serial)
        assert found / one >= least, f"{slots} slots: {found / one:.2f} times"


def test_what_is_slow_holds_up_the_order_and_nothing_else(stack: Build) -> None:
    queue = ideas([("NUDGE", 0.1)], [("NUDGE", 0.2)], [("NUDGE", 0.3)])
    there = stack(queue, seconds=lambda job: RUN_S * (10 if value(job, "NUDGE") == 0.1 else 1))
    journal = there.night()
    assert there.told == ["night-0002", "night-0003", "night-0004"]
    assert [one.run for one in journal.experiments] == [1, 2, 3, 4]
    slow = max(begins for begins, job in there.bench.jobs if value(job, "NUDGE") == 0.1)
    assert all(begins < slow for begins, job in there.bench.jobs if value(job, "NUDGE") != 0.1)


def test_what_passed_is_confirmed_on_the_champion_that_came_meanwhile(stack: Build) -> None:
    journal = stack(ideas([("QUALITY", 0.7)], [("NUDGE", 0.5)], [BETTER])).night()
    base, first, dropped, second = journal.experiments
    assert [first.status, dropped.status, second.status] == ["keep", "discard", "keep"]
    assert dropped.parent == base.sha, "what did not pass stands against the champion it was begun on"
    assert second.parent == first.sha
    assert first.confirm
    assert second.confirm
    assert second.confirm.champion_bpb < first.confirm.champion_bpb - 0.1, "the champion of its pairs is the new one"
    assert journal.champion == second.sha


def test_after_a_keep_others_go_on_while_its_gain_and_what_hinges_on_it_are_measured(stack: Build) -> None:
    queue = ideas([("QUALITY", 0.7)], [("NUDGE", 0.1)], [BETTER], [("NUDGE", 0.3)])
    there = stack(queue, 4, seconds=lambda job: RUN_S * (20 if value(job, "NUDGE") == 0.1 else 1))
    journal = there.night()
    _, first, slow, second, last = journal.experiments
    assert [first.status, slow.status, second.status, last.status] == ["keep", "discard", "keep", "discard"]
    settled = (slow.timestamp - EPOCH_MS) / 1000
    gains = [begins for begins, job in there.bench.jobs if f"{first.id} regained" in job.label]
    again = [begins for begins, job in there.bench.jobs if job.parent == first.tree]
    assert gains
    assert again
    assert max(*gains, *again) < settled, "what was slow held up neither"
    told = [one.id for one in journal.records if isinstance(one, Experiment | Regained)]
    assert told[-3:] == [last.id, first.id, second.id], "gains, once all that was begun before is settled"


def test_what_passed_and_is_worse_than_the_champion_that_came_meanwhile_is_not_kept(stack: Build) -> None:
    journal = stack(ideas([BETTER], [("QUALITY", 0.7)])).night()
    _, first, second = journal.experiments
    assert (first.status, second.status, second.parent) == ("keep", "discard", first.sha)


def test_what_passed_and_no_longer_fits_is_refused_by_name(stack: Build) -> None:
    line = next(one for one in fake_tree()["trainer/settings.py"].decode().splitlines() if one.startswith("QUALITY"))
    diff = f"--- a/trainer/settings.py\n+++ b/trainer/settings.py\n@@ -1,1 +1,1 @@\n-{line}\n+QUALITY = 0.95\n"
    there = stack(f"{ideas([BETTER])}\n## A diff\n\n```diff\n{diff}```\n")
    _, first, second = there.night().experiments
    assert (first.status, second.status, second.reason) == ("keep", "checks_failed", "no_match")
    assert any(value(job, "QUALITY") == 0.95 for _, job in there.bench.jobs), "it was measured while it fitted"


@pytest.mark.parametrize(("knob", "reason"), [(BETTER, "no_change"), (WORSE, "already_tried")])
def test_the_same_code_under_way_twice_is_measured_once_and_refused_as_one_after_the_other(
    stack: Build, knob: tuple[str, float], reason: str
) -> None:
    there = stack(ideas([knob], [knob]))
    _, first, second = there.night().experiments
    assert (second.reason, second.runs) == (reason, ())
    wanted = [(job.tree["trainer/settings.py"], job.profile.name, job.seed) for _, job in there.bench.jobs]
    assert len(wanted) == len(set(wanted))
    assert first.runs


def test_no_more_begin_than_were_asked_for_or_than_there_is_time_for(stack: Build) -> None:
    there = stack(COMMUTING, 4)
    assert len(there.night(5).experiments) == 1 + 5
    assert not there.night(5).begun
    late = stack(COMMUTING, 4)
    journal = late.night(hours=0.1)
    assert late.said[-1] == "its time is up"
    assert max(begins for begins, _ in late.bench.jobs) < 0.1 * 3600 + 10 * RUN_S
    assert not journal.begun, "those under way are settled"


def test_the_search_does_not_propose_what_is_under_way(stack: Build) -> None:
    journal = stack("", 4).night(24, 24.0, Search("tiny", 7))
    knobs = [tuple(one.knobs.items()) for one in journal.experiments[1:]]
    assert len(knobs) == 24
    assert len(set(knobs)) == 24


def test_what_one_dies_of_ends_the_night_and_nothing_that_was_decided_is_lost(stack: Build) -> None:
    def breaks(job: Job) -> float:
        if value(job, "NUDGE") == 0.3:
            raise MachineError("the machine is bent")
        return score(job)

    there = stack(ideas(*([("NUDGE", number / 10)] for number in range(1, 6))), bpb=breaks)
    with pytest.raises(MachineError, match="the machine is bent"):
        there.night()
    assert there.told == ["night-0002", "night-0003"]
    there.bench.bpb = score
    journal = there.night()
    assert [one.knobs["NUDGE"] for one in journal.experiments[1:]] == ["0.1", "0.2", "0.3", "0.4", "0.5"]
    wanted = [(job.tree["trainer/settings.py"], job.profile.name, job.seed) for _, job in there.bench.jobs]
    assert len(set(wanted)) == len(journal.measured), "all that was measured is journalled"


MIXED = ideas(
    [("QUALITY", 0.7)],
    [WORSE],
    [BETTER],
    [("NUDGE", -1)],
    [("QALITY", 1)],
    [WITHOUT],
    [("QUALITY", 0.70)],
    [("NUDGE", 0.2)],
)
"""Two keeps, the second under way when the first is kept; drops, a crash, a refusal."""


def crashing(job: Job) -> float:
    return -1.0 if b"NUDGE = -1" in job.tree["trainer/settings.py"] else score(job)


@pytest.mark.parametrize("every", [7, pytest.param(1, marks=pytest.mark.long)])
def test_wherever_it_is_cut_the_night_goes_on_to_what_it_would_have_been(stack: Build, every: int) -> None:
    there = stack(MIXED, bpb=crashing)
    whole = facts(there.night())
    lines = there.path.read_bytes().splitlines(keepends=True)
    assert sum(b'"status":"keep"' in line for line in lines) == 3
    first = next(number for number, line in enumerate(lines, 1) if b'"source":"baseline"' in line)
    for kept in range(first, len(lines), every):
        folder = Path(shutil.copytree(there.repo.root, there.repo.root.with_name(f"cut-{kept}"), symlinks=True))
        again = Stack(there.world, here(folder), there.bench)
        again.path.write_bytes(b"".join(lines[:kept]))
        assert facts(again.night()) == whole, f"cut after line {kept}"


def test_a_night_that_is_stopped_goes_on_with_what_was_under_way(stack: Build) -> None:
    whole = facts(stack(MIXED, bpb=crashing).night())
    there = stack(MIXED, bpb=crashing)
    left = [12]

    def stops(job: Job) -> float:
        left[0] -= 1
        if left[0] < 0:
            raise Interrupted("stopped")
        return crashing(job)

    there.bench.bpb = stops
    with pytest.raises(Interrupted):
        there.night()
    there.bench.bpb = crashing
    assert facts(there.night()) == whole
