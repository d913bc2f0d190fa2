"""`nightshift import`: another program's log in the committed history, shown for what it is wherever it is read."""

import json
from pathlib import Path
from random import Random

import pytest

from agent import arms, leads, library
from agent import git as plumbing
from agent.chronicle import chronicle
from agent.foreign import append_foreign, read_foreign
from agent.history import TOLD, append_to_history
from agent.note import Front, Note
from agent.past import Past, read_past
from agent.prompt import by_lane, situation
from agent.toolbox import Toolbox
from bench.errors import JournalError, UsageError
from tests.agent.builders import baseline, confirmed, header
from tests.agent.test_night import nightshift
from tests.chaos.night import EARLIER, make_repo

TSV = (
    "commit\tval_bpb\tmemory_gb\tstatus\tdescription\n"
    "a1b2c3d\t0.997900\t44.0\tkeep\tbaseline\n"
    'b2c3d4e\t0.993200\t44.2\tkeep\traise the "matrix" learning rate\n'
    "c3d4e5f\t1.005000\t44.0\tdiscard\tsoft cap of 15\n"
    "d4e5f6g\t0.000000\t0.0\tcrash\ttwice the width\n"
)
PI = (
    '{"type":"config","name":"Speed up sorting","metricName":"ops","metricUnit":"/s","bestDirection":"higher"}\n'
    '{"run":1,"commit":"1234567890","metric":1200,"metrics":{"mb":3.5,"gc":null},"status":"keep",'
    '"description":"baseline","timestamp":1793000000000,"segment":0,"confidence":null}\n'
    '{"type":"note","text":"of a kind that no reader knows"}\n'
    '{"run":2,"commit":"2345678","metric":null,"metrics":{},"status":"crash","description":"radix",'
    '"timestamp":1793000060000,"segment":0,"confidence":null,"asi":{"hypothesis":"keys are short"}}\n'
    "\n"
    '{"run":3,"commit":"3456789","metric":1500.5,"metrics":{},"status":"keep","description":"merge runs",'
    '"timestamp":1793000120000,"segment":0,"confidence":2.5}\n'
    '{"type":"config","name":"Speed up sorting","metricName":"seconds"}\n'
    '{"run":4,"commit":"456789a","metric":0.5,"metrics":{},"status":"discard","description":"heap",'
    '"timestamp":1793000180000,"segment":1,"confidence":null}\n'
)
OURS = append_to_history("", [header(name="ours"), baseline(id="ours-0001"), confirmed(2, "keep", [-0.02, -0.018])])


def added(content: str, file: str, history: str = OURS) -> list[dict[str, object]]:
    """The lines that an import adds."""
    text, _ = append_foreign(history, read_foreign(content.encode(), file))
    assert text.startswith(history)
    return [json.loads(line) for line in text[len(history) :].splitlines()]


def past(content: str, file: str) -> list[Past]:
    return read_past(append_foreign(OURS, read_foreign(content.encode(), file))[0].splitlines())


def test_a_results_tsv_becomes_a_segment_that_says_where_it_is_from() -> None:
    head, *runs = added(TSV, "results.tsv")
    assert (head["type"], head["name"], head["metricName"]) == ("config", "elsewhere-results", "val_bpb")
    assert [(run["run"], run["segment"], run["id"]) for run in runs] == [
        (number, 1, f"elsewhere-results-{number - 2:04d}") for number in range(3, 7)
    ]
    assert [(run["metric"], run["status"]) for run in runs][2:] == [(1.005, "discard"), (0, "crash")]
    assert runs[1]["description"] == 'raise the "matrix" learning rate'
    assert all("elsewhere" in word for word in (head, *runs))


def test_a_log_of_pi_autoresearch_keeps_its_metrics_names_and_directions() -> None:
    words = added(PI, "autoresearch.jsonl")
    heads = [(word["name"], word["metricName"], word["bestDirection"]) for word in words if "run" not in word]
    assert heads == [
        ("elsewhere-speed-up-sorting", "ops", "higher"),
        ("elsewhere-speed-up-sorting", "seconds", "lower"),
    ]
    runs = [word for word in words if "run" in word]
    assert [(run["run"], run["segment"], run["metric"]) for run in runs] == [
        *((3, 1, 1200), (4, 1, 0), (5, 1, 1500.5), (6, 2, 0.5)),
    ]
    assert (runs[0]["commit"], runs[0]["metrics"], runs[2]["confidence"]) == ("1234567", {"mb": 3.5}, 2.5)


