"""How fast a whole training step is: the fast forms, the plain ones, and the limit that the machine's GEMM sets.

`python scripts/bench_trainer.py [SIZE …]` prints one line a size. Two runs work side by side, as in a night on two
cores, each with one thread and the environment that the bench gives a run; what they do at a time is the same: some
products of 1024 × 1024 matrices, a step of the fast forms, a step of the plain ones, and again.

OpenBLAS takes the kernels for this processor; `OPENBLAS_CORETYPE=Haswell` before the command has it take others, here
those of a processor without AVX-512, for the steps and the limit alike.
"""

import os
import platform
import statistics
import subprocess
import sys
from collections import defaultdict
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from agent.cli_bench import working_tree
from bench import files, kernels, machine

ROOT = Path(__file__).resolve().parents[1]
WORKERS = 2
ROUNDS = {"tiny": 11, "small": 5, "golf": 1}
TOKENS = 8192
CUBE = 2 * 1024**3
OTHER_KERNELS = {name: value for name, value in os.environ.items() if name == "OPENBLAS_CORETYPE"}


def main() -> None:
    """Print what was measured on what, and the table.

    `of limit` is FLOP a second of the fast step over the GEMM's, at the usual count of 6 a weight and 12 · layers ·
    width · window for attention (PaLM, arXiv 2204.02311, appendix B); `unmasked` counts only the half of attention that
    a causal model needs.
    """
    found = machine.fingerprint()
    blas = " for ".join([found.blas, *OTHER_KERNELS.values()])
    print(f"{found.processor}, {os.cpu_count()} cores; MLX {found.mlx}; {blas}; ", end="")
    print(f"{found.compiler}; Python {platform.python_version()}; NumPy {version('numpy')}")
    print(
        f"{WORKERS} runs side by side, one thread each; whole steps of {TOKENS:,} tokens, seed 1; medians of CPU time"
    )
    print(
        f"{'size':6} {'fast tok/s':>11} {'plain tok/s':>12} {'ratio':>6} {'GEMM':>12} {'of limit':>9} {'unmasked':>9}"
    )
    for size in sys.argv[1:] or ROUNDS:
        seen = measure(size)
        fast, plain = (sum(TOKENS / worker[form] for worker in seen) for form in ("fast", "plain"))
        gemm = sum(CUBE / worker["gemm"] for worker in seen)
        whole, causal = (fast * seen[0][count] / gemm for count in ("flops", "causal_flops"))
        rates = f"{fast:11,.0f} {plain:12,.0f} {fast / plain:6.2f} {gemm / 1e9:5.0f} GFLOP/s"
        print(f"{size:6} {rates:>39} {whole:9.0%} {causal:9.0%}", flush=True)


def measure(size: str) -> list[dict[str, float]]:
    """Of each worker the median seconds of a product and of a step of either form, and the model's FLOP a token."""
    tree = files.tree_key(working_tree(ROOT))
    here = machine.fingerprint().model_dump_json()
    command = [sys.executable, "-s", "-B", str(ROOT / "scripts" / "measure_trainer.py"), size, str(TOKENS)]
    with TemporaryDirectory() as home:
        kernels.lend([tree], here, Path(home))
        environment = machine.environment() | OTHER_KERNELS | {"TMPDIR": home, "HOME": home}
        workers = [
            subprocess.Popen(
                command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
            )
            for _ in range(WORKERS)
        ]
        for worker in workers:  # one after the other, so that the second finds the kernels of the first
            ask([worker], "plain")
            ask([worker], "fast")
        seconds = [defaultdict[str, list[float]](list) for _ in workers]
        for _ in range(ROUNDS.get(size, 3)):
            for word in ("gemm", "gemm", "gemm", "fast", "plain"):
                for taken, answer in zip(seconds, ask(workers, word), strict=True):
                    taken[word].append(answer)
        facts = {word: ask(workers[:1], word)[0] for word in ("flops", "causal_flops")}
        kernels.keep(tree, here, Path(home))
        for worker in workers:
            worker.communicate()
    return [{word: statistics.median(values) for word, values in taken.items()} | facts for taken in seconds]


def ask(workers: list[subprocess.Popen[str]], word: str) -> list[float]:
    """Have all workers do the same at the same time; what each answers. Ends this process where one has failed."""
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write(word + "\n")
    answers = []
    for worker in workers:
        assert worker.stdout is not None
        line = worker.stdout.readline()
        if not line:
            sys.exit(f"a measurement ended with code {worker.wait()} when asked for {word}")
        answers.append(float(line))
    return answers


if __name__ == "__main__":
    main()
