"""How many experiments fit into a night, from what decided ones took."""

import json

import pytest

from agent.plan import as_json, as_text, plan, reached
from agent.records import Experiment
from bench.errors import UsageError
from tests.agent.builders import baseline, confirmed, dropped, experiment, header, runs


def took(one: Experiment, seconds: float) -> Experiment:
    """The experiment, had its runs taken so many seconds of two slots."""
    each = 2 * seconds / len(one.runs)
    return one.model_copy(update={"runs": tuple(run.model_copy(update={"wall_s": each}) for run in one.runs)})


NIGHT = [
    took(baseline(), 120.0),
    took(dropped(2), 50.0),
    took(dropped(3), 60.0),
    took(dropped(4), 1000.0),
    took(confirmed(5, "discard", [-0.001, 0.001]), 240.0),
    experiment(6, "checks_failed", reason="no_match", commit="", sha=""),
]


def test_the_expected_count_follows_the_mix_so_far_after_the_baseline() -> None:
    found = plan(1.0, NIGHT, header(), slots=2)
    mean = (0 + 3 * 60 + 240) / 5
    assert found.expected == int((3600 - 120) / mean)


def test_the_bounds_are_all_dropped_at_breadth_and_all_confirmed() -> None:
    found = plan(1.0, NIGHT, header(), slots=2)
    assert found.most == (3600 - 120) // 60
    assert found.fewest == (3600 - 120) // 240


def test_medians_are_told_stage_by_stage() -> None:
    found = plan(1.0, NIGHT, header(), slots=2)
    told = [(stage.name, stage.count, stage.median_s) for stage in found.stages]
    assert told == [("refused", 1, 0.0), ("breadth", 3, 60.0), ("confirm", 1, 240.0)]


def test_what_was_never_reached_is_not_guessed_at() -> None:
    found = plan(1.0, NIGHT[:4], header(), slots=2)
    assert found.fewest is None
    assert "not measured yet: if every one goes through confirm" in as_text(found)
    assert plan(1.0, [NIGHT[0], NIGHT[4]], header(), slots=2).most is None


def test_a_crash_counts_where_its_last_run_was() -> None:
    crashed = took(experiment(7, "crash", reason="diverged", runs=runs("short-smoke")), 10.0)
    assert reached(crashed) == "short-smoke"
    assert ("smoke", 1, 10.0) in [
        (stage.name, stage.count, stage.median_s) for stage in plan(1.0, [*NIGHT, crashed], header(), 2).stages
    ]


def test_the_champions_runs_do_not_say_how_far_a_candidate_came() -> None:
    crashed = experiment(7, "crash", runs=runs("short-smoke") + runs("short-breadth", role="champion"))
    assert reached(crashed) == "short-smoke"


def test_runs_that_served_before_cost_nothing_and_slots_share_the_rest() -> None:
    served = dropped(2).runs[2].model_copy(update={"fresh": False})
    one = dropped(2, runs=(*dropped(2).runs[:2], served))
    for slots in (1, 2, 4):
        assert plan(1.0, [one], header(), slots).stages[0].median_s == pytest.approx(2 * 12.5 / slots)


def test_speeds_of_an_earlier_segment_say_nothing() -> None:
    now = [took(baseline(7, segment=1), 120.0), took(dropped(8, segment=1), 348.0)]
    assert plan(1.0, [*NIGHT, *now], header(), slots=2).expected == 10


@pytest.mark.parametrize("night", [[], NIGHT[:1], [NIGHT[0], NIGHT[5]]])
def test_where_nothing_is_measured_it_says_what_to_type(night: list[object]) -> None:
    with pytest.raises(UsageError, match="nightshift run --max-experiments 1"):
        plan(1.0, night, header(), slots=2)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="nightshift run --max-experiments 1"):
        plan(1.0, NIGHT, None, slots=2)


@pytest.mark.parametrize(("hours", "slots"), [(0.0, 2), (-1.0, 2), (float("nan"), 2), (float("inf"), 2), (1.0, 0)])
def test_hours_and_slots_must_be_above_zero(hours: float, slots: int) -> None:
    with pytest.raises(UsageError, match="above zero"):
        plan(hours, NIGHT, header(), slots)


def test_a_night_shorter_than_its_baseline_fits_nothing() -> None:
    assert plan(0.01, NIGHT, header(), slots=2).expected == 0


def test_short_profiles_are_said_to_be_short_in_both_forms() -> None:
    short, full = plan(1.0, NIGHT, header(), 2), plan(1.0, NIGHT, header(profiles=""), 2)
    assert "barely trained" in as_text(short)
    assert "barely trained" not in as_text(full)
    assert "barely trained" in json.dumps(as_json(short), allow_nan=False)
    assert as_json(full)["note"] is None


def test_the_text_reads_well() -> None:
    assert as_text(plan(8.0, NIGHT, header(profiles=""), 2)).splitlines() == [
        "8 h on 2 slots: about 341 experiments",
        "  478 if breadth drops every one",
        "  119 if every one goes through confirm",
        "a new night first spends 120 s on its baseline",
        "from 5 decided experiments, median wall time of one:",
        "  refused before any run     1 ×    0.0 s",
        "  dropped at breadth         3 ×   60.0 s",
        "  reached confirm            1 ×  240.0 s",
    ]
