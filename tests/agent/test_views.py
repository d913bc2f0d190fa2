"""What a person sees in the terminal: readable at 80 columns, labelled, unflattering, and safe to print."""

import io
import json

import pytest
from rich.console import Console, RenderableType

from agent.records import Reverted
from agent.report import summary
from agent.views import experiment_as_json, log_as_json, night_table, show_experiment
from tests.agent.builders import (
    BASE,
    KEPT,
    NIGHT,
    baseline,
    dropped,
    experiment,
    header,
    journal,
    runs,
)


def printed(renderable: RenderableType, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(renderable)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def flat(text: str) -> str:
    return " ".join(text.split())


def test_the_table_fits_eighty_columns_and_cuts_nothing_off() -> None:
    text = printed(night_table(header(), NIGHT))
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    for night in NIGHT:
        assert night.id in text
        assert night.reason in text


def test_differences_are_shown_in_thousandths_with_their_standard_error() -> None:
    text = printed(night_table(header(), [baseline(), KEPT]))
    assert "-19.0 ±3.5" in text
    assert "-11.0" in text
    assert "2.2810" in text
    assert "thousandths of a bit per byte" in flat(text)


def test_what_was_not_measured_is_a_dash_and_no_zero() -> None:
    text = printed(night_table(header(), [NIGHT[3]]))
    (line,) = [line for line in text.splitlines() if "crash" in line]
    assert line.count("–") == 3


def test_a_plain_pipe_gets_no_colour_codes() -> None:
    assert "\x1b" not in printed(night_table(header(), NIGHT)) + printed(show_experiment(KEPT))


@pytest.mark.parametrize("shown", [night_table(header(), NIGHT), show_experiment(KEPT)])
def test_numbers_of_short_profiles_are_labelled_and_explained(shown: RenderableType) -> None:
    text = printed(shown)
    assert "short-" in text
    assert "barely trained models" in flat(text)


def test_full_profiles_are_not_called_short() -> None:
    full = [baseline(runs=runs("confirm", role="champion")), experiment(2, "crash", runs=runs("smoke"))]
    night = header(profiles="")
    shown = [night_table(night, full), summary(journal(*full, profiles="")), *map(show_experiment, full)]
    assert "short" not in "".join(map(printed, shown))


def test_segments_are_shown_apart() -> None:
    text = printed(night_table(header(), [*NIGHT, baseline(7, segment=1)]))
    assert text.index("segment 0") < text.index("night-0002") < text.index("segment 1") < text.index("night-0007")
    assert "segment" not in printed(night_table(header(), NIGHT))


def test_a_keep_that_was_taken_out_says_so_everywhere() -> None:
    assert "reverted" in printed(night_table(header(), NIGHT, reverted={KEPT.id}))


def test_an_experiment_is_shown_pair_by_pair_with_its_runs_and_its_patch() -> None:
    text = printed(show_experiment(KEPT), width=100)
    for pair in (*KEPT.confirm.pairs, *KEPT.breadth.pairs):  # type: ignore[union-attr]
        assert f"{pair.seed}" in text
        assert f"{pair.champion:.6f}" in text
        assert f"{pair.candidate:.6f}" in text
        assert f"{pair.difference * 1000:+.1f}" in text
    assert text.count("712,345") == len(KEPT.runs)
    assert "-MATRIX_LR = 0.04" in text
    assert "+MATRIX_LR = 0.06" in text
    assert "it may help" in text


def test_an_experiment_fits_eighty_columns() -> None:
    text = printed(show_experiment(KEPT))
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text


def test_a_kept_gain_is_never_shown_as_more_than_its_own_measurement() -> None:
    assert "on the pairs that it was picked by" in flat(printed(show_experiment(KEPT)))


def test_an_experiment_dropped_at_breadth_is_said_to_rest_on_breadth_alone() -> None:
    assert "weighed at short-breadth alone" in flat(printed(show_experiment(NIGHT[1])))


def test_a_refused_experiment_without_runs_can_be_shown() -> None:
    text = flat(printed(show_experiment(NIGHT[4])))
    assert "Refused by a check (no_match): in words." in text


def test_nothing_decided_is_no_error() -> None:
    assert "nothing is decided yet" in printed(night_table(header(), [])) + printed(summary(journal()))


def test_what_a_proposal_wrote_can_neither_style_nor_steer_the_terminal() -> None:
    hostile = dropped(
        2, description="[/red] [bold]x \x1b[2J", patch="+a\x1b[2J\rb\n", asi={"hypothesis": "[/] \x1b]0;"}
    )
    text = "".join(
        map(printed, (night_table(header(), [hostile]), show_experiment(hostile), summary(journal(hostile))))
    )
    assert "\x1b" not in text
    assert "\r" not in text
    assert "[/red] [bold]x" in text


def test_the_log_as_json_has_stable_keys_and_no_invented_numbers() -> None:
    taken_out = Reverted(timestamp=1, id=KEPT.id, parent=KEPT.sha, sha=BASE)
    told = json.loads(json.dumps(log_as_json(journal(*NIGHT, taken_out)), allow_nan=False))
    derived = {"audit", "claude", "expected_false_keeps_at_most", "simplifications"}
    assert set(told) == {"night", "profiles", "note", "metric", "experiments"} | derived
    assert "barely trained" in told["note"]
    kept, crashed = told["experiments"][2], told["experiments"][3]
    assert (kept["val_bpb"], kept["reverted"]) == (pytest.approx(2.281), True)
    assert kept["confirm"]["profile"] == "short-confirm"
    assert kept["confirm"]["difference"] == pytest.approx(-0.019)
    assert kept["confirm"]["standard_error"] == pytest.approx(0.005 / 2**0.5)
    assert (crashed["val_bpb"], crashed["breadth"], crashed["confirm"]) == (None, None, None)
    assert {frozenset(one) for one in told["experiments"]} == {frozenset(kept)}


def test_an_experiment_as_json_is_its_journal_line_with_a_note() -> None:
    told = json.loads(json.dumps(experiment_as_json(KEPT), allow_nan=False))
    assert "barely trained" in told.pop("note")
    assert told == KEPT.model_dump(mode="json")
    assert told["parent"] == BASE
