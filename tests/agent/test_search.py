"""The knob search: one knob at a time, stepping on after a win, never the same thing twice, the same after a resume."""

import math
from collections.abc import Mapping

import pytest

from agent.knobs import Knobs, read_knobs
from agent.proposal import Proposal, apply
from agent.records import Experiment
from agent.search import propose, told
from tests.agent.builders import BASE, baseline, confirmed, dropped, evidence, experiment, knob, sha

SETTINGS = b"""\
MATRIX_LR = 0.04
BETA2 = 0.95
MUON_BACKEND_STEPS = 5
LOGIT_SOFTCAP = 30.0
INT8_SCALE_FLOOR = 0.004
GRAD_CLIP_NORM = 0.0
MODEL_DIM = 512
SIZES = {"tiny": {"MODEL_DIM": 128}}
RANGES = {
    "MATRIX_LR": ("log", 0.005, 0.16),
    "BETA2": ("linear", 0.9, 0.999),
    "MUON_BACKEND_STEPS": ("int", 3, 8),
    "LOGIT_SOFTCAP": ("log", 8.0, 60.0),
    "INT8_SCALE_FLOOR": ("log", 0.0005, 0.008),
    "GRAD_CLIP_NORM": ("log", 0.1, 4.0),
}
"""


def settings(**values: object) -> Knobs:
    knobs = read_knobs(SETTINGS)
    return Knobs({**knobs.defaults, **values}, knobs.sizes, knobs.ranges)  # type: ignore[dict-item]


def only(name: str, **values: object) -> Knobs:
    knobs = settings(**values)
    return Knobs(knobs.defaults, knobs.sizes, {name: knobs.ranges[name]})


def won(run: int, name: str, before: object, after: object, **changes: object) -> Experiment:
    return confirmed(run, "keep", [-0.02, -0.018], **(knob(name, before, after) | changes))


def asked(found: Proposal | None) -> tuple[str, str]:
    assert found is not None
    (setting,) = found.knobs
    return setting


def test_a_learning_rate_that_won_goes_on_by_the_same_factor() -> None:
    found = propose(settings(MATRIX_LR=0.06), "tiny", [baseline(), won(2, "MATRIX_LR", 0.04, 0.06)], seed=1)
    assert asked(found) == ("MATRIX_LR", "0.09")
    assert found is not None
    assert found.title == "MATRIX_LR 0.06 → 0.09 (knob search)"
    assert "night-0002 won" in found.hypothesis


@pytest.mark.parametrize(
    ("name", "before", "after", "expected"),
    [
        ("BETA2", 0.95, 0.97, "0.99"),
        ("BETA2", 0.97, 0.95, "0.93"),
        ("MUON_BACKEND_STEPS", 5, 6, "7"),
        ("MATRIX_LR", 0.04, 0.03, "0.0225"),
    ],
)
def test_a_step_keeps_its_size_and_its_direction(name: str, before: float, after: float, expected: str) -> None:
    found = propose(settings(**{name: after}), "tiny", [baseline(), won(2, name, before, after)], seed=1)
    assert asked(found) == (name, expected)


def test_a_step_stops_at_the_end_of_the_range() -> None:
    found = propose(settings(BETA2=0.98), "tiny", [baseline(), won(2, "BETA2", 0.95, 0.98)], seed=1)
    assert asked(found) == ("BETA2", "0.999")


def test_a_knob_at_the_end_of_its_range_is_not_stepped_on() -> None:
    night = [baseline(), won(2, "BETA2", 0.95, 0.999)]
    assert asked(propose(settings(BETA2=0.999), "tiny", night, seed=1)) != ("BETA2", "0.999")


def test_a_knob_that_was_off_has_no_factor_to_step_on_by() -> None:
    found = propose(settings(GRAD_CLIP_NORM=1.0), "tiny", [baseline(), won(2, "GRAD_CLIP_NORM", 0.0, 1.0)], seed=1)
    assert found is not None
    assert "Drawn from" in found.hypothesis


def test_a_step_that_was_tried_and_discarded_is_not_proposed_again() -> None:
    step = dropped(3, parent=sha(2), **knob("MATRIX_LR", 0.06, 0.09))
    night = [baseline(), won(2, "MATRIX_LR", 0.04, 0.06), step]
    for seed in range(5):
        found = propose(settings(MATRIX_LR=0.06), "tiny", night, seed)
        assert asked(found) != ("MATRIX_LR", "0.09")


def test_a_keep_that_was_taken_out_again_is_not_stepped_on() -> None:
    found = propose(settings(MATRIX_LR=0.04), "tiny", [baseline(), won(2, "MATRIX_LR", 0.04, 0.06)], seed=1)
    assert asked(found) != ("MATRIX_LR", "0.09")


