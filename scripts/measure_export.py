"""What an artifact of the golf size weighs, and how long it takes to load.

`python scripts/measure_export.py` prints one line a model. No model was trained for it. One is as it is at the start;
in the others every matrix is normal with the deviation given. That stands for the worst case: random numbers have no
pattern to find, and from a deviation of about 0.3 on no row meets the floor of the steps, so that all levels are in
use. Loading is timed until the weights are there in float32, the best of five, in this process.
"""

import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import mlx.core as mx
import numpy as np
import zstandard

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import machine
from trainer.config import Config, read_config
from trainer.export import choose_storage, export
from trainer.model import load, new_model

LIMIT = 16_000_000
DEVIATIONS = (0.1, 0.3, 1.0)
TIMES = 5


def main() -> None:
    """Print the table."""
    seen = machine.fingerprint()
    versions = f"MLX {seen.mlx}, NumPy {np.__version__}, zstandard {zstandard.__version__}"
    print(f"{seen.processor}, {seen.device}; Python {platform.python_version()}, {versions}")
    print(f"{'weights':14} {'bits':>4} {'bytes':>12} {'of 16 MB':>9} {'export s':>9} {'load ms':>8}")
    for bits in (8, 6):
        config = read_config({"QUANT_BITS": str(bits)}, "golf")
        for name, weights in models(config):
            size, export_s, load_s = measure(config, weights)
            share = size / LIMIT
            print(f"{name:14} {bits:4} {size:12,} {share:9.1%} {export_s:9.1f} {1000 * load_s:8.0f}", flush=True)


def models(config: Config) -> Iterator[tuple[str, dict[str, mx.array]]]:
    """A name and weights for each line."""
    first = new_model(config, seed=1).weights()
    yield "at the start", first
    keys = dict(zip(first, mx.random.split(mx.random.key(1), len(first)), strict=True))
    large = [name for name, weight in first.items() if choose_storage(name, weight.size, config).startswith("int")]
    for deviation in DEVIATIONS:
        drawn = {name: deviation * mx.random.normal(first[name].shape, key=keys[name]) for name in large}
        yield f"normal, {deviation}", first | drawn


def measure(config: Config, weights: dict[str, mx.array]) -> tuple[int, float, float]:
    """Bytes of the artifact, seconds of the export, and seconds of the quickest loading."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "artifact.bin"
        began = time.perf_counter()
        size = sum(part["bytes"] for part in export(weights, config, path))
        return size, time.perf_counter() - began, min(loading(path) for _ in range(TIMES))


def loading(path: Path) -> float:
    """Seconds of loading a model until its weights are there."""
    began = time.perf_counter()
    load(path)
    mx.synchronize()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
