"""A night as one structure: every figure from where the night has it, and none that flatters."""

import json
from pathlib import Path

import pytest

from agent import git, report
from agent.audit import estimate
from agent.calls import Authored, Reserved, Spent, Usage
from agent.curves import Curve
from agent.journal import read_journal
from agent.leads import Lead
from agent.markdown import as_markdown
from agent.morning import MOST_POINTS, morning, tell
from agent.note import parse_note
from agent.records import AnyRecord, Audited, Measured, Regained, Reverted
from agent.spend import CUT, FAILED, UNTRIED
from bench.job import Cost, Measurement
from bench.slots import folder_name
from tests.agent import made
from tests.agent.builders import BASE, KEPT, NIGHT, baseline, confirmed, dropped, evidence, experiment, header, journal
from tests.agent.builders import knob as knob_of
from tests.chaos.night import NAME, make_repo, pass_night

GAIN = (-0.01, -0.0101, -0.0099)
AFRESH = Regained(timestamp=1, id=KEPT.id, evidence=evidence("short-confirm", -0.011, -0.013))
TAKEN_OUT = Reverted(timestamp=1, id=KEPT.id, parent=KEPT.sha, sha=BASE)
PAPER = parse_note("2505.08823-extra-norm", "---\ntitle: An extra norm\narxiv: '2505.08823'\n---\n")


def audited(*differences: float) -> Audited:
    pairs = evidence("short-audit", *differences).pairs
    return Audited(timestamp=1, first=BASE, last=KEPT.sha, evidence=estimate("short-audit", pairs))


def measured(profile: str, seed: int, tree: str = "", cpu_s: float = 2.0, *, fails: bool = False) -> Measured:
    cost = Cost(wall_s=3.0, cpu_s=cpu_s)
    found = Measurement(
        val_bpb=2.3, scored_tokens=1, scored_bytes=1, artifact_bytes=1, artifact_sha256="", code_bytes=1, steps=1,
        train_tokens=1, tokens_per_s=1.0, train_loss=None, phases={"train": cost}, cpu_s=cpu_s, wall_s=3.0,
        overhead_s=0.0, peak_memory_bytes=1, sandbox="none",
    )  # fmt: skip
    key = f"{profile}{seed}{tree}"
    return Measured(
        key=key, timestamp=1, tree=tree, profile=profile, seed=seed, measurement=None if fails else found,
        reason="diverged" if fails else None,
    )  # fmt: skip


def test_it_is_strict_json_with_the_keys_that_its_docstring_names() -> None:
    told = json.loads(json.dumps(tell(journal(*NIGHT, AFRESH, audited(-0.01, -0.012))), allow_nan=False))
    documented = set((tell.__globals__["__doc__"] or "").replace(",", "").split())
    assert {f"``{key}``" for key in told} <= documented


def test_a_night_that_is_not_audited_gains_nothing_and_says_what_to_type() -> None:
    headline = tell(journal(*NIGHT, AFRESH))["headline"]
    assert headline["state"] == "not_audited"
    assert headline["title"] == "1 change kept, not audited yet"
    assert headline["command"].startswith("nightshift audit --name ")
    assert not any(character.isdigit() for character in headline["words"])


@pytest.mark.parametrize(
    ("differences", "title"),
    [
        (GAIN, "The night’s gain holds"),
        ((-0.01, 0.012), "The night’s gain is not resolved"),
        ((0.01, 0.0101, 0.0099), "The night’s gain does not hold"),
        ((0.0, 0.0), "The night’s keeps change nothing"),
    ],
)
def test_the_headline_says_what_the_audits_interval_says(differences: tuple[float, ...], title: str) -> None:
    told = tell(journal(*NIGHT, audited(*differences)))
    assert told["headline"]["title"] == title
    assert told["headline"]["words"].startswith(f"audited on {len(differences)} fresh seeds")
    assert told["audit"]["low"] <= told["audit"]["mean"] <= told["audit"]["high"]


def test_without_a_keep_that_stands_nothing_is_said_to_be_kept() -> None:
    for records in (NIGHT[:2], (*NIGHT, TAKEN_OUT)):
        assert tell(journal(*records))["headline"]["state"] == "nothing_kept"
    assert tell(journal())["headline"]["state"] == "nothing_decided"


def test_a_step_shows_the_gain_on_fresh_pairs_with_its_interval() -> None:
    (flight,) = tell(journal(*NIGHT, AFRESH))["staircase"]
    (step,) = flight["steps"]
    half = report.WIDTH * 0.005 / 2**0.5
    assert (step["fresh"], step["effect"]["mean"], step["level"]) == (
        True,
        pytest.approx(-0.012),
        pytest.approx(-0.012),
    )
    assert (step["effect"]["low"], step["effect"]["high"]) == (
        pytest.approx(-0.012 - half),
        pytest.approx(-0.012 + half),
    )
    (flight,) = tell(journal(*NIGHT))["staircase"]
    assert (flight["steps"][0]["fresh"], flight["steps"][0]["effect"]["mean"]) == (False, pytest.approx(-0.019))


