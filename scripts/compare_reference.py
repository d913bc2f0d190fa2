"""How much faster a whole training step is than the reference's, as people get that on a Linux CPU and at its best.

`REFERENCE=PATH python -m scripts.compare_reference [--json] [SIZE …]` (tiny and small where none is named) prints one
Markdown table a size, and its progress on standard error. The forms run one after another, each in a process of its
own, in rounds: what else the machine does falls on all of them, and every ratio is one of the same minutes.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from bench import machine
from bench.errors import MachineError, NightshiftError
from scripts import child, reference
from trainer.config import read_config

TOKENS = 8192
SIZES = {
    "tiny": "S = `tiny`, 4 × 128, windows of 256",
    "small": "M = `small`, 6 × 256, windows of 512",
    "golf": "L = `golf`, 9 × 512, windows of 1,024",
}
ROUNDS = {"tiny": 3, "small": 3, "golf": 2}
STEPS_A_ROUND = {"tiny": 2, "small": 1, "golf": 1}
SLOW_S = 120.0
"""A form that takes longer for its first step is timed by that one alone; else the first step of a round warms up."""
TARGETS = {
    "shipped": {"tiny": "at least 12, sought 15", "small": "at least 17, sought 20", "golf": "at least 19, sought 24"},
    "float32": {"tiny": "at least 1.8", "small": "at least 1.6", "golf": "at least 1.3"},
}


@dataclass(frozen=True)
class Form:
    """One thing that is timed, with so many BLAS threads."""

    kind: str
    label: str
    threads: int


@dataclass(frozen=True)
class Timing:
    """What one form's steps took: medians, in seconds."""

    form: Form
    wall_s: float
    cpu_s: float
    steps: int


THREADS = sorted({1, child.CORES})
FORMS = (
    Form("shipped", "reference as shipped", child.CORES),
    *(Form("float32", "reference in float32 with OpenBLAS", threads) for threads in THREADS),
    *(Form("ours", "trainer/", threads) for threads in THREADS),
)


def main() -> None:
    """Compare the sizes asked for."""
    parser = argparse.ArgumentParser(prog="python -m scripts.compare_reference", description=__doc__)
    parser.add_argument("sizes", nargs="*", metavar="SIZE", help=", ".join(SIZES))
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    asked = parser.parse_args()
    sizes = asked.sizes or ["tiny", "small"]
    if unknown := sorted(set(sizes) - set(SIZES)):
        parser.error(f"no size {unknown[0]!r}: choose from {', '.join(SIZES)}")
    try:
        path = reference.find(os.environ)
        need_openblas()
    except NightshiftError as error:
        sys.exit(f"compare_reference: {error}")
    about = child.provenance() | {
        "reference": f"{reference.FILE}, sha256 {reference.SHA256[:12]}…",
        "seed": "1",
        "command": f"make compare-reference REFERENCE={reference.FILE} SIZES='{' '.join(sizes)}'",
    }
    if not asked.json:
        print("\n".join(f"- {name}: {value}" for name, value in about.items()), flush=True)
    found = {}
    for size in sizes:
        load = os.getloadavg()[0]
        timings = compare(path, size)
        found[size] = {"load_before": load, "timings": [asdict(t) for t in timings], "ratios": ratios(timings)}
        if not asked.json:
            print(f"\n{table(size, timings, load)}", flush=True)
    if asked.json:
        print(json.dumps(about | {"tokens": TOKENS, "sizes": found}, indent=2))


def need_openblas() -> None:
    """Raise MachineError where MLX runs on something else than a CPU with OpenBLAS."""
    seen = machine.fingerprint()
    if seen.device != "cpu" or not seen.blas.startswith("OpenBLAS"):
        raise MachineError(
            f"MLX has {seen.blas} on {seen.device} here, and this compares on a Linux CPU: pip install scipy-openblas32"
        )


def compare(path: Path, size: str) -> list[Timing]:
    """Time every form at one size."""
    counted: dict[Form, list[dict[str, float]]] = {form: [] for form in FORMS}
    with tempfile.TemporaryDirectory() as kernels:
        for _ in range(ROUNDS[size]):
            for form, steps in counted.items():
                if all(step["wall_s"] <= SLOW_S for step in steps):
                    steps.extend(measure(form, path, size, kernels))
    return [
        Timing(
            form,
            wall_s=statistics.median(step["wall_s"] for step in steps),
            cpu_s=statistics.median(step["cpu_s"] for step in steps),
            steps=len(steps),
        )
        for form, steps in counted.items()
    ]


def measure(form: Form, path: Path, size: str, kernels: str) -> list[dict[str, float]]:
    """The steps of one form in one round; what MLX compiles for a form is kept below `kernels`."""
    config = read_config({"TRAIN_BATCH_TOKENS": str(TOKENS)}, size)
    own = Path(kernels, form.kind)
    own.mkdir(exist_ok=True)
    environment = child.environment(form.threads, openblas=form.kind != "shipped", tuned=form.kind == "ours")
    environment["TMPDIR"] = str(own)
    settings = reference.environment(path, config, iterations=100)
    words = (form.kind, size, str(STEPS_A_ROUND[size]), str(SLOW_S))
    print(f"{form.label}, BLAS threads: {form.threads}", file=sys.stderr, flush=True)
    steps: list[dict[str, float]] = json.loads(
        child.run("scripts.time_steps", *words, environment=environment | settings)
    )
    return steps


def best(timings: list[Timing], kind: str) -> Timing:
    """The quickest of a kind, whatever its threads."""
    return min((timing for timing in timings if timing.form.kind == kind), key=lambda timing: timing.wall_s)


def ratios(timings: list[Timing]) -> dict[str, float]:
    """How many times as long the reference takes as trainer/, each with its best number of threads."""
    ours = best(timings, "ours").wall_s
    return {kind: best(timings, kind).wall_s / ours for kind in TARGETS}


def table(size: str, timings: list[Timing], load: float) -> str:
    """The timings of a size as Markdown."""
    ours = best(timings, "ours")
    lines = [
        f"{SIZES[size]}; whole steps of {TOKENS:,} tokens with the optimizer (load before: {load:.2f})",
        "",
        "| | BLAS threads | s a step | CPU s a step | tokens/s | steps | times trainer/ |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for timing in timings:
        cells = (
            timing.form.label,
            timing.form.threads,
            f"{timing.wall_s:.2f}",
            f"{timing.cpu_s:.2f}",
            f"{TOKENS / timing.wall_s:,.0f}",
            timing.steps,
            f"{timing.wall_s / ours.wall_s:.2f}",
        )
        lines.append(f"| {' | '.join(map(str, cells))} |")
    lines.append("")
    for kind, ratio in ratios(timings).items():
        other = best(timings, kind).form
        lines.append(
            f"- trainer/ (threads: {ours.form.threads}) is {ratio:.2f} times as fast as the {other.label} "
            f"(threads: {other.threads}); {TARGETS[kind][size]}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
