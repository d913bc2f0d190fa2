"""How many bytes the shipped trainer's artifact and code take: where `baseline_bytes` of bench/profiles.py come from.

`python scripts/measure_caps.py [SEEDS [PROFILE …]]` prints the range over the seeds 1 … SEEDS (6) under each profile,
or those named, from the working tree. The largest counts: compressed bytes vary by a per cent or two with the seed, and
no seed may put the champion over its own cap. The sealed split is left alone: an audit trains as confirm does.
"""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from agent import git
from agent.cli_bench import DATA, working_tree
from agent.opening import home
from bench.data import open_dataset
from bench.job import Job
from bench.profiles import PROFILES
from bench.slots import Slots


def main() -> None:
    """Print one line a profile."""
    seeds = range(1, 1 + int(sys.argv[1] if len(sys.argv) > 1 else 6))
    names = sys.argv[2:] or [name for name, profile in PROFILES.items() if profile.split == "val"]
    repo = git.here(Path(__file__).parent)
    tree = working_tree(repo.root)
    with Slots(2, open_dataset(repo.root / DATA), home(repo) / "caps", lambda job, word: None) as slots:

        def totals(name: str) -> Iterator[int]:
            uncapped = replace(PROFILES[name], baseline_bytes=10**9, split="val")
            futures = [slots.submit(Job(tree, uncapped, seed)) for seed in seeds]
            return (future.result().total_bytes for future in futures)

        for name in names:
            found = sorted(totals(name))
            print(f"{name:14} {found[0]:>8,} to {found[-1]:>8,} bytes over {len(found)} seeds", flush=True)


if __name__ == "__main__":
    main()