def test_a_keep_that_changed_more_than_its_knob_is_not_stepped_on() -> None:
    change = knob("MATRIX_LR", 0.04, 0.06)
    night = [baseline(), confirmed(2, "keep", [-0.02, -0.02], **(change | {"patch": f"{change['patch']}+more = 1\n"}))]
    assert asked(propose(settings(MATRIX_LR=0.06), "tiny", night, seed=1)) != ("MATRIX_LR", "0.09")


def test_every_proposal_applies_to_the_settings_and_stays_within_its_range() -> None:
    knobs = read_knobs(SETTINGS)
    for seed in range(25):
        found = propose(knobs, "tiny", [baseline()], seed)
        name, text = asked(found)
        assert found is not None
        changed = read_knobs(apply(found, {"trainer/settings.py": SETTINGS}, "tiny")["trainer/settings.py"])
        value = changed.in_force(name, "tiny")
        assert knobs.ranges[name].low <= float(value) <= knobs.ranges[name].high
        assert len(text.replace("0.", "", 1).replace(".0", "").lstrip("0").replace(".", "")) <= 3


def test_the_lane_follows_from_the_knob() -> None:
    assert propose(only("INT8_SCALE_FLOOR"), "tiny", [baseline()], 1).lane == "export"  # type: ignore[union-attr]
    assert propose(only("GRAD_CLIP_NORM"), "tiny", [baseline()], 1).lane == "optimizer"  # type: ignore[union-attr]
    assert propose(only("LOGIT_SOFTCAP"), "tiny", [baseline()], 1).lane == "training"  # type: ignore[union-attr]


def test_values_tried_on_this_champion_are_not_proposed_until_none_is_left() -> None:
    knobs, night, seen = only("MUON_BACKEND_STEPS"), [baseline()], set()
    for run in range(2, 8):
        found = propose(knobs, "tiny", night, seed=3)
        if found is None:
            break
        name, text = asked(found)
        seen.add(int(text))
        night.append(dropped(run, **knob(name, 5, int(text))))
    assert seen == {3, 4, 6, 7, 8}
    assert propose(knobs, "tiny", night, seed=3) is None


def test_a_value_refused_or_crashed_counts_as_tried() -> None:
    knobs = only("MUON_BACKEND_STEPS")
    night = [baseline(), *(dropped(run, **knob("MUON_BACKEND_STEPS", 5, run)) for run in (3, 4))]
    night += [experiment(6, "crash", reason="too_slow", **knob("MUON_BACKEND_STEPS", 5, 6))]
    refused = knob("MUON_BACKEND_STEPS", 5, 7) | {"patch": ""}
    night += [experiment(7, "checks_failed", reason="already_tried", sha="", commit="", **refused)]
    assert asked(propose(knobs, "tiny", night, seed=0)) == ("MUON_BACKEND_STEPS", "8")


def test_another_champion_makes_a_tried_value_new_but_not_the_one_it_came_from() -> None:
    knobs = only("MUON_BACKEND_STEPS", MUON_BACKEND_STEPS=8)
    lost = [dropped(run, **knob("MUON_BACKEND_STEPS", 5, run)) for run in (3, 4, 6, 7)]
    night = [baseline(), *lost, won(8, "MUON_BACKEND_STEPS", 5, 8)]
    offers = {asked(propose(knobs, "tiny", night, seed))[1] for seed in range(40)}
    assert offers
    assert offers <= {"3", "4", "6", "7"}


def test_the_same_journal_gives_the_same_proposal_and_another_seed_another() -> None:
    night = [baseline(), dropped(2, **knob("MATRIX_LR", 0.04, 0.1)), dropped(3, **knob("BETA2", 0.95, 0.92))]
    first = propose(settings(), "tiny", night, seed=5)
    assert first == propose(settings(), "tiny", list(night), seed=5)
    assert len({asked(propose(settings(), "tiny", night, seed)) for seed in range(6)}) > 1


def test_experiments_of_an_earlier_segment_tell_nothing() -> None:
    earlier = [baseline(), won(2, "MATRIX_LR", 0.04, 0.06)]
    now = baseline(3, segment=1)
    assert asked(propose(settings(MATRIX_LR=0.06), "tiny", [*earlier, now], seed=1)) != ("MATRIX_LR", "0.09")


