"""What is seen of a night while it runs: readable at any size, labelled, and safe to print."""

import io
import json
from dataclasses import replace

import pytest
from rich.cells import cell_len
from rich.console import Console

from agent.curves import Curve
from agent.live import LEAST_TITLE, View, as_json, run_line
from agent.now import Now, Running
from agent.plan import SHORT
from agent.watch import Seen, Standing, Trace
from tests.agent.builders import KEPT, NIGHT, baseline, confirmed

AT = 1_793_000_100_000
FALLS: Curve = tuple((step, 7.0 - step / 10) for step in range(1, 7))
ABOVE: Curve = tuple((step, 7.0 - step / 20) for step in range(1, 11))
LONG = "Warm the embeddings up for longer than all the rest of the model is warmed up"


def running(**changes: object) -> Running:
    usual: dict[str, object] = {
        "label": f"night-0007 {LONG}",
        "profile": "short-breadth",
        "seed": 123,
        "folder": "a-short-breadth-123",
        "phase": "train",
        "since": AT - 12_000,
        "step": 6,
        "steps": 10,
        "loss": 6.4,
    }
    return Running.model_validate(usual | changes)


def standing(**changes: object) -> Standing:
    usual = Standing(
        profiles="short-",
        champion="",
        decided=5,
        usd=0.424,
        keeps=(baseline(), KEPT),
        reverted=frozenset(),
        experiments=NIGHT,
        waiting=(LONG, "SCALAR_LR 0.035", "BETA2 0.97"),
    )
    return replace(usual, **changes)  # type: ignore[arg-type]


def seen(*traces: Trace, **changes: object) -> Seen:
    now = Now(pid=1, at=AT, until=AT + 432_000, max_experiments=8, max_usd=5.0, runs=tuple(one.run for one in traces))
    usual = Seen("night", AT, running=True, now=now, standing=standing(), traces=traces)
    return replace(usual, **changes)  # type: ignore[arg-type]


TRACE = Trace(running(), FALLS, ABOVE)


def drawn(night: Seen, width: int = 80, height: int = 40, *, whole: bool = False, encoding: str = "utf-8") -> list[str]:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    Console(file=file, width=width, height=height, color_system=None).print(View(night, whole))
    file.seek(0)
    return file.read().splitlines()


def test_it_begins_with_how_far_the_night_has_come_and_what_is_left() -> None:
    assert drawn(seen())[0] == "night night · 5 of 8 experiments · 7 min 12 s left · $0.42 of $5.00"
    late = seen(at=AT + 500_000)
    assert "its time is up" in drawn(late)[0]


def test_a_night_that_does_not_run_says_so_and_no_limits() -> None:
    assert drawn(seen(running=False, now=None))[0] == "night night · 5 experiments · $0.42 · does not run"


def test_a_run_is_told_with_its_phase_and_for_how_long() -> None:
    line = run_line(running(label="night-0007 Warmer"), AT, 100).plain
    assert line == "  night-0007 Warmer · train 6/10, loss 6.400 · 12 s · short-breadth · seed 123"
    assert run_line(running(phase="score", step=0), AT, 200).plain.endswith(
        " · score · 12 s · short-breadth · seed 123"
    )


@pytest.mark.parametrize("width", [40, 80])
def test_where_room_is_short_the_title_gives_way(width: int) -> None:
    (line,) = [line for line in drawn(seen(TRACE), width) if line.startswith("  night-0007 W")]
    assert len(line) <= width
    assert "… · train 6/10" in line
    assert line.index("…") >= LEAST_TITLE


def test_losses_stand_beside_the_champions_at_the_same_step_and_are_called_what_they_are() -> None:
    lines = drawn(seen(TRACE))
    heading = lines.index("training loss as the trainer prints it: night-0007 (solid), champion (dashed)")
    assert "at step 6: 6.4000, the champion's 6.7000, difference -0.3000" in lines
    assert lines[heading + 1].startswith("6.9500 ")
    assert lines[heading + 5].startswith("6.4000 ")


def test_without_a_run_of_the_champions_the_losses_stand_alone() -> None:
    lines = drawn(seen(Trace(running(), FALLS, ())))
    assert "training loss as the trainer prints it: night-0007" in lines
    assert "at step 6: 6.4000" in lines
    assert not any(line.startswith("training loss") for line in drawn(seen(Trace(running(phase="setup"), (), ABOVE))))


