"""What breadth foretells of confirm, in numbers that do not flatter it, and what another breadth would have done."""

from collections.abc import Sequence

import pytest

from agent import promotion, proxy
from agent.experience import COMMITTED, Change, Experience, read, sample
from agent.noise import Noise
from agent.promotion import Point, Promotion
from agent.proxy import correlate, examine, share
from bench.errors import UsageError
from tests.agent.builders import evidence, experiment

GOOD, BAD = -0.03, 0.003
"""What is common at breadth is small, and most changes make things worse."""
SCORES = (2.0, 2.008, 1.992, 2.004, 1.996, 2.0)


def change(name: str, breadth: Sequence[float], confirm: Sequence[float]) -> Change:
    return Change(name=name, lane="optimizer", breadth=sample(breadth), confirm=sample(confirm))


def near(mean: float) -> list[float]:
    """Four differences about that mean, which pair well."""
    return [mean - 0.0004, mean - 0.0001, mean + 0.0002, mean + 0.0003]


def known(*changes: Change, seconds: dict[str, float] | None = None) -> Experience:
    return Experience(
        machine="a processor",
        data="embedded 0123456789ab",
        profiles="",
        scores={"breadth": SCORES, "confirm": SCORES},
        changes=changes,
        seconds=seconds or {},
    )


BETTER = [change(f"better {n}", near(GOOD - n / 1e3), near((GOOD - n / 1e3) / 2)) for n in range(4)]
WORSE = [change(f"worse {n}", near(BAD + n / 1e3), near((BAD + n / 1e3) / 2)) for n in range(6)]


def judged(experience: Experience, name: str) -> proxy.Judged:
    return next(one for one in examine(experience).changes if one.name == name)


def test_the_correlation_is_that_of_scipy_and_its_interval_comes_back_the_same() -> None:
    from scipy.stats import spearmanr

    changes = read(COMMITTED)[0].changes
    points = [Point(one.breadth.mean, one.confirm.mean) for one in changes if one.breadth and one.confirm]
    found = correlate(points)
    assert found.rho == pytest.approx(spearmanr([p.breadth for p in points], [p.confirm for p in points]).statistic)
    assert found.changes == len(points)
    assert -1 <= found.low < found.rho < found.high <= 1
    assert correlate(points) == found


def test_a_proxy_that_ranks_all_alike_has_a_correlation_of_one_and_one_that_turns_all_round_of_minus_one() -> None:
    assert correlate([Point(n, n**3) for n in range(6)]).rho == pytest.approx(1)
    assert correlate([Point(n, -n) for n in range(6)]).rho == pytest.approx(-1)


def test_few_changes_leave_the_correlation_wide_open() -> None:
    few, many = ([Point(n, n + 3 * (n % 3)) for n in range(size)] for size in (5, 50))
    widths = [found.high - found.low for found in map(correlate, (few, many))]
    assert widths[0] > 4 * widths[1]


def test_a_share_has_the_interval_of_clopper_and_pearson_and_none_where_nothing_is_counted() -> None:
    found = share(2, 3)
    assert (found.share, found.low, found.high) == pytest.approx((2 / 3, 0.0943, 0.9916), abs=1e-4)
    assert (share(0, 0).share, share(0, 0).low, share(0, 0).high) == (None, None, None)


def test_worth_confirm_is_what_lies_two_standard_errors_below_zero_there() -> None:
    found = examine(known(*BETTER, *WORSE))
    assert {one.name for one in found.changes if one.worth} == {one.name for one in BETTER}
    lies = {one.name: one.confirm / one.error for one in found.changes}
    assert all(lies[one.name] < -2 for one in BETTER)


def test_a_difference_that_few_pairs_agree_on_by_accident_is_not_worth_confirm() -> None:
    tiny = change("tiny", near(GOOD), [-1e-5, -1.001e-5])
    assert not judged(known(*BETTER, *WORSE, tiny), "tiny").worth


def test_precision_is_counted_among_the_promoted_and_recall_among_those_worth_confirm() -> None:
    missed = change("missed", near(BAD), near(GOOD))
    fooled = change("fooled", near(GOOD), near(BAD))
    found = examine(known(*BETTER, *WORSE, missed, fooled))
    assert {one.name for one in found.changes if one.promoted} == {*(one.name for one in BETTER), "fooled"}
    assert (found.precision.count, found.precision.of) == (4, 5)
    assert (found.recall.count, found.recall.of) == (4, 5)


def test_the_rule_of_the_gate_decides_by_what_every_other_change_foretold(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[float, Promotion]] = []

    def promising(foretells: Promotion, breadth: float, noise: Noise) -> bool:
        asked.append((breadth, foretells))
        return True

    monkeypatch.setattr(Promotion, "promising", promising)
    changes = (*BETTER, *WORSE)
    assert all(one.promoted for one in examine(known(*changes)).changes)
    for at, one in enumerate(changes):
        assert one.breadth is not None
        shown, foretells = asked[at]
        assert shown == pytest.approx(one.breadth.mean)
        assert foretells == known(*changes[:at], *changes[at + 1 :]).promotion()


