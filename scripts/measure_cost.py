"""How often noise alone makes a candidate look dearer than the champion: what `max_cost` of bench/profiles.py rests on.

`python scripts/measure_cost.py [PAIRS] [PROFILE]` runs the shipped trainer beside itself (8 pairs of `short-breadth`),
two at a time as a night does, and prints the ratio of CPU seconds of each pair: the train phase alone, and the whole
training process.
"""

import math
import statistics
import sys
from pathlib import Path

from agent import git
from agent.cli_bench import DATA, working_tree
from agent.opening import home
from bench.data import open_dataset
from bench.job import Job, Measurement
from bench.profiles import profile
from bench.slots import Slots

TRAINING = ("setup", "compile", "train", "export")


def main() -> None:
    """Print one line a pair, and their spread."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 8
    budget = profile(sys.argv[2] if len(sys.argv) > 2 else "short-breadth")
    repo = git.here(Path(__file__).parent)
    tree = working_tree(repo.root)
    twin = tree | {"trainer/README.md": b"the same trainer under another key\n"}
    ratios: dict[str, list[float]] = {"train": [], "whole": []}
    with Slots(2, open_dataset(repo.root / DATA), home(repo) / "cost", lambda job, word: None) as slots:
        for seed in range(count + 1):
            futures = [slots.submit(Job(one, budget, seed)) for one in (twin, tree)]
            candidate, champion = (future.result() for future in futures)
            if seed == 0:  # compiles kernels, which later runs are lent
                continue
            for name, phases in (("train", TRAINING[2:3]), ("whole", TRAINING)):
                ratios[name].append(_cpu_s(candidate, phases) / _cpu_s(champion, phases))
            shares = " ".join(f"{phase} {champion.phases[phase].cpu_s:.2f}" for phase in TRAINING)
            print(f"train {ratios['train'][-1]:.3f}  whole {ratios['whole'][-1]:.3f}  ({shares} s)", flush=True)
    for name, found in ratios.items():
        logs = [math.log(ratio) for ratio in found]
        print(f"{name}: {min(found):.3f} to {max(found):.3f}, sd of the logarithm {statistics.stdev(logs):.3f}")


def _cpu_s(run: Measurement, phases: tuple[str, ...]) -> float:
    return sum(run.phases[phase].cpu_s for phase in phases if phase in run.phases)


if __name__ == "__main__":
    main()
