"""What `nightshift watch` takes of a core: on a real terminal, against a night with a thousand experiments.

    python -m scripts.measure_live [SECONDS]

The night is made up of the committed history's own lines, under new numbers. Every second what it says of this moment
and the progress of its runs change, and every ten a verdict is added. What starting takes is counted apart.
"""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Iterator
from itertools import count, cycle, islice
from pathlib import Path

import psutil

from agent.git import here
from agent.history import HISTORY
from agent.journal import encode, read_journal
from agent.lock import alone
from agent.now import NOW, Board
from agent.opening import RUNS, journal_path
from bench import files
from bench.job import Job, Progress
from bench.measure import PROGRESS
from bench.profiles import profile
from bench.slots import folder_name

ROOT = Path(__file__).parents[1]
EXPERIMENTS = 1000
MOST_SHARE = 0.01
NAME = "thousand"
SEED = 7
STARTED_S = 5.0
EVERY_VERDICT_S = 10


def main(seconds: int = 60) -> None:
    """Print it all."""
    with tempfile.TemporaryDirectory() as temporary:
        clone = cloned(Path(temporary))
        repo = here(clone)
        path = journal_path(repo, NAME)
        head = repo.commit_of("HEAD")
        waiting = write(path, head)
        with alone(repo, f"night {NAME}"):
            shown, (began_s, watched_s, wall_s) = watch(clone, path, repo.trainer(head), waiting, seconds)
    share = watched_s / wall_s
    print(f"{EXPERIMENTS:,} experiments, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {shown:,} bytes drawn")
    print(f"start          {began_s:6.2f} CPU s, once")
    print(f"watching       {watched_s:6.2f} CPU s in {wall_s:.0f} s")
    print(f"share          {100 * share:6.2f} % of a core ({'within' if share <= MOST_SHARE else 'over'} 1 %)")


def cloned(folder: Path) -> Path:
    """A repository like this one."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder / "clone")], check=True)
    return folder / "clone"


def write(path: Path, head: str) -> list[str]:
    """The night's journal, with what it was made of; returns the lines of verdicts that are to come."""
    files.make_folders(path.parent)
    history = read_journal(ROOT / HISTORY)
    header = history.headers[0].model_copy(update={"name": NAME, "base": head})
    ours = [one.model_copy(update={"sha": head, "segment": 0}) for one in history.experiments]
    lines = [
        encode(one.model_copy(update={"run": number, "id": f"{NAME}-{number:04d}"}))
        for number, one in enumerate(islice(cycle(ours), EXPERIMENTS + 100), 1)
    ]
    path.write_text("\n".join([encode(header), *lines[:EXPERIMENTS]]) + "\n", encoding="utf-8")
    return lines[EXPERIMENTS:]


def watch(
    clone: Path, path: Path, trainer: dict[str, bytes], waiting: list[str], seconds: int
) -> tuple[int, tuple[float, float, float]]:
    """Bytes drawn; CPU seconds of the start, CPU seconds after it, and the wall seconds of those."""
    master, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    drawn: list[int] = []
    threading.Thread(target=drain, args=(master, drawn), daemon=True).start()
    words = [sys.executable, "-P", "-m", "agent.cli", "watch", "--name", NAME]
    environment = {**os.environ, "TERM": "xterm-256color", "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        words, cwd=clone, stdin=terminal, stdout=terminal, stderr=terminal, env=environment
    ) as watching:
        process = psutil.Process(watching.pid)
        try:
            began_s = began = 0.0
            for second in islice(seconds_of(path, trainer, waiting), int(STARTED_S) + seconds):
                assert watching.poll() is None, "the watching ended"
                if second == STARTED_S:
                    began_s, began = cpu_s(process), time.monotonic()
            return sum(drawn), (began_s, cpu_s(process) - began_s, time.monotonic() - began)
        finally:
            watching.terminate()


def seconds_of(path: Path, trainer: dict[str, bytes], waiting: list[str]) -> Iterator[int]:
    """The night goes on: each second has passed when its number is given, from 1."""
    folder, budget = path.parent, profile("x4-confirm")
    board = Board(folder / NOW, time.time_ns() // 1_000_000 + 3_600_000, 2000, 5.0)
    jobs = [
        Job(trainer, budget, SEED, label=f"{NAME}-1001 champion"),
        Job({**trainer, "trainer/more.py": b""}, budget, SEED, label=f"{NAME}-1001 A title"),
    ]
    runs = [folder / RUNS / folder_name(files.tree_key(job.tree), budget.name, SEED) for job in jobs]
    for run in runs:
        run.mkdir(parents=True)
    for second in count(1):
        for job, run in zip(jobs, runs, strict=True):
            word = Progress(phase="train", step=4 * second % budget.steps, loss=7.0 - second / 100)
            with (run / PROGRESS).open("a") as progress:
                progress.write(f"{word.model_dump_json()}\n")
            board.show(job, word)
        board.tell()
        if second % EVERY_VERDICT_S == 0:
            with path.open("a", encoding="utf-8") as journal:
                journal.write(f"{waiting.pop(0)}\n")
        time.sleep(1.0)
        yield second


def drain(master: int, drawn: list[int]) -> None:
    """Read what a terminal shows, as a terminal does."""
    while chunk := os.read(master, 1 << 16):
        drawn.append(len(chunk))


def cpu_s(process: psutil.Process) -> float:
    """CPU seconds that a process and its children have taken."""
    times = process.cpu_times()
    return float(times.user + times.system + times.children_user + times.children_system)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
