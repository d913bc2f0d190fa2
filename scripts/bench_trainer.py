"""How fast a whole training step is: the fast forms, the plain ones, and the limit that the machine's GEMM sets.

`python scripts/bench_trainer.py [SIZE …]` prints one line a size (tiny and small where none is named). Every size is
measured in a process of its own, with one thread and the environment that the bench gives a run.
"""

import json
import subprocess
import sys
from pathlib import Path

from bench import machine

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Print the table. `of limit` is the fast form's FLOP a second over the GEMM's."""
    print("one thread; tokens a second of CPU time, medians of whole steps of 8,192 tokens")
    print(f"{'size':6} {'fast':>9} {'plain':>9} {'ratio':>6} {'GEMM 1024³':>14} {'of limit':>9}")
    for size in sys.argv[1:] or ["tiny", "small"]:
        seen = measure(size)
        fast, plain, gemm = (seen[name] for name in ("fast", "plain", "gemm"))
        share = fast * seen["flops_a_token"] / gemm
        line = f"{size:6} {fast:9,.0f} {plain:9,.0f} {fast / plain:6.2f} {gemm / 1e9:8.1f} GFLOP/s {share:9.0%}"
        print(line, flush=True)


def measure(size: str) -> dict[str, float]:
    """What `measure_trainer.py` printed in a process of its own. Ends this one where that one failed."""
    command = [sys.executable, "-s", "-B", str(ROOT / "scripts" / "measure_trainer.py"), size]
    done = subprocess.run(command, env=machine.environment(), stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"the measurement of {size} ended with code {done.returncode}")
    seen: dict[str, float] = json.loads(done.stdout)
    return seen


if __name__ == "__main__":
    main()
