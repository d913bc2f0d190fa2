"""Drafts ahead of the bench: that it is never idle for the model, and what happens when the world moves meanwhile.

Real git, journal and files, the whole night's loop, in a world whose clock jumps (tests/fakes/world.py).
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from agent.attempt import Champion
from agent.author import Author
from agent.calls import Authored, Drafted
from agent.claude import Answer, Question
from agent.journal import open_journal
from agent.proposal import Proposal, decode, encode
from agent.records import Experiment
from agent.researchers import Search
from bench.data import Dataset
from bench.errors import Closed, Outage
from bench.job import Job
from tests.agent.builders import BASE, experiment, header, journal
from tests.fakes.claude import calls, said
from tests.fakes.house import HOUR, House, build_house, nudge, score, value
from tests.fakes.world import World

Answers = Callable[[Question, int], Answer]
Build = Callable[..., House]


@pytest.fixture
def house(small_data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    def build(answers: Answers, bpb: Callable[[Job], float] = score, ideas: str = "") -> House:
        return build_house(World().rule(monkeypatch), tmp_path / "person", small_data.root, answers, bpb, ideas)

    return build


def nudges(question: Question, number: int) -> Answer:
    return nudge(number)


def titles(tried: list[Experiment]) -> list[str]:
    return [one.description for one in tried]


@pytest.mark.parametrize("hours", [0.5, pytest.param(2, marks=pytest.mark.long)])
def test_with_a_minute_a_draft_and_a_minute_a_run_the_bench_is_busy_all_night(house: Build, hours: float) -> None:
    ahead = house(nudges)
    tried = ahead.night(ahead.author(hours), hours)
    assert len(tried) > 50 * hours
    assert {(one.source, one.status) for one in tried} == {("claude", "discard")}
    assert ahead.bench.share(hours * HOUR) >= 0.97


def test_a_serial_loop_would_leave_it_idle_half_the_night(house: Build) -> None:
    serial = house(nudges)
    serial.night(serial.author(0.5, serial=True), 0.5)
    assert 0.45 <= serial.bench.share(0.5 * HOUR) <= 0.6


def test_while_claude_is_out_the_search_goes_on_and_claude_comes_back_by_itself(house: Build) -> None:
    def out_for_half_an_hour(question: Question, number: int) -> Answer:
        if 600 < there.world.now < 2400:
            raise Outage("529: overloaded")
        return nudge(number)

    there = house(out_for_half_an_hour)
    tried = there.night(there.author(1, filler=Search("tiny", 7)), 1)
    sources = [one.source for one in tried]
    assert sources.count("search") >= 10
    assert "claude" in sources[sources.index("search") + 10 :], "it never came back"
    assert there.bench.share(HOUR) >= 0.97
    assert any("529: overloaded; Claude is asked again in 60 s" in line for line in there.said)
    asked = len(there.model.asked) - sources.count("claude")
    assert asked <= 8, "an outage is not hammered at"


def test_without_anybody_to_fill_in_an_outage_is_waited_out(house: Build) -> None:
    def out_at_first(question: Question, number: int) -> Answer:
        if number < 2:
            raise Outage("unreachable")
        return nudge(number)

    there = house(out_at_first)
    tried = there.night(there.author(1, most=2), 1, 2)
    assert titles(tried) == ["nudge 2", "nudge 3"]
    assert [one.authored.draft for one in tried if one.authored] == ["d0001", "d0002"], "the draft goes on"


def test_when_the_money_is_spent_it_is_said_once_and_the_night_goes_on(house: Build) -> None:
    def three(question: Question, number: int) -> Answer:
        if number >= 3:
            raise Closed("$0.01 of $1.00 is left")
        return nudge(number)

    there = house(three)
    tried = there.night(there.author(0.3, filler=Search("tiny", 7)), 0.3)
    assert len(there.model.asked) == 4
    assert sum("not asked any more" in line for line in there.said) == 1
    assert [one.source for one in tried].count("claude") == 3
    assert tried[-1].source == "search"


def test_no_more_is_drafted_than_can_be_tried(house: Build) -> None:
    there = house(nudges)
    assert len(there.night(there.author(9, most=5), 9, 5)) == 5
    assert len(there.model.asked) == 5


def test_what_is_ready_when_the_champion_moves_is_made_in_the_new_one(house: Build) -> None:
    replaced = [{"path": "trainer/settings.py", "old": "NUDGE = 0.0 ", "new": "NUDGE = 0.3 "}]

    def better_then_an_edit(question: Question, number: int) -> Answer:
        return nudge(0, knobs={"QUALITY": 0.9}) if number == 0 else nudge(number, knobs={}, edits=replaced)

    there = house(better_then_an_edit)
    kept, moved = there.night(there.author(9, most=2), 9, 2)
    assert (kept.status, moved.parent) == ("keep", kept.sha)
    tree = there.repo.trainer(moved.sha)
    assert b"QUALITY = 0.9" in tree["trainer/settings.py"]
    assert b"NUDGE = 0.3" in tree["trainer/settings.py"]
    assert len(there.model.asked) == 2


def test_what_no_longer_fits_goes_back_with_the_conflict(house: Build) -> None:
    gone = [{"path": "trainer/settings.py", "old": "QUALITY = 0.5", "new": "QUALITY = 0.6"}]

    def conflict(question: Question, number: int) -> Answer:
        if "cannot be measured" in said(question):
            return nudge(9)
        return nudge(0, knobs={"QUALITY": 0.9}) if number == 0 else nudge(number, knobs={}, edits=gone)

    there = house(conflict)
    kept, mended = there.night(there.author(9, most=2), 9, 2)
    assert (kept.status, mended.parent, mended.description) == ("keep", kept.sha, "nudge 9")
    (told,) = [question for question in there.model.asked if "cannot be measured" in said(question)]
    assert "no_match" in said(told)
    assert "QUALITY = 0.9" in str(told.system[1]["text"]), "it is shown the new champion"
    assert mended.authored
    assert mended.authored.repairs == 1


def crashes(below: float, profile: str) -> Callable[[Job], float]:
    def found(job: Job) -> float:
        broken = 0 < value(job, "NUDGE") < below and job.profile.name.endswith(profile)
        return -1.0 if broken else score(job)

    return found


def test_what_crashes_at_smoke_is_mended_before_its_turn_and_is_one_experiment(house: Build) -> None:
    def mends(question: Question, number: int) -> Answer:
        return nudge(1, knobs={"NUDGE": 0.5}) if "cannot be measured" in said(question) else nudge(0)

    there = house(mends, crashes(0.1, "smoke"))
    (tried,) = there.night(there.author(9, most=1), 9, 1)
    assert (tried.status, tried.knobs) == ("discard", {"NUDGE": "0.5"})
    told = said(there.model.asked[1])
    assert "exit_code" in told
    assert "ValueError: bent" in told, "the end of the traceback"


def test_a_crash_after_smoke_goes_back_and_what_comes_of_it_is_another_experiment(house: Build) -> None:
    def mends(question: Question, number: int) -> Answer:
        return nudge(1, knobs={"NUDGE": 0.5}) if "cannot be measured" in said(question) else nudge(number + 10)

    there = house(mends, crashes(0.1, "breadth"))
    tried = there.night(there.author(9, most=4), 9, 4)
    first = next(one for one in tried if one.knobs == {"NUDGE": "0.5"})
    assert (tried[0].status, first.status) == ("crash", "discard")
    assert first.authored
    assert tried[0].authored
    assert (first.authored.draft, first.authored.repairs) == (tried[0].authored.draft, 1)


def test_what_cannot_be_mended_in_two_tries_is_journalled_as_it_failed(house: Build) -> None:
    there = house(lambda question, number: nudge(number), crashes(0.1, "smoke"))
    (tried,) = there.night(there.author(9, most=1), 9, 1)
    assert (tried.status, tried.reason) == ("crash", "exit_code")
    assert len(there.model.asked) == 3
    assert tried.authored
    assert tried.authored.repairs == 2


def test_two_drafts_are_never_the_same_code(house: Build) -> None:
    def twice(question: Question, number: int) -> Answer:
        return nudge(number, knobs={"NUDGE": 0.2}) if number < 2 else nudge(number)

    there = house(twice)
    first, second = there.night(there.author(9, most=2), 9, 2)
    assert first.tree != second.tree
    assert "already_tried" in said(there.model.asked[2])


def test_a_third_proposal_in_a_row_closes_its_lane(house: Build) -> None:
    def same_lane(question: Question, number: int) -> Answer:
        lane = "export" if "lane_closed" in said(question) else "training"
        return nudge(number, lane=lane)

    there = house(same_lane)
    tried = there.night(there.author(9, most=4), 9, 4)
    assert [one.lane for one in tried] == ["training", "training", "training", "export"]


IDEAS = "\n".join(f"## NUDGE {number}\n\n```knobs\nNUDGE = 0.{number}\n```\n" for number in range(1, 6))


def test_while_the_queue_has_enough_nothing_is_drafted_and_then_in_time(house: Build) -> None:
    decided: list[int] = []

    def counting(question: Question, number: int) -> Answer:
        decided.append(len(there.journal.experiments))
        return nudge(number)

    there = house(counting, ideas=IDEAS)
    tried = there.night(there.author(9, most=9), 9, 9)
    assert [one.source for one in tried] == ["queue"] * 5 + ["claude"] * 4
    assert decided[0] >= 1 + 3, "the baseline and three of the five ideas"
    assert there.bench.share(there.bench.free) >= 0.97


def test_an_idea_in_words_comes_before_inventions_and_is_decided_once(house: Build) -> None:
    words = "## In my own words\n\nMake it nudge.\n\nlane: mine\n"
    there = house(nudges, ideas=words)
    first, second = there.night(there.author(9, most=2), 9, 2)
    assert (first.idea, first.lane, first.source) == ("in-my-own-words", "mine", "claude")
    assert "Make it nudge." in said(there.model.asked[0])
    assert second.idea is None


def test_an_idea_that_nothing_comes_of_is_decided_too(house: Build) -> None:
    def refuses_it(question: Question, number: int) -> Answer:
        if "Make it nudge." in str(question.messages[0]["content"]):
            return calls(reason="refusal")
        return nudge(number)

    there = house(refuses_it, ideas="## In my own words\n\nMake it nudge.\n")
    first, second = there.night(there.author(9, most=2), 9, 2)
    assert (first.idea, first.status, first.reason) == ("in-my-own-words", "checks_failed", "no_proposal")
    assert (first.sha, second.idea) == ("", None)


def test_an_idea_is_not_written_again_by_a_thread_that_ends_as_it_is_decided(
    house: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses_it(question: Question, number: int) -> Answer:
        if "Make it nudge." in str(question.messages[0]["content"]):
            return calls(reason="refusal")
        return nudge(number)

    look_after = Author._look_after_threads

    def late(author: Author) -> None:
        """The night's own thread has no turn for a while."""
        if 1 < len(there.journal.experiments) < 6:
            there.world.sleep(200.0)
        look_after(author)

    there = house(refuses_it, ideas="## In my own words\n\nMake it nudge.\n")
    monkeypatch.setattr(Author, "_look_after_threads", late)
    there.night(there.author(2, most=8), 2, 8)
    assert sum("(idea)" in line for line in there.said) == 1