def test_a_keep_that_was_taken_out_is_a_step_that_adds_nothing() -> None:
    (flight,) = tell(journal(*NIGHT, AFRESH, TAKEN_OUT))["staircase"]
    assert (flight["steps"][0]["reverted"], flight["steps"][0]["level"]) == (True, 0.0)


def test_segments_have_staircases_of_their_own() -> None:
    later = confirmed(8, "keep", [-0.03, -0.031], segment=1)
    first, second = tell(journal(*NIGHT, header(data="other"), baseline(7, segment=1, metric=1.9), later))["staircase"]
    assert (first["baseline_bpb"], second["baseline_bpb"]) == (2.3, 1.9)
    assert second["steps"][0]["level"] == pytest.approx(-0.0305)
    assert [step["id"] for step in first["steps"]] == [KEPT.id]


def test_an_experiment_is_told_with_its_evidence_its_runs_and_its_cost() -> None:
    changes = knob_of("MATRIX_LR", 0.04, 0.06) | {"asi": {"hypothesis": "faster", "expected_effect": "−0.01"}}
    one = confirmed(2, "keep", [-0.02, -0.018], notes=("arXiv:2505.08823", "javascript:x"), **changes)
    told = tell(journal(baseline(), one), notes=[PAPER])["experiments"][1]
    assert (told["hypothesis"], told["expected"]) == ("faster", "−0.01")
    assert [pair["difference"] for pair in told["pairs"]["confirm"]] == [pytest.approx(-0.02), pytest.approx(-0.018)]
    assert told["pairs"]["regained"] == []
    assert told["cpu_s"] == pytest.approx(11.0 * len(one.runs))
    assert [run["profile"] for run in told["runs"]] == [run.profile for run in one.runs]
    assert "+MATRIX_LR = 0.06" in told["patch"]
    assert "barely trained" in told["note"]
    assert told["notes"][1] == {"name": "javascript:x", "title": "javascript:x", "url": None}


def test_a_cited_paper_has_its_notes_title_and_an_address() -> None:
    told = tell(journal(baseline(), dropped(2, notes=("2505.08823",))), notes=[PAPER])
    cited = {"name": "2505.08823", "title": "An extra norm", "url": "https://arxiv.org/abs/2505.08823"}
    assert told["experiments"][1]["notes"] == [cited]
    assert told["papers"][0]["title"] == "An extra norm"


def test_rates_count_the_keeps_that_stand_among_all_tries() -> None:
    told = tell(journal(*NIGHT[:3], dropped(7, lane="export"), TAKEN_OUT))
    assert {rate["name"]: (rate["kept"]["count"], rate["kept"]["of"]) for rate in told["lanes"]} == {
        "export": (0, 1), "other": (0, 2),
    }  # fmt: skip
    kept = tell(journal(*NIGHT[:3]))["lanes"][0]
    assert (kept["kept"]["count"], kept["kept"]["of"], len(kept["ids"])) == (1, 2, 2)


def test_a_run_belongs_to_what_closes_it() -> None:
    fresh = AFRESH.evidence.pairs[0].seed
    records: list[AnyRecord] = [
        measured("short-smoke", 1, "t0"),
        measured("short-confirm", 2, "t0"),
        measured("short-smoke", 3, "ahead"),
        baseline(tree="t0"),
        measured("short-smoke", 4, "t1", fails=True),
        experiment(2, "crash", reason="diverged"),
        measured("short-breadth", 5),
        measured("short-confirm", 6),
        KEPT.model_copy(update={"tree": "k"}),
        measured("short-confirm", fresh, "k", cpu_s=5.0),
        measured("short-confirm", fresh, "t6"),  # of another experiment, under way beside
        experiment(6, "discard", tree="t6"),
        measured("short-confirm", fresh, "t0", cpu_s=5.0),
        AFRESH,
        measured("short-audit", 8),
        audited(-0.01, -0.012),
        measured("short-breadth", 9),
    ]
    told = {one["kind"]: one for one in tell(journal(*records))["time"]}
    assert list(told) == ["baseline", "smoke", "breadth", "confirm", "fresh pairs", "audit"]
    assert [one["runs"] for one in told.values()] == [2, 2, 2, 2, 2, 1]
    assert (told["smoke"]["failed"], told["smoke"]["cpu_s"]) == (1, 2.0)
    assert told["fresh pairs"]["cpu_s"] == 10.0


def test_dollars_stand_by_strategy_and_what_came_to_nothing_apart() -> None:
    def call(number: int, draft: str, usd: float, error: str | None = None) -> list[AnyRecord]:
        told = {"timestamp": 1, "call": number, "draft": draft, "model": "m"}
        spent = Spent.model_validate(told | {"usage": Usage(), "usd": usd, "at_most": 2 * usd, "error": error})
        return [Reserved.model_validate(told | {"usd": 1.0}), spent]

    written = experiment(2, source="claude", authored=Authored(draft="d1", arm="paper", usd=0.3))
    open_ = Reserved(timestamp=1, call=9, draft="d4", model="m", usd=0.5)
    calls = [*call(1, "d1", 0.1), *call(2, "d1", 0.2), *call(3, "d1", 0.0, "overloaded"), *call(4, "d2", 0.4), open_]
    told = {one["purpose"]: one for one in tell(journal(baseline(), *calls, written))["money"]}
    assert list(told) == ["paper", UNTRIED, FAILED, CUT]
    assert (told["paper"]["calls"], told["paper"]["usd"], told["paper"]["at_most"]) == (
        2,
        pytest.approx(0.3),
        pytest.approx(0.6),
    )
    assert (told[CUT]["usd"], told[CUT]["at_most"]) == (0.0, 0.5)


