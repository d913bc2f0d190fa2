"""What an idle worker takes of a core, and its scheduler: on loopback, on made-up data, once they have settled.

python -m scripts.measure_worker [SECONDS]
"""

import os
import sys
import tempfile
import time
from pathlib import Path

import psutil

from bench.corpus import prepare
from tests.conftest import write_text_folder
from tests.fakes import make_repo
from tests.fakes.cluster import Started, free_port, scheduler, worker

MOST_SHARE = 0.01
SETTLED_S = 5.0


def main(seconds: int = 60) -> None:
    """Print it all."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        data = prepare(str(write_text_folder(folder / "words")), folder / "data", lambda stage, share: None)
        repo = make_repo(folder / "person", data.root)
        address = f"tcp://127.0.0.1:{free_port()}"
        with scheduler(address, folder) as found, worker(address, repo) as idle:
            time.sleep(SETTLED_S)
            began, before = time.monotonic(), [cpu_s(one) for one in (found, idle)]
            time.sleep(seconds)
            wall_s, after = time.monotonic() - began, [cpu_s(one) for one in (found, idle)]
            memory = psutil.Process(idle.process.pid).memory_info().rss
    shares = [(then - now) / wall_s for now, then in zip(before, after, strict=True)]
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {wall_s:.0f} s")
    print(f"scheduler  {100 * shares[0]:5.2f} % of a core")
    verdict = "within" if shares[1] <= MOST_SHARE else "over"
    print(f"worker     {100 * shares[1]:5.2f} % of a core ({verdict} 1 %), {memory / 1e6:.0f} MB")


def cpu_s(one: Started) -> float:
    """CPU seconds that a process has taken."""
    spent = psutil.Process(one.process.pid).cpu_times()
    return float(spent.user + spent.system)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
