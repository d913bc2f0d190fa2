"""Compiled kernels: the compiler MLX is given on a Linux CPU, and the store of what it has compiled.

There `mx.compile` writes C++ and runs `g++ -O3` on it, which leaves most of the processor unused: without leave to
reorder sums and without the processor's own instructions, every power and every tanh is a call of its own. A folder
with a `g++` of ours, first in a run's PATH, adds `FLAGS` and calls the real one. Elsewhere MLX needs no help, and
without a compiler it runs the same operations one by one.

A kernel takes about a second to compile and is looked up by name under TMPDIR, so runs are lent copies: of what was
compiled for the same tree, else for the champion's. What is kept comes from a run on made-up text (`measure._warm_up`):
a folder that outlives a real run would carry its weights, or the text it was asked about, to the next one.
"""

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

from bench import files

SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"
FLAGS = {
    "x86_64": ("-march=native", "-mprefer-vector-width=512"),
    "aarch64": ("-mcpu=native",),
}
"""The processor's own instructions, at their full width."""
FAST_MATH = ("-ffast-math", "-fno-finite-math-only", "-D__FAST_MATH__")
"""Vector forms of powers and logarithms (glibc's libmvec wants the macro), with NaN and infinity kept as they are."""
MOST_BYTES = 16 << 20
"""What is kept of one tree at the most: the shipped trainer's kernels take two megabytes."""
TREES = 64
"""How many trees' kernels the store keeps: the latest used. Of trees that compile none it remembers as many beside."""


class Compiler(NamedTuple):
    """What compiles kernels: its name with its version, and the folder to put first in PATH (none: leave PATH)."""

    name: str
    folder: Path | None


@cache
def compiler() -> Compiler:
    """The compiler for this machine; writes its folder on first use, and does without the flags where they fail."""
    real = shutil.which("g++", path=SYSTEM_PATH) if sys.platform == "linux" else None
    if real is None:
        return Compiler("none", None)
    release = subprocess.run([real, "-dumpfullversion"], capture_output=True, text=True, check=False).stdout.strip()
    flags = (*FLAGS.get(platform.machine(), ()), *FAST_MATH)
    script = f'#!/bin/sh\nexec {real} "$@" {" ".join(flags)}\n'
    folder = files.user_cache() / f"compiler-{_digest(release, script)}"
    wrapper = folder / "g++"
    if not wrapper.exists():
        if not _compiles([real, *flags]):
            return Compiler(f"g++ {release}", None)
        files.write_atomic(wrapper, script.encode(), mode=0o755)
    return Compiler(f"g++ {release}, vectorised", folder)


def lend(trees: Sequence[str], machine: str, folder: Path) -> None:
    """Copy the kernels of the first of `trees` (keys) that has any into `folder`, a run's TMPDIR.

    `machine` names all that a kernel depends on: a store for one is nothing to another.
    """
    with _store(machine, fcntl.LOCK_SH) as store:
        for kept in (store / tree for tree in trees if tree):
            if kept.is_dir():
                os.utime(kept)
                shutil.copytree(kept, folder, dirs_exist_ok=True)
                return


def known(tree: str, machine: str) -> bool:
    """Whether kernels of `tree`, perhaps none at all, were kept."""
    with _store(machine, fcntl.LOCK_SH) as store:
        return (store / tree).is_dir()


def keep(tree: str, machine: str, folder: Path) -> None:
    """Keep the kernels that lie in `folder` for runs of `tree`; forget the least used trees."""
    with _store(machine, fcntl.LOCK_EX) as store:
        kept = store / tree
        kept.mkdir(exist_ok=True)
        left = MOST_BYTES
        for kernel, content in files.plain_files(folder / "mlx", MOST_BYTES):
            target = kept / "mlx" / kernel
            left -= len(content)
            if kernel.suffix == ".so" and left > 0 and not target.exists():
                files.write_atomic(target, content)
        by_use = sorted(store.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
        compiled = [path for path in by_use if (path / "mlx").is_dir()]
        without = [path for path in by_use if path not in compiled]
        for stale in (*compiled[TREES:], *without[TREES:]):
            files.remove(stale)


@contextmanager
def _store(machine: str, sharing: int) -> Iterator[Path]:
    """The store for `machine`, which other runs and other nights prune meanwhile unless they are kept out."""
    store = files.user_cache() / "kernels" / _digest(machine)
    store.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(store, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, sharing)
        yield store
    finally:
        os.close(descriptor)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def _compiles(command: list[str]) -> bool:
    source = b"extern float f(float x) { return x; }"
    arguments = ["-x", "c++", "-shared", "-fPIC", "-", "-o", os.devnull]
    return subprocess.run([*command, *arguments], input=source, capture_output=True, check=False).returncode == 0
