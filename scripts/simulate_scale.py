"""Where one champion limits throughput: the real night's loop on a bench whose clock jumps, with 1 to 64 workers.

`python -m scripts.simulate_scale [--seed 1] [--workers 1 2 4]` passes nights with real git, journal, verdicts and
window. Only the runs are made up: each takes what the median run of its profile took in the committed history
(autoresearch.jsonl), and ideas come as far as they did there, but for those that are kept: of these there were none, so
that their share is a choice.
"""

import argparse
import json
import platform
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path
from statistics import median

import pytest

from agent.attempt import Champion
from agent.journal import Journal
from agent.plan import reached, stage_of
from agent.proposal import Proposal
from agent.records import Begun, Experiment
from bench.job import Job
from tests.fakes.stack import Stack, build_stack
from tests.fakes.world import World

ROOT = Path(__file__).parents[1]
KEPT = (0.0, 0.05)
EFFECTS = {"breadth": (0.02, 0.02), "confirm": (-0.008, 0.0), "keep": (-0.02, -0.02)}
"""Bits per byte at breadth and at confirm, by how far an idea comes."""


def history() -> tuple[dict[str, float], Counter[str]]:
    """Median wall seconds of a run by its stage, and how many ideas came how far, in the committed history."""
    seconds: dict[str, list[float]] = {}
    stages: Counter[str] = Counter()
    for line in (ROOT / "autoresearch.jsonl").read_text().splitlines():
        word = json.loads(line)
        if "run" not in word or word.get("elsewhere"):
            continue
        found = Experiment.model_validate(word)
        if found.source != "baseline":
            stages[stage_of(reached(found))] += 1
        for run in found.runs:
            if run.fresh and run.wall_s:
                seconds.setdefault(stage_of(run.profile), []).append(run.wall_s)
    return {stage: median(those) for stage, those in seconds.items()}, stages


class Ideas:
    """Idea after idea, each a new file: whatever is kept, the others still fit."""

    def __init__(self, stages: Counter[str], kept: float, seed: int) -> None:
        self.stages, self.kept, self.seed = stages, kept, seed

    def stage(self, number: int) -> str:
        """How far the idea of that number comes: `keep` for one that is kept."""
        dice = random.Random(f"{self.seed}/{number}")
        return "keep" if dice.random() < self.kept else dice.choices([*self.stages], [*self.stages.values()])[0]

    def next(self, champion: Champion, journal: Journal, due: object = None) -> Proposal:
        """The one after those decided or under way."""
        number = len(journal.experiments) + len(journal.begun)
        name = f"trainer/idea_{number}.py"
        diff = f"--- /dev/null\n+++ b/{name}\n@@ -0,0 +1,1 @@\n+NUMBER = {number}\n"
        return Proposal(f"idea {number}", "made up", "queue", "training", diff=diff)

    def score(self, job: Job) -> float:
        """Bits per byte: what its ideas do, and what the seed does to every tree; below 0 where it fails at smoke."""
        numbers = [int(name.split("_")[1][:-3]) for name in job.tree if "idea_" in name]
        stage, found = stage_of(job.profile.name), 2.3 + random.Random(job.seed).gauss(0, 0.008)
        for number in numbers:
            furthest = self.stage(number)
            if furthest not in EFFECTS:
                return -1.0
            found += EFFECTS[furthest][stage == "confirm"]
            found += random.Random(f"{number}/{job.seed}/{stage}").gauss(0, 0.001) * (furthest != "keep")
        return found


def told(there: Stack, journal: Journal, workers: int) -> str:
    """One row of the table."""
    first, *tried = journal.experiments
    hours = (journal.experiments[-1].timestamp - first.timestamp) / 3.6e6
    began = {one.number: one.champion for one in journal.records if isinstance(one, Begun)}
    again = sum(one.parent != began.get(one.run, one.parent) for one in tried)
    kept = sum(one.status == "keep" for one in tried)
    share = there.bench.share(there.world.now)
    each = len(there.bench.jobs) / len(tried)
    return f"{workers:>7} {len(tried) / hours:>7.1f} {share:>7.0%} {kept:>5} {again:>6} {each:>10.2f}"


def main() -> None:
    """Print a table for each rate of keeps."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32, 64])
    asked = parser.parse_args()
    seconds, stages = history()
    print(f"python -m scripts.simulate_scale {' '.join(sys.argv[1:])}".strip())
    print(f"seed {asked.seed}; {platform.platform()}, Python {platform.python_version()}")
    print("seconds of a run: " + ", ".join(f"{stage} {each:.1f}" for stage, each in seconds.items()))
    print("ideas came to: " + ", ".join(f"{stage} {count}" for stage, count in stages.most_common()), flush=True)
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(prefix="nightshift-scale-") as folder:
        for kept in KEPT:
            print(f"\n{kept:.0%} of ideas are kept\n{'workers':>7} an hour  in use  kept  again  runs each", flush=True)
            for workers in asked.workers:
                ideas = Ideas(stages, kept, asked.seed)
                world = World().rule(patch)
                there = build_stack(
                    world,
                    Path(folder) / f"{kept}-{workers}",
                    Path(folder),
                    "",
                    workers,
                    seconds=lambda job: seconds[stage_of(job.profile.name)],
                    bpb=ideas.score,
                )
                print(told(there, there.night(max(96, 4 * workers), 1000.0, ideas), workers), flush=True)


if __name__ == "__main__":
    main()
