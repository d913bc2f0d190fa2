"""A night over hosts of their own, through TLS: whatever happens to them costs time and nothing else."""

import contextlib
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from bench.data import Dataset
from tests.agent.test_cluster_night import WORDS
from tests.agent.test_night import environment, journal_of, nightshift, verdicts
from tests.fakes import make_repo
from tests.fakes.cluster import certificates, scheduler, started, until, worker
from tests.fakes.hosts import hosts, possible

CUT_S = 30.0
"""As long as a scheduler waits for a silent link unless it is told otherwise."""
NIGHT_S = 400.0
IDEAS = "# The queue\n" + "".join(
    f'\n## Worse and sleepy {n}\n\n```knobs\nQUALITY = 0.{n}\nBEHAVIOUR = "sleepy"\n```\n' for n in range(1, 5)
)
EXPECTED = [
    ("baseline", "keep", "baseline"),
    *((f"Worse and sleepy {n}", "discard", "worse_at_breadth") for n in range(1, 5)),
]


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_killed_worker_a_cut_link_and_a_new_scheduler_lose_nothing_and_double_nothing(
    small_data: Dataset, tmp_path: Path
) -> None:
    if not possible():
        pytest.skip("network namespaces cannot be made here")
    repo = make_repo(tmp_path / "person", small_data.root, IDEAS)
    ours = certificates(tmp_path)
    with hosts(3) as (head, near, far), contextlib.ExitStack() as stack:
        address = f"tls://{head.address}:8786"
        first = stack.enter_context(scheduler(address, tmp_path, ours, head.inside))
        one = stack.enter_context(worker(address, repo, ours, near.inside))
        two = stack.enter_context(worker(address, repo, ours, far.inside))
        command = [*head.inside, sys.executable, "-m", "agent.cli", *WORDS, address]
        log = tmp_path / "night.log"
        night = stack.enter_context(started(command, repo, log, "n-0002", {**environment(), **ours}))

        until(lambda: "Worse and sleepy 1" in two.said and bool(two.below()))
        two.kill()
        until(lambda: "n-0002 DISCARD" in night.said, NIGHT_S)

        again = stack.enter_context(worker(address, repo, ours, far.inside))
        until(lambda: "Worse and sleepy 2" in one.said + again.said and bool(one.below()), NIGHT_S)
        near.link("down")
        time.sleep(CUT_S)
        near.link("up")
        until(lambda: "n-0003 DISCARD" in night.said, NIGHT_S)

        until(lambda: "Worse and sleepy 3" in one.said + again.said, NIGHT_S)
        first.kill()
        stack.enter_context(scheduler(address, tmp_path, ours, head.inside))
        until(lambda: night.process.poll() is not None, NIGHT_S)
        assert night.process.returncode == 0, night.said
        until(lambda: not one.below() and not again.below(), 20)

    assert verdicts(repo) == EXPECTED
    journal = journal_of(repo)
    lines = journal.path.read_text().splitlines()
    assert max(Counter(line for line in lines if '"type":"measured"' in line).values()) == 1
    assert sum('"type":"measured"' in line for line in lines) == len(journal.measured)
    assert nightshift(repo, "replay", "1").stdout.endswith("every number came back to the last digit\n")
    # Only what was under way when something happened was begun more than once.
    begun = Counter(line[6:] for worker in (one, two, again) for line in worker.said.splitlines() if " · seed " in line)
    assert sum(begun.values()) > len(journal.measured) == len(begun)
