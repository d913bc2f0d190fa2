"""What Claude is asked for next: what may be asked for at all, and that a strategy that fails is asked for less."""

from collections import Counter
from collections.abc import Collection, Sequence
from random import Random

import pytest

from agent.arms import (
    KEEPS,
    MOST_IN_A_ROW,
    NEAR_MISSES,
    Strategy,
    Task,
    closed_lanes,
    draw,
    for_idea,
    hit_rates,
    near_misses,
    next_task,
)
from agent.calls import Authored
from agent.ideas import Idea
from agent.journal import encode
from agent.leads import Lead, State
from agent.note import Front, Note
from agent.past import Past, read_past
from agent.records import Experiment, Regained, Reverted
from tests.agent.builders import confirmed, dropped, evidence, experiment, header

ALL: tuple[Strategy, ...] = ("combine", "exploit", "paper", "remove")
DICE = 400


def past(*records: Experiment | Regained | Reverted) -> list[Past]:
    return read_past(encode(record) for record in (header(), *records))


def near(run: int, *differences: float, lane: str = "training") -> Experiment:
    """Dropped at breadth with these differences."""
    return dropped(run, breadth=evidence("short-breadth", *differences), lane=lane)


def kept(run: int, lane: str = "training") -> Experiment:
    return confirmed(run, "keep", [-0.02, -0.018], lane=lane)


def tries(arm: str, failed: int, hits: int = 0) -> list[Past]:
    """What became of one strategy's proposals."""
    by = Authored(draft="d0001", arm=arm)
    lost = [experiment(run, "crash", reason="diverged", authored=by) for run in range(2, 2 + failed)]
    won = [confirmed(run, "keep", [-0.02, -0.02], authored=by) for run in range(1000, 1000 + hits)]
    return past(*lost, *won)


def lead(name: str, state: State = "words", lane: str = "papers") -> Lead:
    note = Note(name, Front(title=f"On {name}", url=f"https://example.org/{name}", lane=lane), {})
    return Lead(note, state, "", chance=0.1, gain=0.01, cost=1.0)


def asked(
    experiments: Sequence[Past], leads: Sequence[Lead] = (), closed: Collection[str] = (), dice: int = DICE
) -> dict[str, Task]:
    """Every task that some dice ask for, by its strategy."""
    tasks = [next_task(experiments, leads, closed, Random(seed)) for seed in range(dice)]
    return {task.arm: task for task in tasks}


def drawn(experiments: Sequence[Past], dice: int = DICE) -> Counter[Strategy]:
    return Counter(draw(experiments, ALL, Random(seed)) for seed in range(dice))


def ids(experiments: Sequence[Past]) -> list[str]:
    return [one.id for one in experiments]


def test_near_misses_are_those_that_came_to_confirm_and_then_those_that_foretold_most() -> None:
    found = near_misses(
        past(
            near(2, -0.005, -0.005),
            confirmed(3, "discard", [-0.001, -0.002]),
            near(4, -0.02, -0.02),
            confirmed(5, "discard", [-0.003, -0.003]),
        ),
        10,
    )
    assert ids(found) == ["night-0005", "night-0003", "night-0004", "night-0002"]


def test_what_was_kept_or_measured_no_better_or_not_at_all_is_no_near_miss() -> None:
    none = past(
        kept(2), near(3, 0.01, 0.01), near(4, 0.0, 0.0), experiment(5, "crash"), confirmed(6, "discard", [0.001, 0.001])
    )
    assert near_misses(none, 10) == []


def test_of_many_near_misses_the_nearest_are_told() -> None:
    many = past(*(near(run, -run / 1000) for run in range(2, 30)))
    assert ids(near_misses(many, 3)) == ["night-0029", "night-0028", "night-0027"]


def test_a_lane_has_had_its_turns_when_the_last_of_them_were_all_its_own() -> None:
    row = ["export"] * MOST_IN_A_ROW
    assert closed_lanes(row) == {"export"}
    assert closed_lanes(["training", *row]) == {"export"}
    assert closed_lanes([*row, *row]) == {"export"}


@pytest.mark.parametrize(
    "lanes",
    [
        [],
        ["export"] * (MOST_IN_A_ROW - 1),
        ["export"] * MOST_IN_A_ROW + ["training"],
        ["export", "training"] * MOST_IN_A_ROW,
        ["export"] * (MOST_IN_A_ROW - 1) + ["training", "export"],
    ],
)
def test_another_lane_in_between_opens_it_again(lanes: list[str]) -> None:
    assert closed_lanes(lanes) == frozenset()


def test_with_no_tries_every_strategy_is_drawn_alike() -> None:
    counts = drawn([])
    assert set(counts) == set(ALL)
    assert min(counts.values()) > DICE / len(ALL) / 2


def test_a_strategy_that_keeps_failing_is_drawn_clearly_less_and_never_ruled_out() -> None:
    counts = drawn(tries("paper", failed=40), dice=5 * DICE)
    others = [counts[name] for name in ALL if name != "paper"]
    assert 0 < counts["paper"] < min(others) / 2


def test_the_more_it_fails_the_less_it_is_drawn() -> None:
    counts = [drawn(tries("remove", failed), dice=5 * DICE)["remove"] for failed in (0, 10, 40, 160)]
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] < counts[0] / 8


def test_a_strategy_that_hits_is_drawn_most() -> None:
    counts = drawn(tries("exploit", failed=5, hits=5))
    assert counts["exploit"] > DICE * 3 / 4


