"""The journal in other hands: karpathy's results.tsv and the committed history."""

import io
import json
import math

import pandas as pd
import pytest

from agent.history import append_to_history, to_tsv
from agent.journal import encode
from agent.records import Experiment, Header
from bench.errors import JournalError, UsageError
from tests.agent.builders import BASE, baseline, confirmed, dropped, experiment, header, runs

NIGHT = [
    baseline(),
    dropped(2),
    confirmed(3, "keep", [-0.02, -0.018], description="MATRIX_LR 0.06"),
    experiment(4, "crash", reason="diverged", runs=runs("short-smoke")),
    experiment(5, "checks_failed", reason="no_match", commit="", sha=""),
    confirmed(6, "discard", [0.001, -0.001]),
]


def rows(experiments: list[Experiment]) -> list[list[str]]:
    text = to_tsv(experiments)
    assert text.endswith("\n")
    return [line.split("\t") for line in text.removesuffix("\n").split("\n")]


def test_the_tsv_has_karpathys_five_columns_in_his_formats() -> None:
    assert rows(NIGHT) == [
        ["commit", "val_bpb", "memory_gb", "status", "description"],
        [BASE[:7], "2.300000", "1.2", "keep", "baseline [short-confirm]"],
        [NIGHT[1].commit, "0.000000", "1.2", "discard", "idea 2 [short-breadth only]"],
        [NIGHT[2].commit, "2.281000", "1.2", "keep", "MATRIX_LR 0.06 [short-confirm]"],
        [NIGHT[3].commit, "0.000000", "0.0", "crash", "idea 4"],
        ["0000000", "0.000000", "0.0", "crash", "idea 5"],
        [NIGHT[5].commit, "2.300000", "1.2", "discard", "idea 6 [short-confirm]"],
    ]


def test_full_profiles_need_no_label() -> None:
    full = [baseline(runs=runs("confirm")), confirmed(2, "keep", [-0.02, -0.02], runs=runs("smoke", "confirm"))]
    assert [row[4] for row in rows(full)[1:]] == ["baseline", "idea 2"]


def test_a_description_cannot_break_the_table() -> None:
    hostile = 'a "quoted\tidea"\r\nwith lines\u2028and \x1b[31mcolour'
    ((_, *_, described),) = rows([dropped(2, description=hostile)])[1:]
    assert described == "a 'quoted idea' with lines and [31mcolour [short-breadth only]"
    assert len(pd.read_csv(io.StringIO(to_tsv([dropped(2, description='"open'), dropped(3)])), sep="\t")) == 2


def test_the_summary_that_karpathys_notebook_makes_comes_out_right() -> None:
    table = pd.read_csv(io.StringIO(to_tsv(NIGHT)), sep="\t")
    for column in ("val_bpb", "memory_gb"):
        table[column] = pd.to_numeric(table[column], errors="coerce")
    table["status"] = table["status"].str.strip().str.upper()
    assert table["status"].value_counts().to_dict() == {"KEEP": 2, "DISCARD": 2, "CRASH": 2}

    plotted = table[table["status"] != "CRASH"].reset_index(drop=True)
    assert plotted.loc[0, "val_bpb"] == 2.3
    best_so_far = plotted.loc[plotted["status"] == "KEEP", "val_bpb"].cummin()
    assert best_so_far.tolist() == [2.3, 2.281]

    kept = table[table["status"] == "KEEP"]
    assert kept.sort_values("val_bpb")["description"].iloc[0] == "MATRIX_LR 0.06 [short-confirm]"
    assert (kept["val_bpb"].shift(1) - kept["val_bpb"]).iloc[1:].sum() == pytest.approx(0.019)


def words(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.removesuffix("\n").split("\n")]


def night(name: str, count: int = 3) -> list[Header | Experiment]:
    decided = [baseline(id=f"{name}-0001"), *(dropped(run, id=f"{name}-{run:04d}") for run in range(2, count + 1))]
    return [header(name=name), *decided]


def test_a_second_night_goes_on_counting_runs_and_segments_and_keeps_its_ids() -> None:
    first = append_to_history("", night("monday"))
    both = append_to_history(first, night("tuesday"))
    assert both.startswith(first)
    told = [(word.get("id"), word.get("run"), word.get("segment")) for word in words(both)]
    assert told == [
        (None, None, None),
        ("monday-0001", 1, 0),
        ("monday-0002", 2, 0),
        ("monday-0003", 3, 0),
        (None, None, None),
        ("tuesday-0001", 4, 1),
        ("tuesday-0002", 5, 1),
        ("tuesday-0003", 6, 1),
    ]
    assert [word.get("segment") for word in words(append_to_history(both, night("wednesday")))][9:] == [2, 2, 2]


def test_every_segment_of_a_night_keeps_its_own_header() -> None:
    changed: list[Header | Experiment] = [
        header(name="monday", data="fineweb"),
        baseline(4, id="monday-0004", segment=1),
    ]
    text = append_to_history(append_to_history("", night("sunday")), [*night("monday"), *changed])
    assert [word["segment"] for word in words(text) if "run" in word] == [0, 0, 0, 1, 1, 1, 2]
    assert [word["data"] for word in words(text) if word.get("type") == "config"][-1] == "fineweb"


def test_a_header_under_which_nothing_was_decided_is_left_out() -> None:
    text = append_to_history("", [header(name="monday"), *night("monday"), header(name="monday")])
    assert sum(word.get("type") == "config" for word in words(text)) == 1


def test_a_night_without_a_decision_has_nothing_to_add() -> None:
    with pytest.raises(UsageError, match="nothing to add"):
        append_to_history("", [header()])


def test_an_experiment_without_a_header_is_no_whole_night() -> None:
    with pytest.raises(JournalError, match="no header"):
        append_to_history("", night("monday")[1:])


def test_lines_are_those_of_the_journal_in_everything_but_run_and_segment() -> None:
    records: list[Header | Experiment] = [
        header(name="monday"),
        baseline(id="monday-0001", description="a line\u2028separator"),
    ]
    assert append_to_history("", records) == "".join(encode(record) + "\n" for record in records)
    again = append_to_history(append_to_history("", records), night("tuesday"))
    assert words(again)[1]["description"] == "a line\u2028separator"


def test_a_history_whose_last_line_has_no_newline_is_not_glued_to() -> None:
    history = append_to_history("", night("monday")).removesuffix("\n")
    assert len(words(append_to_history(history, night("tuesday")))) == 8


def test_a_history_that_was_started_elsewhere_is_counted_on_from() -> None:
    theirs = '{"type":"config","name":"theirs"}\n{"run":41,"commit":"abc1234","metric":1.0,"status":"keep"}\n'
    told = words(append_to_history(theirs, night("monday")))
    assert [(word["run"], word["segment"]) for word in told[3:]] == [(42, 1), (43, 1), (44, 1)]


@pytest.mark.parametrize("line", ["<<<<<<< HEAD", '{"run": 3, "comm', "7", ""])
def test_a_history_that_cannot_be_read_is_refused_with_its_line(line: str) -> None:
    history = append_to_history("", night("monday")) + line + '\n{"type":"config"}\n'
    with pytest.raises(JournalError, match=r"autoresearch.jsonl, line 5"):
        append_to_history(history, night("tuesday"))


def test_no_nan_gets_into_the_history() -> None:
    bad: list[Header | Experiment] = [header(), baseline(), dropped(2, metrics={"run_cpu_s": math.nan})]
    with pytest.raises(JournalError, match="night-0002"):
        append_to_history("", bad)