def test_what_was_not_kept_is_counted_by_reason_with_its_ids() -> None:
    told = tell(journal(*NIGHT, dropped(7)))["not_kept"]
    assert told[0] == {
        "status": "discard",
        "reason": "worse_at_breadth",
        "count": 3,
        "ids": ["night-0002", "night-0006", "night-0007"],
    }
    assert {one["reason"] for one in told[1:]} == {"diverged", "no_match"}


def test_breadth_beside_confirm_ranks_only_where_there_is_enough_to_rank() -> None:
    few = tell(journal(*NIGHT))["proxy"]
    assert (len(few["points"]), few["correlation"]) == (2, None)
    more = [
        confirmed(number, "discard", [number / 1e4] * 2, breadth=evidence("b", number / 1e3)) for number in range(7, 12)
    ]
    assert tell(journal(baseline(), *more))["proxy"]["correlation"]["rho"] == pytest.approx(1.0)


def test_leads_that_are_open_come_next() -> None:
    found = [Lead(PAPER, "ready", "fits the champion", 0.1, 0.01, 1.0), Lead(PAPER, "tried", "", 0.1, 0.01, 1.0)]
    (lead,) = tell(journal(*NIGHT), found=found)["next"]
    assert (lead["paper"], lead["state"], lead["score"]) == ("2505.08823", "ready", pytest.approx(1.0))


def test_curves_are_named_by_the_runs_that_they_are_of() -> None:
    one = dropped(2, tree="t" * 64, runs=made_runs())
    names = [folder_name(tree * 64, "short-breadth", 100) for tree in ("t", "p", "x")]
    curve: Curve = ((1, 6.0), (2, 5.12345))
    told = tell(journal(baseline(tree="p" * 64), one), curves=dict.fromkeys(names, curve))
    assert [run["curve"] for run in told["experiments"][1]["runs"]] == names[:2]
    assert told["curves"] == {name: {"steps": [1, 2], "losses": [6.0, 5.1235]} for name in names[:2]}


def made_runs() -> tuple[dict[str, object], ...]:
    return tuple(
        {"role": role, "profile": "short-breadth", "seed": 100, "val_bpb": 2.3} for role in ("candidate", "champion")
    )


def test_a_real_night_is_told_with_the_curves_of_its_run_folders(tmp_path: Path) -> None:
    root = make_repo(tmp_path / "person")
    pass_night(root, lambda line: None, finish=False)
    repo = git.here(root)
    path = repo.common / "nightshift" / NAME / "autoresearch.jsonl"
    told = morning(repo, read_journal(path))
    assert [one["status"] for one in told["experiments"]] == ["keep", "keep", "discard", "crash", "checks_failed"]
    named = {run["curve"] for one in told["experiments"] for run in one["runs"]} - {None}
    assert named == set(told["curves"])
    assert all(0 < len(curve["steps"]) <= MOST_POINTS for curve in told["curves"].values())
    assert {one["kind"] for one in told["time"]} == {"baseline", "smoke", "breadth", "confirm", "fresh pairs"}


def test_the_summary_for_a_pull_request_has_the_keeps_and_what_was_not_kept() -> None:
    text = as_markdown(tell(journal(*NIGHT, AFRESH, audited(*GAIN))))
    assert text.startswith("## The night’s gain holds\n")
    assert "| night-0003 | MATRIX\\_LR 0.06 | −12.0 | −18.9 to −5.1 | on 2 fresh seeds at short-confirm |" in text
    assert "- 2 × discard, worse\\_at\\_breadth: night-0002, night-0006" in text
    assert "false keeps to be expected: at most 0.02" in text
    assert "barely trained" in text


def test_what_a_proposal_wrote_cannot_shape_the_summary() -> None:
    hostile = confirmed(2, "keep", [-0.02, -0.018], description="a | b\n# c <img src=x> [d](e) @all " + "x" * 500)
    text = as_markdown(tell(journal(baseline(), hostile)))
    (row,) = [line for line in text.splitlines() if line.startswith("| night-0002")]
    assert "a \\| b \\# c \\<img src=x\\> \\[d\\](e) \\@all" in row
    assert len(row) < 400


def test_a_night_of_a_thousand_is_told_in_seconds() -> None:
    night = made.night(1000)
    told = tell(night, made.curves(night))
    assert len(told["experiments"]) == 1001
    assert sum(one["count"] for one in told["not_kept"]) + sum(
        one["status"] == "keep" for one in told["experiments"]
    ) == 1001  # fmt: skip
