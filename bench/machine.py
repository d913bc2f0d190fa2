"""What this machine is: the fingerprint under which a measurement may be reused."""

import json
import platform
import subprocess
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from bench import blas, kernels
from bench.errors import MachineError

HERE = Path(__file__).parent
PYTHON = Path(sys.executable).absolute()
SCRIPT_DEVICE = "script"
"""Stands for whatever a script computes on."""


class Fingerprint(BaseModel):
    """Two runs can be compared bit by bit only where these agree."""

    model_config = ConfigDict(frozen=True)

    processor: str
    """Where a GPU of another name computes, that too."""
    blas: str
    compiler: str = "none"
    threads: int
    mlx: str
    device: str

    @property
    def repeatable(self) -> bool:
        """Whether one commit and one seed give the same bits every time (measured on CPU; not promised on a GPU)."""
        return self.device == "cpu"


class Probe(BaseModel):
    """What a fresh process saw of MLX."""

    mlx: str
    device: str
    name: str
    """Of the device."""
    gigaflops: float


def environment(threads: int = 1) -> dict[str, str]:
    """All that a run's process finds in its environment on top of the contract's variables; nothing of the caller's."""
    library, compiler = blas.find().path, kernels.compiler().folder
    return {
        "PATH": f"{compiler}:{kernels.SYSTEM_PATH}" if compiler else kernels.SYSTEM_PATH,
        "LANG": "C.UTF-8",
        "PYTHONHASHSEED": "0",
        "OPENBLAS_NUM_THREADS": str(threads),
        "OMP_NUM_THREADS": str(threads),
        "VECLIB_MAXIMUM_THREADS": str(threads),
        # A step frees and takes the same megabytes over and over: glibc is to keep them, not to ask the kernel again.
        "MALLOC_MMAP_MAX_": "0",
        "MALLOC_TRIM_THRESHOLD_": str(1 << 40),
        **({"BLAS": str(library)} if library else {}),
    }


def launcher(name: str) -> list[str]:
    """The command that starts one of the bench's launchers: no site folder of the person's, no current folder."""
    return [str(PYTHON), "-s", "-P", "-B", str(HERE / f"launch_{name}.py")]


def tools() -> list[Path]:
    """What the environment and the launchers' commands name, for a sandbox to show."""
    named = (blas.find().path, kernels.compiler().folder, *HERE.glob("launch_*.py"))
    return [path for path in named if path]


@cache
def probe() -> Probe:
    """Start MLX once in a process of its own. Raises MachineError where it does not start."""
    done = subprocess.run(launcher("probe"), env=environment(), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["no output"]
        raise MachineError(f"MLX does not start here ({lines[-1]}): pip install -U 'mlx[cpu]'")
    return Probe.model_validate(json.loads(done.stdout))


def installed_mlx() -> str:
    """The version of MLX that a process started now finds."""
    return version("mlx")


@cache
def fingerprint(threads: int = 1) -> Fingerprint:
    """This machine's fingerprint for runs of `threads` threads."""
    seen, processor = probe(), _processor()
    alone = seen.device == "cpu" or seen.name in ("", processor)  # on a Mac both have the chip's name
    return Fingerprint(
        processor=processor if alone else f"{processor} with {seen.name}",
        blas=blas.find().name,
        compiler=kernels.compiler().name,
        threads=threads,
        mlx=seen.mlx,
        device=seen.device,
    )


def of_script() -> Fingerprint:
    """This machine's fingerprint for a script: what it computes with is its own affair, and no run of it is promised
    to come back bit by bit.
    """
    return Fingerprint(processor=_processor(), blas="", threads=0, mlx="", device=SCRIPT_DEVICE)


def _processor() -> str:
    if sys.platform == "darwin":
        command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