def test_a_night_of_ours_from_another_clone_is_foreign_too_and_what_it_claims_is_left_out() -> None:
    ours = [one for one in past(OURS.replace("ours", "theirs"), "autoresearch.jsonl") if one.elsewhere]
    assert [one.id for one in ours] == ["elsewhere-theirs-0001", "elsewhere-theirs-0002"]
    assert not [one for one in ours if one.kept or one.effect or one.notes]


def test_its_numbers_are_shown_with_their_own_metric_and_as_another_s_word() -> None:
    told = {one.id: one.elsewhere for one in past(PI, "a.jsonl") if one.elsewhere}
    assert list(told.values()) == [
        "ops 1200, higher is better, as a.jsonl tells",
        "ops not measured, as a.jsonl tells",
        "ops 1500.5, higher is better, as a.jsonl tells",
        "seconds 0.5, lower is better, as a.jsonl tells",
    ]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (TSV.replace("discard", "kept"), "line 4: status: Input should be 'keep', 'discard'"),
        (TSV.replace("0.993200", "nan"), "line 3: metric: Input should be a finite number"),
        (TSV.replace("0.993200", "better"), "line 3: metric: Input should be a valid number"),
        (TSV.replace("\tsoft cap of 15", ""), "line 4: it has 4 columns, and the first line 5"),
        (PI.replace("1500.5", "NaN"), "line 6: Out of range float"),
        (PI.replace("1500.5", "1e999"), "line 6: Out of range float"),
        (PI.replace('"crash"', '"crashed"'), "line 4: status"),
        (PI.replace('"run":3', '"run":"3"'), "line 6: it is no run"),
        (PI.replace('"run":3,', ""), "line 6: it is no run"),
        (PI.replace('"higher"', '"up"'), "line 1: bestDirection"),
        (PI.replace("radix", "\\ud800"), "line 4: 'utf-8' codec"),
        (PI.replace('{"run":4', '{"run":4,,'), "line 8: Expecting property name"),
        (PI + '{"run":5,"comm', "line 9: Unterminated string"),
        (PI + "[" * 100_000, "line 9: maximum recursion|line 9: Expecting value"),
    ],
)
def test_a_bad_line_is_named_and_nothing_is_read(content: str, says: str) -> None:
    with pytest.raises(JournalError, match=says):
        read_foreign(content.encode(), "log")


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"\xff\xfe", b'{"type":"config","name":"n"}\n'])
def test_a_file_of_another_kind_or_without_a_run_is_refused(content: bytes) -> None:
    with pytest.raises(UsageError, match="log"):
        read_foreign(content, "log")


def test_windows_line_ends_a_byte_order_mark_and_another_metric_are_read() -> None:
    text = TSV.replace("val_bpb", "accuracy").replace("\n", "\r\n")
    (part,) = read_foreign(b"\xef\xbb\xbf" + text.encode(), "r.tsv").parts
    assert (part.head.metric, part.runs[3].description, len(part.runs)) == ("accuracy", "twice the width", 4)


def test_the_same_file_is_refused_by_name_and_so_is_a_name_that_is_taken() -> None:
    foreign = read_foreign(TSV.encode(), "results.tsv")
    text, name = append_foreign(OURS, foreign, "Karpathy's night")
    assert name == "elsewhere-karpathy-s-night"
    with pytest.raises(
        UsageError, match=r"results\.tsv is in the committed history already, as elsewhere-karpathy-s-n"
    ):
        append_foreign(text, foreign)
    longer = read_foreign(f"{TSV}e5f6a7b\t0.990000\t44.0\tkeep\tmore\n".encode(), "results.tsv")
    with pytest.raises(UsageError, match="--name"):
        append_foreign(text, longer, "karpathy's night")


def test_a_night_can_be_finished_after_an_import() -> None:
    text, _ = append_foreign("", read_foreign(PI.encode(), "a.jsonl"))
    night: list[TOLD] = [header(name="ours"), baseline(id="ours-0001")]
    after = append_to_history(text, night)
    word = json.loads(after.splitlines()[-1])
    assert (word["run"], word["segment"]) == (5, 2)
    assert append_to_history(after, night) == after


