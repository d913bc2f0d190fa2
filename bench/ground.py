"""What a number rests on besides its job: only where all of it is the same are runs of two machines compared."""

import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict

from bench import files, machine, sandbox
from bench.data import Dataset, read_manifest
from bench.machine import Fingerprint

PACKAGES = ("numpy", "sentencepiece", "zstandard")
"""What trainer and judge compute with, besides MLX, which the fingerprint names."""


class Ground(BaseModel):
    """The ground of a run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: str
    """Source and digest, as a night's header has them."""
    fingerprint: Fingerprint
    sandbox: str
    packages: str
    """Python and what a trainer uses of what is installed, with versions."""
    bench: str
    """Hash of the bench's own code."""

    @classmethod
    def of(cls, data: Dataset) -> Self:
        """The ground here and now: manifest, MLX and the bench's files are read afresh. Raises DataError."""
        return cls(
            data=read_manifest(data.root).key,
            fingerprint=machine.fingerprint().model_copy(update={"mlx": machine.installed_mlx()}),
            sandbox=sandbox.chosen().name,
            packages=_packages(),
            bench=files.tree_key({path.name: path.read_bytes() for path in Path(__file__).parent.glob("*.py")})[:12],
        )

    def differences(self, there: "Ground") -> list[str]:
        """What keeps runs made `there` from being compared with runs made here, in words."""
        mine, other = self._facts(), there._facts()
        return [f"{name} is {other[name]}, here {mine[name]}" for name in mine if mine[name] != other[name]]

    def _facts(self) -> dict[str, str]:
        here = self.fingerprint
        return {
            "its data": self.data,
            "its processor": here.processor,
            "its MLX": f"{here.mlx} on {here.device}",
            "its BLAS": f"{here.blas}, {here.threads} threads",
            "its compiler": here.compiler,
            "its sandbox": self.sandbox,
            "its Python": self.packages,
            "its version of the bench": self.bench,
        }


@cache
def _packages() -> str:
    return ", ".join([platform.python_version(), *(f"{name} {_version(name)}" for name in PACKAGES)])


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"
