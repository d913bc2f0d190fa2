"""What `nightshift dashboard` takes of a core with a page open, against a night with a thousand experiments.

    python -m scripts.measure_dashboard [SECONDS]

The night is that of scripts/measure_live.py. The page is a client that follows what is told and fetches the night anew
whenever there is more of it; what a browser takes to draw it is not counted. What starting and the first page take is
counted apart.
"""

import os
import sys
import tempfile
import threading
import time
from itertools import islice
from pathlib import Path

import httpx
import psutil

from agent.git import here
from agent.lock import alone
from agent.opening import journal_path
from scripts.measure_live import EXPERIMENTS, MOST_SHARE, NAME, STARTED_S, cloned, cpu_s, seconds_of, write
from tests.agent.serving import Served, events, serving


def main(seconds: int = 60) -> None:
    """Print it all."""
    with tempfile.TemporaryDirectory() as temporary:
        clone = cloned(Path(temporary))
        repo = here(clone)
        path, head = journal_path(repo, NAME), repo.commit_of("HEAD")
        waiting, heard = write(path, head), dict[str, int]()
        with alone(repo, f"night {NAME}"), serving(clone) as served:
            threading.Thread(target=follow, args=(served, heard), daemon=True).start()
            process = psutil.Process(served.process.pid)
            for second in islice(seconds_of(path, repo.trainer(head), waiting), int(STARTED_S) + seconds):
                if second == STARTED_S:
                    began_s, began = cpu_s(process), time.monotonic()
            told_s, wall_s = cpu_s(process) - began_s, time.monotonic() - began
    assert heard.get("now", 0) > seconds / 2, f"the page was told too little: {heard}"
    share = told_s / wall_s
    words = ", ".join(f"{count} times {name}" for name, count in heard.items())
    print(f"{EXPERIMENTS:,} experiments, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; told: {words}")
    print(f"start          {began_s:6.2f} CPU s, once")
    print(f"telling        {told_s:6.2f} CPU s in {wall_s:.0f} s")
    print(f"share          {100 * share:6.2f} % of a core ({'within' if share <= MOST_SHARE else 'over'} 1 %)")


def follow(served: Served, heard: dict[str, int]) -> None:
    """Do what a page does, and count what it is told; ends with the dashboard."""
    httpx.get(served.address, timeout=30)
    try:
        with httpx.stream("GET", f"{served.address}events", timeout=30) as answer:
            for name, _ in events(answer):
                heard[name] = heard.get(name, 0) + 1
                if name == "morning":
                    httpx.get(f"{served.address}morning.json", timeout=30)
    except httpx.TransportError:
        return


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