def test_what_was_tried_in_an_earlier_segment_is_new_again() -> None:
    knobs = only("MUON_BACKEND_STEPS")
    night = [baseline(), *(dropped(run, **knob("MUON_BACKEND_STEPS", 5, run)) for run in (3, 4, 6, 7, 8))]
    assert propose(knobs, "tiny", night, seed=1) is None
    assert propose(knobs, "tiny", [*night, baseline(9, segment=1)], seed=1) is not None


def test_values_are_drawn_away_from_those_that_did_badly() -> None:
    bad = [dropped(run, **knob("MATRIX_LR", 0.04, value)) for run, value in enumerate((0.08, 0.09, 0.12, 0.15), 2)]
    good = [
        dropped(run, breadth=evidence("short-breadth", -0.001), **knob("MATRIX_LR", 0.04, value))
        for run, value in enumerate((0.008, 0.01, 0.012, 0.015), 6)
    ]
    draws = [float(asked(propose(only("MATRIX_LR"), "tiny", [baseline(), *bad, *good], seed))[1]) for seed in range(30)]
    assert max(draws) < 0.06


def test_the_sampler_is_told_differences_from_the_present_champion() -> None:
    span = settings().ranges["MATRIX_LR"]
    night = [
        baseline(),
        dropped(2, breadth=evidence("short-breadth", -0.004), **knob("MATRIX_LR", 0.04, 0.1)),
        confirmed(3, "keep", [-0.02, -0.02], **knob("MATRIX_LR", 0.04, 0.06)),
        confirmed(4, "keep", [-0.05, -0.05], **knob("BETA2", 0.95, 0.97)),
        confirmed(5, "discard", [-0.001, -0.001], **knob("MATRIX_LR", 0.06, 0.07)),
        experiment(6, "crash", reason="diverged", **knob("MATRIX_LR", 0.06, 0.15)),
    ]
    heard = {trial.params["MATRIX_LR"]: trial for trial in told("MATRIX_LR", span, night)}
    assert heard[0.1].value == pytest.approx(0.016)
    assert heard[0.06].value == pytest.approx(0.0)
    assert heard[0.07].value == pytest.approx(-0.001)
    assert heard[0.15].state.name == "FAIL"


def test_a_queue_that_left_odd_settings_behind_does_not_stop_the_search() -> None:
    night = [
        baseline(),
        experiment(2, "checks_failed", reason="bad_value", patch="", knobs={"MATRIX_LR": "fast"}),
        experiment(3, "checks_failed", reason="unknown_knob", patch="", knobs={"BETA9": "0.5"}),
        dropped(4, **knob("KEEP_FLOAT_NAMES", "", "tok_emb")),
        dropped(5, **knob("GRAD_CLIP_NORM", 0.0, 99.0)),
        dropped(6, **knob("MATRIX_LR", 0.04, math.nan)),
    ]
    for name in settings().ranges:
        assert propose(only(name), "tiny", night, seed=1) is not None


def test_settings_without_ranges_leave_nothing_to_search() -> None:
    assert propose(read_knobs(b'BETA2 = 0.95\nSIZES = {"tiny": {}}\n'), "tiny", [baseline()], seed=1) is None


def loss(values: Mapping[str, float]) -> float:
    """A made-up bench: a bowl in the logarithms of the rates, with a far-off optimum for one of them."""
    return 2.3 + (
        0.05 * math.log(values["MATRIX_LR"] / 0.09) ** 2
        + 0.03 * math.log(values["LOGIT_SOFTCAP"] / 15.0) ** 2
        + 4.0 * (values["BETA2"] - 0.985) ** 2
        + 0.002 * (values["MUON_BACKEND_STEPS"] - 6) ** 2
    )


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_forty_experiments_improve_several_knobs_and_step_on_after_wins(seed: int) -> None:
    values = {name: float(read_knobs(SETTINGS).in_force(name, "tiny")) for name in read_knobs(SETTINGS).ranges}
    night, champion, kept, stepped = [baseline()], BASE, set(), 0
    start = loss(values)
    for run in range(2, 42):
        now = {name: int(value) if name == "MUON_BACKEND_STEPS" else value for name, value in values.items()}
        found = propose(settings(**now), "tiny", night, seed)
        name, text = asked(found)
        difference = loss(values | {name: float(text)}) - loss(values)
        change = knob(name, values[name], float(text)) | {"parent": champion}
        if difference < -0.001:
            assert found is not None
            stepped += "same step again" in found.hypothesis
            night.append(confirmed(run, "keep", [difference] * 2, **change))
            values[name], champion = float(text), sha(run)
            kept.add(name)
        else:
            night.append(dropped(run, breadth=evidence("short-breadth", difference), **change))
    assert len(kept) >= 2
    assert loss(values) - 2.3 < 0.4 * (start - 2.3)
    assert stepped >= 1
