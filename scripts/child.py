"""The processes in which the comparisons measure, and what stands beside their numbers."""

import os
import subprocess
import sys
from pathlib import Path

from bench import kernels, machine

ROOT = Path(__file__).resolve().parents[1]
CORES = os.cpu_count() or 1


def environment(threads: int = 1, *, openblas: bool = True, tuned: bool = True) -> dict[str, str]:
    """The bench's own environment, with its matrix library loaded before MLX; or without, as MLX's wheel comes.

    Where it is not `tuned`, the compiler is the system's own and memory is glibc's affair, as for anybody.
    """
    found = machine.environment(threads)
    library = found.pop("BLAS", None)
    if not tuned:
        found = {name: value for name, value in found.items() if not name.startswith("MALLOC_")}
        found["PATH"] = kernels.SYSTEM_PATH
    return found | ({"LD_PRELOAD": library} if library and openblas else {})


def run(module: str, *words: str, environment: dict[str, str], text: str = "") -> str:
    """What `module` of this repository prints when `text` is its standard input; its standard error is the caller's.

    Ends this process where that one failed.
    """
    command = [sys.executable, "-s", "-B", "-m", module, *words]
    done = subprocess.run(
        command, env=environment, cwd=ROOT, input=text, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode != 0:
        sys.exit(f"{module} {' '.join(words)} ended with code {done.returncode}")
    return done.stdout


def provenance() -> dict[str, str]:
    """The machine and the versions behind a number."""
    seen = machine.fingerprint()
    return {
        "machine": f"{CORES} cores of {seen.processor}",
        "python": sys.version.split()[0],
        "mlx": seen.mlx,
        "blas": seen.blas,
        "compiler": seen.compiler,
        "device": seen.device,
    }
