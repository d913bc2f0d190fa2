"""A night watched from another terminal: what is read of its files, and what stands on a real screen."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agent.git import here
from agent.journal import encode
from agent.lock import alone
from agent.now import NOW, Board, read_now
from agent.opening import RUNS, journal_path
from agent.records import AnyRecord
from agent.watch import Watch
from bench import clock, files
from bench.data import Dataset
from bench.job import Job, Progress
from bench.measure import PROGRESS
from bench.profiles import profile
from bench.slots import ENDED, folder_name
from tests.agent.builders import baseline, dropped, header
from tests.agent.terminal import terminal
from tests.agent.test_night import environment, nightshift
from tests.fakes import fake_tree, git, make_repo

IDEAS = "## Worse quality\n\n```knobs\nQUALITY = 0.2\n```\n\n## No effect\n\n```knobs\nNUDGE = 0.5\n```\n"
SLOW = '## Slow and worse\n\n```knobs\nQUALITY = 0.2\nBEHAVIOUR = "sleep 4"\n```\n'
WHAT = "night night"
CHAMPION = Job(fake_tree(), profile("short-breadth"), 7, label="night-0002 champion abcdefg")
CANDIDATE = Job(fake_tree(QUALITY="0.2"), profile("short-breadth"), 7, label="night-0002 Worse quality")


@dataclass
class Scene:
    """A person's repository with a night's files in it, as the night would write them."""

    root: Path
    path: Path
    base: str
    board: Board = field(init=False)

    def __post_init__(self) -> None:
        self.board = Board(self.path.parent / NOW, clock.now_ms() + 3_600_000, 8, 0.0)

    def write(self, *records: AnyRecord) -> None:
        for record in records:
            files.append_line(self.path, encode(record))

    def train(self, job: Job, *losses: float) -> None:
        """Have a run be so far."""
        run = self.path.parent / RUNS / folder_name(files.tree_key(job.tree), job.profile.name, job.seed)
        run.mkdir(parents=True, exist_ok=True)
        words = [Progress(phase="train", step=step, loss=loss) for step, loss in enumerate(losses, 1)]
        (run / PROGRESS).write_text("".join(f"{word.model_dump_json()}\n" for word in words))
        self.board.show(job, words[-1])
        self.board.tell()


@pytest.fixture
def scene(small_data: Dataset, tmp_path: Path) -> Scene:
    root = make_repo(tmp_path / "person", small_data.root, IDEAS)
    found = Scene(root, journal_path(here(root), "night"), git(root, "rev-parse", "HEAD"))
    found.write(header(base=found.base), baseline(sha=found.base))
    return found


def test_a_verdict_is_seen_once_its_line_is_whole(scene: Scene) -> None:
    watch = Watch(here(scene.root), scene.path)
    assert watch.look().standing.decided == 0
    line = encode(dropped(2)).encode()
    with scene.path.open("ab") as journal:
        journal.write(line[:50])
        journal.flush()
        assert watch.look().standing.decided == 0
        journal.write(line[50:] + b"\n")
    assert watch.look().standing.decided == 1


def test_what_did_not_change_is_not_read_again(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    usual = Path.open

    def noted(path: Path, *words: str, **more: str) -> object:
        opened.append(path.name)
        return usual(path, *words, **more)  # type: ignore[call-overload]

    with alone(here(scene.root), WHAT):
        scene.train(CHAMPION, 6.9, 6.8)
        scene.train(CANDIDATE, 6.9, 6.8)
        watch = Watch(here(scene.root), scene.path)
        watch.look()
        monkeypatch.setattr(Path, "open", noted)
        before = watch.look().standing
        assert set(opened) <= {NOW, "lock"}
        scene.train(CANDIDATE, 6.9, 6.8, 6.7)
        opened.clear()
        assert watch.look().standing is before
        assert opened.count(PROGRESS) == 1
        assert scene.path.name not in opened


def test_losses_stand_beside_those_of_the_champion_under_the_same_profile_and_seed(scene: Scene) -> None:
    with alone(here(scene.root), WHAT):
        scene.train(CHAMPION, 6.9, 6.8, 6.7)
        scene.train(CANDIDATE, 6.5, 6.4)
        champion, candidate = Watch(here(scene.root), scene.path).look().traces
    assert champion.met is None and champion.champion == ()
    assert candidate.champion == ((1, 6.9), (2, 6.8), (3, 6.7))
    assert candidate.met == (2, 6.4, 6.8)


def test_no_champion_of_another_segment_is_shown(scene: Scene) -> None:
    scene.write(header(base=scene.base, data="other"), baseline(2, sha=scene.base, segment=1, metric=1.5))
    standing = Watch(here(scene.root), scene.path).look().standing
    assert [keep.metric for keep in standing.keeps] == [1.5]
    assert len(standing.experiments) == 2


def test_what_another_process_said_before_it_was_killed_is_not_of_now(scene: Scene) -> None:
    scene.train(CANDIDATE, 6.5)
    killed = read_now(scene.path.parent)
    assert killed and killed.runs
    assert not Watch(here(scene.root), scene.path).look().running
    (scene.path.parent / NOW).write_text(killed.model_copy(update={"pid": 1}).model_dump_json())
    with alone(here(scene.root), WHAT):
        seen = Watch(here(scene.root), scene.path).look()
    assert seen.running and seen.now is None and seen.traces == ()


def test_a_night_is_followed_on_the_screen_to_its_end(scene: Scene) -> None:
    with contextlib.ExitStack() as night:
        night.enter_context(alone(here(scene.root), WHAT))
        scene.train(CHAMPION, 6.9, 6.8, 6.7)
        scene.train(CANDIDATE, 6.5, 6.4)
        with terminal(scene.root, "watch") as shown:
            shown.until(
                "KEEP baseline · in words · val_bpb 2.3000",
                "night night · 0 of 8 experiments · ",
                "night-0002 Worse quality · train 2/10, loss 6.400",
                "at step 2: 6.4000, the champion's 6.8000, difference -0.4000",
                "next  No effect",
            )
            scene.train(CANDIDATE, 6.5, 6.4, 6.3)
            shown.until("train 3/10, loss 6.300", "at step 3: 6.3000, the champion's 6.7000")
            scene.board.show(CANDIDATE, Progress(phase=ENDED))
            scene.write(dropped(2, description="Worse quality", idea="worse-quality"))
            text = shown.until("DISCARD Worse quality · in words", "night night · 1 of 8 experiments")
            assert text.count("night night · ") == 1
            assert "Worse quality · train" not in text
            night.close()
            text = shown.until("night night · 1 experiment · does not run", "`nightshift run --name night` goes on")
            assert shown.process.wait(20) == 0
    assert "8 experiments" not in text
    assert text.index("KEEP baseline") < text.index("DISCARD Worse") < text.index("does not run")


def test_the_screen_follows_its_terminals_size(scene: Scene) -> None:
    with alone(here(scene.root), WHAT), terminal(scene.root, "watch") as shown:
        scene.train(CHAMPION, 6.9, 6.8)
        scene.train(CANDIDATE, 6.5, 6.4)
        shown.until("night-0002 Worse quality · train 2/10, loss 6.400 · ", "· short-breadth · seed 7")
        shown.resize(40, 24)
        text = shown.until("night-0002 Wo… · train 2/10, loss 6.4…", "the champions' val_bpb at")
        assert len(text.splitlines()) <= 24
        shown.resize(80, 12)
        shown.until("… · train 2/10, loss 6.400 · ", "· short-breadth · seed 7", "next  No effect")
        assert shown.process.poll() is None


def test_interrupted_it_leaves_the_night_running(scene: Scene) -> None:
    with alone(here(scene.root), WHAT), terminal(scene.root, "watch") as shown:
        shown.until("night night · 0 experiments")
        shown.process.send_signal(signal.SIGINT)
        shown.until("the night goes on; `nightshift stop` ends it")
        assert shown.process.wait(20) == 0


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_no_colour_and_no_cursor_are_fine(name: str, value: str, scene: Scene) -> None:
    with contextlib.ExitStack() as night:
        night.enter_context(alone(here(scene.root), WHAT))
        scene.train(CANDIDATE, 6.5, 6.4)
        with terminal(scene.root, "watch", variables={name: value}) as shown:
            shown.until("night-0002 Worse quality")
            night.close()
            shown.until("does not run", "goes on")
            said = bytes(shown.raw)
    assert b"\x1b[3" not in said and b"\x1b[1;3" not in said
    if name == "TERM":
        assert b"\x1b" not in said
        assert b"  night-0002 Worse quality \xc2\xb7 short-breadth \xc2\xb7 seed 7 \xc2\xb7 train\r\n" in said


def test_without_a_terminal_each_verdict_and_each_phase_is_a_line(scene: Scene) -> None:
    words = [sys.executable, "-m", "agent.cli", "watch", "--name", "night"]
    with contextlib.ExitStack() as night:
        night.enter_context(alone(here(scene.root), WHAT))
        scene.board.show(CANDIDATE, Progress(phase="setup"))
        with subprocess.Popen(
            words, cwd=scene.root, env={**environment(), "PYTHONUNBUFFERED": "1"}, stdout=subprocess.PIPE, text=True
        ) as watching:
            assert watching.stdout is not None
            said = [watching.stdout.readline() for _ in range(2)]
            scene.train(CANDIDATE, 6.5)
            said.append(watching.stdout.readline())
            scene.train(CANDIDATE, 6.5, 6.4)
            time.sleep(1.5)
            scene.write(dropped(2))
            said.append(watching.stdout.readline())
            night.close()
            rest = watching.stdout.read()
    assert watching.returncode == 0
    assert said[0].endswith(" night-0001 KEEP baseline · in words · val_bpb 2.3000\n")
    assert said[1:3] == [
        f"  night-0002 Worse quality · short-breadth · seed 7 · {phase}\n" for phase in ("setup", "train")
    ]
    assert said[3].endswith(" night-0002 DISCARD idea 2 · in words\n")
    assert rest.startswith("night night · 1 experiment · does not run\n")
    assert rest.endswith("`nightshift run --name night` goes on, `nightshift log --name night` tells all of it\n")


def test_one_look_is_enough_for_programs(scene: Scene) -> None:
    with alone(here(scene.root), WHAT):
        scene.train(CANDIDATE, 6.5)
        found = json.loads(nightshift(scene.root, "watch", "--json").stdout)
        once = nightshift(scene.root, "watch", "--once").stdout
    assert (found["night"], found["running"], found["pid"]) == ("night", True, os.getpid())
    assert [run["phase"] for run in found["runs"]] == ["train"]
    assert found["next"] == ["No effect"]
    assert "night night · 0 of 8 experiments" in once
    assert json.loads(nightshift(scene.root, "watch", "--json").stdout)["running"] is False


def test_a_terminal_without_unicode_gets_ascii(scene: Scene) -> None:
    with alone(here(scene.root), WHAT), terminal(scene.root, "watch", variables={"PYTHONIOENCODING": "ascii"}) as shown:
        scene.train(CHAMPION, 6.9, 6.8)
        scene.train(CANDIDATE, 6.5, 6.4)
        shown.until("KEEP baseline", "night-0002 Worse quality - train 2/10", "6.9000 ..  ..", "at step 2: 6.4000")
        assert bytes(shown.raw).isascii()


def test_where_there_is_no_night_it_says_what_to_type(small_data: Dataset, tmp_path: Path) -> None:
    root = make_repo(tmp_path / "person", small_data.root)
    refused = nightshift(root, "watch", check=False)
    assert refused.returncode != 0
    assert refused.stderr == "nightshift: no night here yet: type `nightshift run`\n"


def test_a_real_night_is_seen_in_its_own_terminal_and_from_another(small_data: Dataset, tmp_path: Path) -> None:
    root = make_repo(tmp_path / "person", small_data.root, SLOW)
    words = ("run", "--short", "--researcher", "queue", "--name", "n", "--slots", "2", "--hours", "1")
    with terminal(root, *words) as own:
        own.until("0 of 1000 experiments", "n-0001 baseline", "· short-")
        with terminal(root, "watch") as other:
            for shown in (own, other):
                shown.until("n-0002 Slow and worse ·", " left", "next  nothing in the queue", "baseline ")
            said = other.until("does not run", "`nightshift run --name n` goes on")
        said = own.until("the night ended: no idea is left")
        assert own.process.wait(20) == 0
    assert "next  " not in said
    assert "DISCARD Slow and worse" in said
    left = read_now(journal_path(here(root), "n").parent)
    assert left and left.runs == () and left.max_experiments == 1000