def test_of_several_runs_the_one_that_can_be_compared_is_drawn() -> None:
    champion = Trace(running(label="night-0007 champion abcdefg"), ABOVE, ())
    assert "at step 6: 6.4000, the champion's 6.7000, difference -0.3000" in drawn(seen(champion, TRACE))


def test_the_champions_stand_one_after_the_other_and_are_not_called_comparable() -> None:
    lines = drawn(seen())
    assert "the champions' val_bpb at short-confirm, each on seeds of its own" in lines
    assert "baseline 2.3000 → 0003 2.2810" in lines
    assert "the champion is not measured since a keep was reverted" in " ".join(
        drawn(seen(standing=standing(reverted=frozenset({KEPT.id}))), 120)
    )


def test_many_champions_leave_out_those_between() -> None:
    keeps = (baseline(), *(confirmed(run, "keep", [-run / 100, -run / 100]) for run in range(2, 30)))
    lines = drawn(seen(standing=standing(keeps=keeps, experiments=keeps)))
    assert any(line.startswith("baseline 2.3000 → … → 00") and line.endswith(" → 0029 2.0100") for line in lines)


def test_the_next_ideas_are_told_without_the_one_that_is_being_tried() -> None:
    assert "next  SCALAR_LR 0.035 · BETA2 0.97" in drawn(seen(TRACE))
    assert "next  nothing in the queue" in drawn(seen(standing=standing(waiting=())))


def test_numbers_of_short_profiles_are_called_that() -> None:
    for width in (40, 80):
        assert SHORT in " ".join(drawn(seen(), width))
    assert not any("short" in line for line in drawn(seen(standing=standing(profiles=""))))


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize("width", [1, 8, 20, 40, 80, 200])
def test_nothing_is_wider_than_the_terminal(width: int, encoding: str) -> None:
    wide = Trace(running(label="night-0007 広い題名" * 9, loss=1e300), FALLS, ABOVE)
    for line in drawn(seen(TRACE, wide), width, encoding=encoding):
        assert cell_len(line) <= width


@pytest.mark.parametrize("height", [3, 8, 16, 24])
def test_what_matters_most_stays_where_the_terminal_is_low(height: int) -> None:
    lines = drawn(seen(TRACE), height=height)
    assert len(lines) < height
    assert lines[0].startswith("night night") and lines[1].startswith("  night-0007")
    assert drawn(seen(TRACE), height=height, whole=True) == drawn(seen(TRACE), height=100)


def test_a_terminal_without_unicode_gets_ascii() -> None:
    lines = drawn(seen(TRACE), encoding="ascii")
    assert "night night - 5 of 8 experiments - 7 min 12 s left - $0.42 of $5.00" in lines
    assert any(line.startswith("6.9500 *") for line in lines)
    assert "?" not in "".join(lines)


def test_a_title_is_shown_and_never_acted_on() -> None:
    evil = "[red]bold[/red] \x1b[2J\x1b]0;title\x07\n[/]"
    night = seen(Trace(running(label=f"night-0007 {evil}"), (), ()), standing=standing(waiting=(evil,)))
    text = "\n".join(drawn(night, 160))
    assert "\x1b" not in text and "\x07" not in text
    assert "[red]bold[/red] [2J ]0;title [/]" in text
    assert "next  [red]bold[/red] [2J ]0;title [/]" in drawn(seen(standing=standing(waiting=(evil,))))


def test_the_same_is_plain_data_under_stable_keys() -> None:
    found = as_json(seen(TRACE))
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert list(found) == [
        *("night", "running", "at", "pid", "profiles", "note", "experiments", "left_s", "usd"),
        *("runs", "champions", "verdicts", "next"),
    ]
    assert found["experiments"] == {"decided": 5, "most": 8}
    assert found["left_s"] == 432.0
    assert found["note"] == SHORT
    runs = found["runs"]
    assert isinstance(runs, list)
    (run,) = runs
    assert run["beside_champion"] == {"step": 6, "training_loss": pytest.approx(6.4), "champion": pytest.approx(6.7)}
    assert (run["phase"], run["phase_s"], run["step"], run["steps"]) == ("train", 12.0, 6, 10)
    quiet = as_json(seen(running=False, now=None))
    assert (quiet["running"], quiet["pid"], quiet["left_s"], quiet["runs"]) == (False, None, None, [])