def test_what_was_drafted_and_not_tried_comes_first_when_the_night_goes_on(house: Build) -> None:
    there = house(nudges)
    tried = there.night(there.author(0.1), 0.1)
    opened = open_journal(there.journal.path)
    waiting = [one.draft for one in opened.untried]
    assert len(waiting) >= 1
    assert not {*waiting} & {one.authored.draft for one in tried if one.authored}
    again = there.author(1)
    again.take_up(opened)
    sha = there.repo.commit_of("HEAD")
    offers = [again.next(Champion(sha, there.repo.trainer(sha)), opened) for _ in waiting]
    assert [one.authored.draft for one in offers if one and one.authored] == waiting


def test_a_draft_that_was_tried_does_not_come_again_but_for_what_was_mended_of_it_since() -> None:
    tried = experiment(2, "crash", source="claude", authored=Authored(draft="d0001", arm="paper"))
    one, other = (
        Drafted(timestamp=1, draft=name, champion=BASE, proposal=encode(Proposal(name, "why", "claude", "training")))
        for name in ("d0001", "d0002")
    )
    assert journal(one, other, tried).untried == [other]
    assert journal(one, other, tried, one).untried == [other, one]
    assert journal(one, other, header()).untried == []
    assert decode(one.proposal) == Proposal("d0001", "why", "claude", "training")
