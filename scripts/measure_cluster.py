"""What workers are worth: the same night of scripted runs with one worker and with several, each a process of its own.

    python -m scripts.measure_cluster [--seconds 20] [--workers 1 2 4 8]

Dask's scheduler and `nightshift worker` processes run on this machine, one slot each; every run of the quick trainer
sleeps that long in its sandbox, so that it is the engine and not the processor that is measured. The night's seed and
its queue are the same each time: changes of one knob that do not stand in one another's way, some worse and some
without effect. Printed are the experiments decided an hour after the baseline, beside those of the first, and whether
the verdicts are the same.
"""

import argparse
import contextlib
import os
import platform
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from agent.journal import Journal, read_journal
from bench.corpus import prepare
from tests.conftest import write_text_folder
from tests.fakes import git, make_repo
from tests.fakes.cluster import free_port, scheduler, worker

ROOT = Path(__file__).parents[1]
SEED = 20_261_128
CHANGES = 40
EXTRA = ("run", "--short", "--researcher", "queue", "--name", "n", "--cluster")


def main() -> None:
    """Print one line a night; the exit code is 1 where the verdicts differ."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--changes", type=int, default=CHANGES)
    asked = parser.parse_args()
    print(f"python -m scripts.measure_cluster {' '.join(sys.argv[1:])}")
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(f"distributed {version('distributed')}, seed {SEED}, runs that sleep {asked.seconds:g} s", flush=True)
    first, wanted, same = 0.0, [("", "")], True
    with tempfile.TemporaryDirectory(prefix="nightshift-cluster-") as scratch:
        data = Path(scratch) / "data"
        prepare(str(write_text_folder(Path(scratch) / "text")), data, lambda stage, share: None)
        for workers in asked.workers:
            journal = night(Path(scratch) / f"with-{workers}", data, workers, asked.seconds, asked.changes)
            baseline, *tried = journal.experiments
            hourly = len(tried) / ((tried[-1].timestamp - baseline.timestamp) / 3.6e6)
            verdicts = [(one.description, one.reason) for one in tried]
            if not first:
                first, wanted = hourly, verdicts
            same &= verdicts == wanted
            told = "the same verdicts" if verdicts == wanted else f"OTHER VERDICTS: {verdicts}"
            print(
                f"{workers} workers: {hourly:7.1f} experiments an hour, {hourly / first:.2f} times the first, {told};"
                f" {len(journal.measured)} runs, load {os.getloadavg()[0]:.1f}",
                flush=True,
            )
    sys.exit(not same)


def night(folder: Path, data: Path, workers: int, seconds: float, changes: int) -> Journal:
    """The journal of the night with so many workers."""
    repo = make_repo(folder / "person", data, "".join(map(idea, range(changes))))
    settings = repo / "trainer" / "settings.py"
    settings.write_text(settings.read_text().replace('"honest"', f'"sleep {seconds:g}"'))
    git(repo, "commit", "--quiet", "--all", "--message=runs that take their time")
    address = f"tcp://127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "tests.chaos.seeded", str(SEED), *EXTRA, address]
    with contextlib.ExitStack() as stack:
        stack.enter_context(scheduler(address, folder))
        for _ in range(workers):
            stack.enter_context(worker(address, repo))
        subprocess.run(
            command, cwd=repo, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL, check=True
        )
    return read_journal(repo / ".git" / "nightshift" / "n" / "autoresearch.jsonl")


def idea(number: int) -> str:
    """A change for the queue: each fourth has no effect on the score."""
    knob = f"PADDING = {1 + number}" if number % 4 == 3 else f"QUALITY = {0.45 - number / 1000:.3f}"
    return f"## {knob}\n\n```knobs\n{knob}\n```\n\n"


if __name__ == "__main__":
    main()