def test_a_keep_that_was_taken_out_again_is_no_hit() -> None:
    by = Authored(draft="d0001", arm="exploit")
    keeps = [confirmed(run, "keep", [-0.02, -0.02], authored=by) for run in range(2, 12)]
    out = [Reverted(timestamp=1, id=one.id, parent="c" * 40, sha="d" * 40) for one in keeps]
    assert drawn(past(*keeps))["exploit"] > DICE * 3 / 4
    assert drawn(past(*keeps, *out))["exploit"] < DICE / 4


def test_a_strategy_that_cannot_be_followed_is_not_drawn_however_well_it_did() -> None:
    assert {draw(tries("exploit", 0, hits=20), ["paper", "remove"], Random(seed)) for seed in range(50)} == {
        "paper",
        "remove",
    }


def test_tries_of_another_strategy_or_of_nobody_say_nothing_of_one() -> None:
    nobodys = past(*(dropped(run) for run in range(2, 200)))
    assert drawn(nobodys) == drawn([]) == drawn(tries("idea", failed=100))


def test_with_nothing_to_go_by_there_is_always_something_to_take_away() -> None:
    assert asked([]) == {"remove": Task("remove", "less code")}


def test_all_that_can_be_followed_is_asked_for_by_some_dice() -> None:
    found = asked(past(kept(2), near(3, -0.01), near(4, -0.02)), [lead("a")])
    assert set(found) == set(ALL)


def test_without_a_keep_nothing_is_taken_further() -> None:
    assert set(asked(past(near(3, -0.01), near(4, -0.02)), [lead("a")])) == {"combine", "paper", "remove"}


def test_one_near_miss_alone_is_not_combined() -> None:
    assert set(asked(past(kept(2), near(3, -0.01)), [lead("a")])) == {"exploit", "paper", "remove"}


@pytest.mark.parametrize("state", ["conflicts", "tried", "contained"])
def test_a_paper_that_is_not_open_is_not_asked_for(state: State) -> None:
    assert set(asked([], [lead("a", state)])) == {"remove"}


@pytest.mark.parametrize("state", ["ready", "words", "partly"])
def test_the_best_open_paper_is_asked_for_with_its_note(state: State) -> None:
    best = lead("b", state)
    found = asked([], [lead("a", "tried"), best, lead("c", "ready")])
    assert found["paper"] == Task("paper", "On b", notes=(best.note,))


def test_the_latest_keeps_are_taken_further() -> None:
    found = asked(past(*(kept(run) for run in range(2, 20)), near(20, -0.5)))["exploit"]
    assert ids(found.experiments) == [f"night-{run:04d}" for run in range(20 - KEEPS, 20)]
    assert found.title == "further than idea 19"


def test_the_nearest_misses_are_combined() -> None:
    found = asked(past(*(near(run, -run / 1000) for run in range(2, 20)), kept(20)))["combine"]
    assert ids(found.experiments) == [f"night-{run:04d}" for run in range(19, 19 - NEAR_MISSES, -1)]


def test_what_lies_in_a_lane_that_has_had_its_turns_is_left_out() -> None:
    keeps = [kept(2, lane="export"), kept(3)]
    misses = [near(4, -0.01, lane="export"), near(5, -0.02), near(6, -0.03)]
    open_to_all = asked(past(*keeps, *misses), [lead("a", lane="export"), lead("b")], closed={"export"})
    assert ids(open_to_all["exploit"].experiments) == ["night-0003"]
    assert ids(open_to_all["combine"].experiments) == ["night-0006", "night-0005"]
    assert open_to_all["paper"].title == "On b"


def test_when_all_that_is_known_lies_in_such_a_lane_code_is_taken_away() -> None:
    here = past(kept(2, lane="export"), near(3, -0.01, lane="export"), near(4, -0.02, lane="export"))
    assert set(asked(here, [lead("a", lane="export")], closed={"export"})) == {"remove"}
    assert set(asked(here, [lead("a", lane="export")])) == set(ALL)


def test_a_persons_idea_comes_with_the_notes_that_it_names() -> None:
    named = Note("2505.08823-norm", Front(title="Norm", arxiv="2505.08823"), {})
    by_address = lead("muon").note
    notes = [Note("1706.03762-attention", Front(title="Attention", arxiv="1706.03762"), {}), named, by_address]
    idea = Idea("a-norm", "A norm", text="Put it in.", papers=("2505.08823", "https://example.org/muon"))
    assert for_idea(idea, notes) == Task("idea", "A norm", idea=idea, notes=(named, by_address))
    assert for_idea(Idea("words", "Words"), notes).notes == ()


def test_the_same_dice_ask_for_the_same_and_other_dice_for_other_things() -> None:
    history, leads = past(kept(2), near(3, -0.01), near(4, -0.02)), [lead("a")]
    for seed in range(20):
        assert next_task(history, leads, (), Random(seed)) == next_task(list(history), leads, (), Random(seed))
    assert len({next_task(history, leads, (), Random(f"7/d{seed:04d}")).arm for seed in range(50)}) == len(ALL)


def test_hit_rates_are_the_keeps_and_tries_of_each_strategy() -> None:
    history = [*tries("paper", failed=3), *tries("exploit", failed=1, hits=2), *past(dropped(500))]
    assert hit_rates(history) == {"exploit": (2, 3), "paper": (0, 3)}


def test_what_was_taken_out_again_is_no_near_miss() -> None:
    out = Reverted(timestamp=1, id="night-0002", parent="a" * 40, sha="b" * 40)
    assert near_misses(past(kept(2), out), 5) == []