def test_what_changes_nothing_at_breadth_is_dropped_there_and_not_ranked() -> None:
    unseen = change("unseen", [0.0] * 4, near(GOOD))
    found = examine(known(*BETTER, *WORSE, unseen))
    assert found.correlation.changes == len(BETTER) + len(WORSE)
    assert (found.recall.count, found.recall.of) == (4, 5)
    assert {one.missed for one in found.screens if one.stage == "breadth"} == {1.0}, "however many pairs are drawn"
    assert {one.changes for one in found.screens} == {11}


def test_what_a_night_measured_at_both_counts_too() -> None:
    spot_checked = experiment(2, breadth=evidence("breadth", BAD), confirm=evidence("confirm", *near(GOOD)))
    found = examine(known(*BETTER, *WORSE).after([spot_checked]))
    assert (found.recall.count, found.recall.of) == (4, 5)


def test_a_breadth_of_fewer_pairs_is_judged_over_all_seeds_that_could_have_been_drawn() -> None:
    torn = change("torn", [-0.06, -0.06, 0.03, 0.03], near(GOOD))
    rows = {(one.stage, one.pairs): one for one in examine(known(*BETTER, *WORSE, torn)).screens}
    assert [rows["breadth", pairs].missed for pairs in (1, 2, 3, 4)] == pytest.approx([1 / 2, 1 / 6, 1 / 2, 0])
    assert rows["breadth", 1].promoted == pytest.approx((4 + 1 / 2) / 11)
    assert {(one.worth, one.changes) for one in rows.values()} == {(5, 11)}


def test_a_breadth_as_long_as_confirm_foretells_only_the_pairs_it_did_not_see(monkeypatch: pytest.MonkeyPatch) -> None:
    learnt: list[list[Point]] = []
    learn = promotion.learn

    def listen(points: Sequence[Point], one_run: float = promotion.ONE_RUN) -> Promotion:
        learnt.append(list(points))
        return learn(points, one_run)

    monkeypatch.setattr(promotion, "learn", listen)
    turns = [change(f"turns {n}", near(GOOD * (n + 1)), [0.05 + n, -0.01, -0.01, -0.01]) for n in range(4)]
    found = examine(known(*turns))
    assert [one.pairs for one in found.screens if one.stage == "confirm"] == [1, 2, 3], "one pair is left to foretell"
    rounded = [[(round(one.breadth, 6), round(one.confirm, 6)) for one in points] for points in learnt]
    assert [(1.05, -0.01), (2.05, -0.01), (3.05, -0.01)] in rounded


def test_the_cost_is_told_in_runs_of_confirm_where_it_was_measured() -> None:
    timed = examine(known(*BETTER, *WORSE, seconds={"breadth": 20.0, "confirm": 50.0}))
    costs = {(one.stage, one.pairs): one.cost for one in timed.screens}
    assert costs == pytest.approx(
        {**{("breadth", n): 0.4 * n for n in (1, 2, 3, 4)}, **{("confirm", n): 1.0 * n for n in (1, 2, 3)}}
    )
    untimed = examine(known(*BETTER, *WORSE))
    assert {one.cost for one in untimed.screens if one.stage == "breadth"} == {None}
    assert "–" in proxy.as_text(untimed)
    assert "–" not in proxy.as_text(timed)


def test_an_older_experience_without_single_differences_still_ranks_but_tells_of_no_other_breadth() -> None:
    newer = {"breadth": {"differences"}, "confirm": {"differences"}}
    older = [Change.model_validate(one.model_dump(exclude=newer)) for one in (*BETTER, *WORSE)]
    found = examine(known(*older))
    assert found.screens == ()
    assert found.recall == examine(known(*BETTER, *WORSE)).recall
    assert "not kept seed by seed: `nightshift calibrate`" in proxy.as_text(found)


def test_too_few_changes_are_one_line_that_says_what_to_type() -> None:
    with pytest.raises(UsageError, match=r"only 3 changes .* type `nightshift calibrate`"):
        examine(known(*BETTER[:3]))
    assert examine(known(*BETTER)).correlation.changes == 4


def test_changes_that_all_come_out_alike_are_one_line() -> None:
    with pytest.raises(UsageError, match="ranks nothing"):
        correlate([Point(0.0, confirm / 1000) for confirm in range(5)])


def test_the_conclusion_is_the_last_line_in_plain_words() -> None:
    found = proxy.as_text(examine(known(*BETTER, *WORSE))).splitlines()
    assert found[-1] == (
        "breadth ranks changes as confirm does with ρ = 1.00 (95 % 1.00 to 1.00) over 10 changes;"
        " of 4 changes worth confirm it lets 4 through"
    )
    none = proxy.as_text(examine(known(*WORSE))).splitlines()[-1]
    assert none.endswith("none of 6 changes was worth confirm, so what it misses is not known")


def test_a_stand_in_is_said_to_be_one() -> None:
    stand_in = known(*BETTER).model_copy(update={"provisional": True})
    assert "provisional: `nightshift calibrate`" in proxy.as_text(examine(stand_in))
    assert "provisional" not in proxy.as_text(examine(known(*BETTER)))


def test_json_has_stable_keys() -> None:
    told = proxy.as_json(examine(known(*BETTER, *WORSE)))
    assert set(told) == {
        *("machine", "data", "profiles", "provisional", "correlation"),
        *("precision", "recall", "screens", "changes", "conclusion"),
    }
