"""What a night says of this moment, and the losses of its runs."""

from pathlib import Path

import pytest

from agent.curves import Growing, read_curve, thinned
from agent.now import EVERY_S, NOW, Board, Now, read_now
from bench import clock
from bench.job import Job, Progress
from bench.measure import PROGRESS
from bench.profiles import profile
from bench.slots import ENDED, folder_name

JOB = Job({"trainer/train.py": b"pass\n"}, profile("breadth"), 7, label="n-0002 Warmer")


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Board:
    monkeypatch.setattr(clock, "monotonic", lambda: 100.0)
    monkeypatch.setattr(clock, "now_ms", lambda: 5_000)
    return Board(tmp_path / NOW, until=9_000, max_experiments=4, max_usd=1.5)


def said_by(board: Board) -> Now:
    assert board.path
    said = read_now(board.path.parent)
    assert said
    return said


def test_a_run_is_told_with_its_phase_and_its_folder(board: Board) -> None:
    board.show(JOB, Progress(phase="train", step=3, loss=2.5))
    said = said_by(board)
    assert (said.until, said.max_experiments, said.max_usd) == (9_000, 4, 1.5)
    (run,) = said.runs
    assert (run.label, run.profile, run.seed, run.phase) == ("n-0002 Warmer", "breadth", 7, "train")
    assert (run.step, run.steps, run.loss, run.since) == (3, 24, 2.5, 5_000)
    assert run.folder.endswith("-breadth-7") and len(run.folder) == 12 + len("-breadth-7")


def test_steps_are_told_once_a_second_and_phases_at_once(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    def told() -> tuple[str, int]:
        (run,) = said_by(board).runs
        return run.phase, run.step

    board.show(JOB, Progress(phase="train", step=1))
    board.show(JOB, Progress(phase="train", step=2))
    assert told() == ("train", 1)
    monkeypatch.setattr(clock, "monotonic", lambda: 100.0 + EVERY_S)
    board.show(JOB, Progress(phase="train", step=3))
    assert told() == ("train", 3)
    board.show(JOB, Progress(phase="score"))
    assert told() == ("score", 0)


def test_a_run_that_ended_is_not_told_any_more(board: Board) -> None:
    board.show(JOB, Progress(phase="train"))
    board.show(JOB, Progress(phase=ENDED))
    assert said_by(board).runs == ()


def test_a_disk_that_is_full_stops_no_night(tmp_path: Path) -> None:
    board = Board(tmp_path / "no such folder" / NOW, until=0, max_experiments=1, max_usd=0)
    board.show(JOB, Progress(phase="train"))
    assert read_now(tmp_path / "no such folder") is None


def test_a_board_says_what_a_run_was_before_and_nothing_where_it_begins() -> None:
    board = Board()
    assert board.show(JOB, Progress(phase="setup")) is None
    before = board.show(JOB, Progress(phase="train", step=1))
    assert before and before.phase == "setup"
    (run,) = board.runs.values()
    assert (run.phase, run.step) == ("train", 1)


def test_half_a_file_is_nothing(tmp_path: Path) -> None:
    (tmp_path / NOW).write_text('{"pid": 1, "at"')
    assert read_now(tmp_path) is None


def test_a_curve_is_what_the_trainer_said_of_its_steps(tmp_path: Path) -> None:
    run = tmp_path / folder_name("a" * 64, "breadth", 7)
    run.mkdir()
    lines = [
        '{"phase": "setup"}',
        '{"phase": "train", "step": 1, "loss": 6.5}',
        "a word of the trainer's own",
        '{"phase": "train", "step": 2, "loss": 6.0}',
        '{"phase": "train", "step": 3, "loss": NaN}',
        '{"phase": "train", "step": 4, "loss": 1e300}',
        '{"phase": "train", "st',
    ]
    (run / PROGRESS).write_text("\n".join(lines))
    assert read_curve(run) == ((1, 6.5), (2, 6.0))
    assert read_curve(tmp_path / "gone") == ()


def test_a_curve_grows_and_begins_anew_with_its_run(tmp_path: Path) -> None:
    curve = Growing(tmp_path)
    assert curve.read() == ()
    with (tmp_path / PROGRESS).open("w") as said:
        said.write('{"phase": "train", "step": 1, "loss": 6.5}\n{"phase": "train", "step": 2')
    assert curve.read() == ((1, 6.5),)
    with (tmp_path / PROGRESS).open("a") as said:
        said.write(', "loss": 6.0}\n')
    assert curve.read() == curve.read() == ((1, 6.5), (2, 6.0))
    (tmp_path / PROGRESS).unlink()
    assert curve.read() == ()


def test_a_long_curve_is_thinned_by_means() -> None:
    curve = tuple((step, float(step)) for step in range(1, 101))
    few = thinned(curve, 10)
    assert len(few) == 10
    assert few[0] == (10, 5.5)
    assert few[-1] == (100, 95.5)
    assert thinned(curve[:3], 10) == curve[:3]
    assert thinned((), 10) == ()
