"""The night in a few lines: counted right, labelled, and never more than what was measured."""

import json

import pytest

from agent import report, verdict
from agent.audit import estimate
from agent.records import AnyRecord, Audited, Experiment, Regained, Reverted
from agent.report import code_lines, summary
from agent.views import log_as_json
from tests.agent.builders import BASE, KEPT, NIGHT, baseline, confirmed, dropped, evidence, header, journal, knob

SHORTER = "--- a/trainer/model.py\n+++ b/trainer/model.py\n@@ -1,5 +1,3 @@\n x\n-a = 1\n-b = 2\n-\n-# c\n+a = 3\n"


def told(*records: AnyRecord) -> str:
    return " ".join(summary(journal(*records)).plain.split())


def test_what_was_decided_is_counted_without_the_baseline() -> None:
    text = told(*NIGHT)
    assert "night night: 5 experiments decided in 6 min 20 s (1 keep, 2 discard, 1 crash, 1 checks_failed)" in text
    assert "short-confirm val_bpb: baseline 2.300000 → champion 2.281000" in text


def test_a_night_without_a_keep_says_so_plainly() -> None:
    assert "nothing was kept" in told(*NIGHT[:2])


def test_earlier_segments_are_left_out_and_that_is_said() -> None:
    now = [baseline(7, segment=1, metric=1.9), dropped(8, segment=1)]
    text = told(*NIGHT, header(data="other"), *now)
    assert "1 experiment decided" in text
    assert "6 of earlier segments are not counted" in text
    assert "2.281" not in text


def test_a_keep_that_was_taken_out_gains_nothing() -> None:
    text = told(*NIGHT, Reverted(timestamp=1, id=KEPT.id, parent=KEPT.sha, sha=BASE))
    assert "not measured since a keep was reverted" in text
    assert "2.281" not in text


def test_a_kept_gain_is_never_shown_as_more_than_its_own_measurement() -> None:
    assert "on the pairs that it was picked by" in told(*NIGHT)


def test_a_gain_that_was_measured_afresh_is_the_one_that_is_shown() -> None:
    afresh = Regained(timestamp=1, id=KEPT.id, evidence=evidence("short-confirm", -0.011, -0.013))
    text = told(*NIGHT, afresh)
    assert "-12.0 ±3.5 thousandths at short-confirm, on 2 fresh seeds" in text
    assert "-19.0" not in text
    rows = json.loads(json.dumps(log_as_json(journal(*NIGHT, afresh))))["experiments"]
    assert rows[2]["regained"]["difference"] == pytest.approx(-0.012)
    assert rows[1]["regained"] is None


def test_the_audited_gain_of_the_whole_night_comes_first() -> None:
    assert told(*NIGHT).startswith("not audited yet: `nightshift audit`")
    assert told(*NIGHT[:2]).startswith("night night: 1 experiment")
    pairs = evidence("short-audit", -0.01, -0.014).pairs
    found = Audited(timestamp=1, first=BASE, last=KEPT.sha, evidence=estimate("short-audit", pairs))
    assert told(*NIGHT, found).startswith(
        "audited on 2 fresh seeds and the sealed split (short-audit): −12.0 thousandths"
    )
    audit = log_as_json(journal(*NIGHT, found))["audit"]
    assert isinstance(audit, dict)
    assert audit["mean"] == pytest.approx(-0.012)


def test_the_false_keeps_to_be_expected_are_those_of_what_came_to_confirm() -> None:
    assert report.false_keeps(NIGHT) == pytest.approx(2 * verdict.ERROR_RATE)
    assert "false keeps to be expected: at most 0.02 (1 in a hundred of the 2 weighed at confirm" in told(*NIGHT)
    assert "false keeps" not in told(*NIGHT[:2])


def test_less_code_that_is_not_worse_is_listed_for_a_person_and_not_kept() -> None:
    shorter = confirmed(7, "discard", [0.001, -0.002], patch=SHORTER, description="No b")
    assert "night-0007 No b: 1 lines fewer, -0.5 ±3.5 thousandths at short-confirm" in told(*NIGHT, shorter)
    assert log_as_json(journal(*NIGHT, shorter))["simplifications"] == ["night-0007"]


@pytest.mark.parametrize(
    "other",
    [
        confirmed(7, "discard", [0.02, 0.018], patch=SHORTER),
        confirmed(7, "keep", [-0.02, -0.018], patch=SHORTER),
        confirmed(7, "discard", [0.001, -0.002], **knob("MATRIX_LR", 0.04, 0.06)),
        dropped(7, patch=SHORTER),
    ],
    ids=["worse", "kept anyway", "no shorter", "never confirmed"],
)
def test_nothing_else_is_called_a_simplification(other: Experiment) -> None:
    assert report.simplifications([other]) == []


def test_blank_lines_and_comments_are_no_code() -> None:
    assert code_lines(SHORTER) == -1
    assert code_lines("+++ b/x\n+x = 1\n+    # no\n+\n y\n") == 1
