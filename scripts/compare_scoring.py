"""How much faster the bench scores an artifact of size `tiny` than the reference evaluates as many tokens.

`REFERENCE=PATH python -m scripts.compare_scoring [--json]` trains `tiny` for some steps through the bench, has it score
the artifact as it scores every run, and has the reference, as it ships, evaluate the same weights on the same windows.
The two take turns. Needs `nightshift data prepare`.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from agent.cli_bench import DATA, working_tree
from bench.data import Dataset, open_dataset
from bench.errors import NightshiftError
from bench.job import Job, Measurement
from bench.profiles import PROFILES
from bench.slots import Slots
from scripts import child, reference
from trainer.config import read_config

TOKENS = 65_536
ROUNDS = 2
TARGET = "at least 8"
PROFILE = replace(PROFILES["smoke"], val_tokens=TOKENS, baseline_bytes=10**9)
"""A short training and a long scoring; the bytes do not matter here."""


def main() -> None:
    """Print both times and their ratio."""
    parser = argparse.ArgumentParser(prog="python -m scripts.compare_scoring", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    asked = parser.parse_args()
    try:
        path = reference.find(os.environ)
        data = open_dataset(child.ROOT / DATA)
        job = Job(tree=working_tree(child.ROOT), profile=PROFILE, seed=1)
        rounds = [compare(job, data, path) for _ in range(ROUNDS)]
    except NightshiftError as error:
        sys.exit(f"compare_scoring: {error}")
    ours, theirs = (statistics.fmean(seen[name] for seen in rounds) for name in ("ours_s", "reference_s"))
    about = child.provenance() | {
        "reference": f"{reference.FILE}, sha256 {reference.SHA256[:12]}…, as shipped",
        "data": f"{data.source}, digest {data.digest[:12]}",
        "seed": "1",
        "command": f"make compare-scoring REFERENCE={reference.FILE}",
    }
    if asked.json:
        print(json.dumps(about | {"tokens": TOKENS, "rounds": rounds, "ratio": theirs / ours}, indent=2))
        return
    print("\n".join(f"- {name}: {value}" for name, value in about.items()))
    print(f"\nScoring {TOKENS:,} tokens of an artifact of size tiny in windows of {PROFILE.window}\n")
    print("| | s | tokens/s | bits per byte |\n|---|---:|---:|---:|")
    first = rounds[0]
    print(f"| the reference's evaluation | {theirs:.2f} | {TOKENS / theirs:,.0f} | {first['reference_bpb']:.4f} |")
    print(f"| the bench's score phase | {ours:.2f} | {TOKENS / ours:,.0f} | {first['ours_bpb']:.4f} |")
    print(f"\n- the bench, its process's start and loading included, is {theirs / ours:.2f} times as fast; {TARGET}")


def compare(job: Job, data: Dataset, path: Path) -> dict[str, float]:
    """Seconds and bits per byte of one scoring by each."""
    with tempfile.TemporaryDirectory() as folder:
        with Slots(1, data, Path(folder), lambda job, word: None) as slots:
            ours: Measurement = slots.submit(job).result()
            artifact = slots.folder_of(job) / "artifact.bin"
        print(f"bench: {ours.phases['score'].wall_s:.2f} s", file=sys.stderr, flush=True)
        settings = reference.environment(path, read_config({}, PROFILE.size), iterations=PROFILE.steps)
        environment = child.environment(child.CORES, openblas=False, tuned=False) | settings | {"TMPDIR": folder}
        words = (str(artifact), str(data.root), str(TOKENS))
        theirs = json.loads(child.run("scripts.time_evaluation", *words, environment=environment))
        print(f"reference: {theirs['seconds']:.2f} s", file=sys.stderr, flush=True)
    return {
        "ours_s": ours.phases["score"].wall_s,
        "ours_bpb": ours.val_bpb,
        "ours_load_s": ours.phases["load"].wall_s,
        "reference_s": theirs["seconds"],
        "reference_bpb": theirs["bpb"],
    }


if __name__ == "__main__":
    main()
