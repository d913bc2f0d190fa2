"""One entry of the corpus through everything a proposal goes through: its diff, the gate, the real bench.

    python -m tests.cheats.trial DATA NAME…     prints one JSON line for each: what became of it

DATA is a prepared folder. `scripts/mutate_defences.py` runs this in copies of the project that lack a defence.
"""

import json
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from threading import Event

from agent import cost, edits, lab
from agent.cli_bench import working_tree
from agent.lab import Role
from agent.records import Run
from agent.twins import without_stale
from bench import files, gate
from bench.data import Dataset, open_dataset
from bench.errors import Refusal
from bench.job import Job, Measurement
from bench.measure import measure
from bench.profiles import Limits, Profile, profile
from tests.cheats import corpus
from tests.cheats.corpus import Entry

ROOT = Path(__file__).parents[2]
LIMITS = Limits(setup_s=30.0, compile_s=60.0, train_s=60.0, export_s=40.0, score_s=60.0, total_s=120.0, stall_s=20.0)
SEEDS = (1, 3)


@dataclass(frozen=True)
class Outcome:
    """What became of an entry."""

    name: str
    reason: str | None
    """The name of its refusal; None where it passed."""
    detail: str = ""
    val_bpb: float | None = None
    """Its score, where it passed."""


@cache
def shipped() -> dict[str, bytes]:
    """The trainer that all diffs of the corpus are made against."""
    return working_tree(ROOT)


def budget(defence: str = "") -> Profile:
    """The cheapest profile under which `defence` can show: some three steps, and sixteen windows to score."""
    smoke = replace(profile("short-smoke"), val_tokens=4_096, limits=LIMITS)
    if defence == "cost.ratio":
        # A few steps more, or the noise of starting up would be what is compared; and a cap that is not what refuses,
        # for what trained longer takes more bytes.
        return replace(smoke, steps=10, baseline_bytes=profile("confirm").baseline_bytes)
    return replace(smoke, check_prefixes=defence == "judge.audit")


def candidate(entry: Entry) -> dict[str, bytes]:
    """The tree that a night would measure for it. Raises ProposalError."""
    parent = shipped()
    tree = edits.apply(parent, edits.parse_diff(entry.diff))
    gate.check(tree, parent)
    return without_stale(parent, tree)


def run(tree: dict[str, bytes], budget: Profile, seed: int, data: Dataset, folder: Path) -> Measurement:
    """One run on the real bench, with the shipped trainer's kernels to start from. Raises RunFailed."""
    job = Job(tree, budget, seed=seed, parent=files.tree_key(shipped()))
    return measure(job, data, folder / "run", lambda word: None, Event())


def trial(entry: Entry, data: Dataset, folder: Path) -> Outcome:
    """Try one entry. Bad candidates are outcomes; whatever else goes wrong is raised."""
    profile = budget(entry.defence)
    try:
        tree = candidate(entry)
        found = run(tree, profile, SEEDS[0], data, folder)
        if entry.defence == "lab.two-seeds":
            again = run(tree, profile, SEEDS[1], data, folder)
            lab.check_seeds([as_run("candidate", *both) for both in zip(SEEDS, (found, again), strict=True)])
        if entry.defence == "cost.ratio":
            rival = dict(cost.rival(shipped(), tree))
            first = cost.ratio(pair(found, run(rival, profile, SEEDS[0], data, folder)))
            _, refused = cost.over_budget(
                profile.max_cost, first, lambda look: cost.ratio(side_by_side(tree, rival, profile, data, folder))
            )
            if refused:
                return Outcome(entry.name, refused.reason, refused.detail)
    except Refusal as refusal:
        return Outcome(entry.name, refusal.reason, refusal.detail)
    return Outcome(entry.name, None, val_bpb=found.val_bpb)


def side_by_side(
    candidate: dict[str, bytes], champion: dict[str, bytes], profile: Profile, data: Dataset, folder: Path
) -> list[Run]:
    """Both measured at the same time, so that they share the machine's moods."""
    with ThreadPoolExecutor() as pool:
        waiting = [
            pool.submit(run, tree, profile, SEEDS[0], data, folder / name)
            for name, tree in (("candidate", candidate), ("champion", champion))
        ]
        return pair(*(one.result() for one in waiting))


def pair(candidate: Measurement, champion: Measurement) -> list[Run]:
    """Two measurements under one seed, as the agent compares them."""
    return [as_run("candidate", SEEDS[0], candidate), as_run("champion", SEEDS[0], champion)]


def as_run(role: Role, seed: int, found: Measurement) -> Run:
    """A measurement as the agent compares it."""
    seconds = found.training.cpu_s
    return Run(role=role, profile="trial", seed=seed, training_s=seconds, artifact_sha256=found.artifact_sha256)


def main(data: str, *names: str) -> None:
    """Try the entries of those names, one after another."""
    dataset = open_dataset(Path(data).resolve())
    by_name = {entry.name: entry for entry in corpus.entries()}
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            outcome = trial(by_name[name], dataset, Path(folder))
        print(json.dumps(asdict(outcome)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
