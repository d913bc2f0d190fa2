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
from tests.fakes.cluster import Started, certificates, scheduler, started, until, worker
from tests.fakes.hosts import Host, hosts, possible

CUT_S = 30.0
"""As long as a scheduler waits for a silent link unless it is told otherwise."""
NIGHT_S = 400.0
MANY = range(11, 23)
"""Four are under way at a time: what is waited for cannot be over before the one before is."""
IDEAS = "# The queue\n" + "".join(
    f'\n## Worse and sleepy {n}\n\n```knobs\nQUALITY = 0.{n}\nBEHAVIOUR = "sleep 4"\n```\n' for n in MANY
)
EXPECTED = [
    ("baseline", "keep", "baseline"),
    *((f"Worse and sleepy {n}", "discard", "worse_at_breadth") for n in MANY),
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
        workers = [(host, stack.enter_context(worker(address, repo, ours, host.inside))) for host in (near, far)]
        everybody = [one for _, one in workers]
        command = [*head.inside, sys.executable, "-m", "agent.cli", *WORDS, address]
        log = tmp_path / "night.log"
        night = stack.enter_context(started(command, repo, log, "n-0002", {**environment(), **ours}))

        def at_work(label: str) -> tuple[Host, Started]:
            """The worker that trains for that experiment now, and its host."""
            found: list[tuple[Host, Started]] = []

            def look() -> bool:
                found[:] = [(host, one) for host, one in workers if label in one.said and one.below()]
                return bool(found)

            until(look, NIGHT_S)
            return found[0]

        host, killed = at_work("n-0002")
        killed.kill()
        workers.remove((host, killed))
        until(lambda: "n-0002 DISCARD" in night.said, NIGHT_S)

        workers.append((host, stack.enter_context(worker(address, repo, ours, host.inside))))
        everybody.append(workers[-1][1])
        host, _ = at_work("n-0007")
        host.link("down")
        time.sleep(CUT_S)
        host.link("up")
        until(lambda: "n-0007 DISCARD" in night.said, NIGHT_S)

        at_work("n-0012")
        first.kill()
        stack.enter_context(scheduler(address, tmp_path, ours, head.inside))
        until(lambda: night.process.poll() is not None, NIGHT_S)
        assert night.process.returncode == 0, night.said
        until(lambda: not any(one.below() for _, one in workers), 20)

    assert verdicts(repo) == EXPECTED
    journal = journal_of(repo)
    lines = journal.path.read_text().splitlines()
    assert sum('"type":"measured"' in line for line in lines) == len(journal.measured)
    assert nightshift(repo, "replay", "1").stdout.endswith("every number came back to the last digit\n")
    # Only what was under way when something happened was begun more than once.
    begun = Counter(line[6:] for one in everybody for line in one.said.splitlines() if " · seed " in line)
    assert sum(begun.values()) > len(journal.measured) == len(begun)
