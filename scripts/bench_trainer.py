"""How fast a whole training step is: the fast forms, the plain ones, and the limit that the machine's GEMM sets.

`python scripts/bench_trainer.py [SIZE …]` prints one line a size. Two runs work side by side, as in a night on two
cores, each with one thread and the environment that the bench gives a run; what they do at a time is the same: some
products of 1024 × 1024 matrices, a step of the fast forms, a step of the plain ones, and again. Between the rounds,
while both wait, a process with a thread a core shows what OpenBLAS can do here.
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


def main() -> None:
    """Print what was measured on what, and the table.

    FLOP are counted as usual, 6 a weight and 12 · layers · width · window for attention (PaLM, arXiv 2204.02311,
    appendix B). `of limit` divides those of both runs by the best that one product gets from OpenBLAS with a thread a
    core, `of both` by what products in both runs at once got together; `unmasked` is `of limit` where only the half of
    attention that a causal model needs is counted.
    """
    found = machine.fingerprint()
    print(f"{found.processor}, {os.cpu_count()} cores; MLX {found.mlx}; {found.blas}; {found.compiler}; ", end="")
    print(f"Python {platform.python_version()}; NumPy {version('numpy')}")
    print(
        f"{WORKERS} runs side by side, one thread each; whole steps of {TOKENS:,} tokens, seed 1; medians of CPU time"
    )
    print("size    fast tok/s  plain tok/s  ratio         limit  of limit  unmasked  of both")
    for size in sys.argv[1:] or ROUNDS:
        seen = measure(size)
        fast, plain = (sum(TOKENS / worker[form] for worker in seen) for form in ("fast", "plain"))
        limit, both = CUBE / seen[0]["limit"], sum(CUBE / worker["gemm"] for worker in seen)
        whole, causal = (fast * seen[0][count] for count in ("flops", "causal_flops"))
        rates = f"{fast:11,.0f} {plain:12,.0f} {fast / plain:6.2f} {limit / 1e9:5.0f} GFLOP/s"
        print(f"{size:6} {rates} {whole / limit:9.0%} {causal / limit:9.0%} {whole / both:8.0%}", flush=True)


def measure(size: str) -> list[dict[str, float]]:
    """Of each worker the median seconds of a product and of a step of either form, and the model's FLOP a token."""
    tree = files.tree_key(working_tree(ROOT))
    here = machine.fingerprint().model_dump_json()
    command = [sys.executable, "-s", "-B", str(ROOT / "scripts" / "measure_trainer.py"), size, str(TOKENS)]
    with TemporaryDirectory() as home:
        kernels.lend([tree], here, Path(home))
        *workers, widest = (
            subprocess.Popen(
                command,
                env=machine.environment(threads) | {"TMPDIR": home, "HOME": home},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                bufsize=1,
            )
            for threads in (*[1] * WORKERS, os.cpu_count() or 1)
        )
        for worker in workers:  # one after the other, so that the second finds the kernels of the first
            ask([worker], "plain")
            ask([worker], "fast")
        limits: list[float] = []
        seconds = [defaultdict[str, list[float]](list) for _ in workers]
        for _ in range(ROUNDS.get(size, 3)):
            for word in ("gemm", "gemm", "gemm", "fast", "plain"):
                for taken, answer in zip(seconds, ask(workers, word), strict=True):
                    taken[word].append(answer)
            limits += [ask([widest], "wall gemm")[0] for _ in range(10)]
        facts = {word: ask(workers[:1], word)[0] for word in ("flops", "causal_flops")} | {"limit": min(limits)}
        kernels.keep(tree, here, Path(home))
        for worker in (*workers, widest):
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