# What readers make of it.

ALL = past(TSV, "results.tsv")
NOTE = Note("2505.08823-quality", Front(title="Quality", arxiv="2505.08823", lane="optimizer"), {})
TREE = {"trainer/settings.py": b"QUALITY = 0.5\n"}


def test_it_moves_no_rate_no_lead_and_no_strategy() -> None:
    ours = [one for one in ALL if not one.elsewhere]
    assert leads.leads([NOTE], ALL, TREE, "tiny") == leads.leads([NOTE], ours, TREE, "tiny")
    assert [one.id for one in ALL if one.kept] == [one.id for one in ours if one.kept]
    theirs = [one for one in ALL if one.elsewhere]
    assert arms.hit_rates(theirs) == {}
    assert arms.near_misses(theirs, 5) == []
    assert arms.next_task(theirs, [], set(), Random(1)).arm == "remove"


def test_the_chronology_tells_it_apart() -> None:
    page, _, theirs = chronicle(ALL, []).partition("## Measured elsewhere")
    assert page == chronicle([one for one in ALL if not one.elsewhere], []).rstrip("\n") + "\n\n"
    assert "`elsewhere-results`: 4 experiments, there 2 kept, 1 crashed, 1 discarded." in theirs
    assert (
        "`elsewhere-results-0002` raise the 'matrix' learning rate: measured elsewhere and not judged here, keep"
        in theirs
    )
    assert "val_bpb 0.9932, lower is better, as results.tsv tells" in theirs


def test_claude_is_told_that_it_was_measured_elsewhere() -> None:
    theirs = [one for one in ALL if one.elsewhere]
    words = situation([], ALL, [], [])
    ours, _, others = words.partition("judged by nobody here:")
    assert "elsewhere-results" not in ours
    assert "elsewhere-results-0001 [elsewhere] baseline: measured elsewhere and not judged here" in others
    assert by_lane([one for one in ALL if not one.elsewhere]) in ours
    box = Toolbox(plumbing.Repo(Path(), Path()), {}, [], theirs)
    found, _ = box.look_up("past_experiments", {"words": "matrix"})
    assert "measured elsewhere and not judged here, keep there: val_bpb 0.9932" in found


# With a person's repository.


def test_import_says_what_it_would_add_adds_it_and_search_finds_it_as_foreign(tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "person")
    log = tmp_path / "results.tsv"
    log.write_text(TSV)
    said = nightshift(repo, "import", str(log), "--dry-run").stdout
    assert "would add 4 runs in val_bpb (lower is better), 2 kept there, the best kept there 0.9932" in said
    assert (repo / "autoresearch.jsonl").read_text() == EARLIER

    told = json.loads(nightshift(repo, "import", str(log), "--json").stdout)
    assert told["name"] == "elsewhere-results"
    assert told["written"] == ["autoresearch.jsonl", "kb/chronology.md"]
    assert (told["parts"][0]["runs"], told["parts"][0]["best"]) == (4, 0.9932)
    (hit,) = json.loads(nightshift(repo, "kb", "search", "matrix", "learning", "--json").stdout)["hits"]
    assert (hit["page"], hit["kind"]) == ("elsewhere-results-0002", "elsewhere")
    assert "Measured elsewhere" in (repo / "kb" / "chronology.md").read_text()
    assert nightshift(repo, "kb", "check", check=False).stdout == "0 notes, 0 problems\n"
    imported = [one for one in library.experiments(plumbing.here(repo)) if one.id.startswith("elsewhere-")]
    assert [one.kept for one in imported] == [False] * 4

    before = (repo / "autoresearch.jsonl").read_bytes()
    assert "already, as elsewhere-results" in nightshift(repo, "import", str(log), check=False).stderr
    log.write_text(TSV.replace("discard", "maybe"))
    done = nightshift(repo, "import", str(log), "--name", "again", check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("nightshift: results.tsv, line 4: status")
    assert (repo / "autoresearch.jsonl").read_bytes() == before
    assert "is the committed history itself" in nightshift(repo, "import", "autoresearch.jsonl", check=False).stderr
