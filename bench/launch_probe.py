"""Started in a process of its own: prints what MLX runs on here, as one JSON line.

The orchestrator never imports MLX itself: on a Mac, forking after Metal has started breaks its compiler service.
"""

import ctypes
import json
import os
import time
from importlib.metadata import version

if os.environ.get("BLAS"):
    ctypes.CDLL(os.environ["BLAS"], mode=ctypes.RTLD_GLOBAL)

import mlx.core as mx

SIDE = 512


def gigaflops() -> float:
    """The best of three float32 products of SIDE × SIDE, in 10⁹ operations a second."""
    a = mx.random.normal((SIDE, SIDE), key=mx.random.key(0))
    mx.eval(a @ a)
    best = 0.0
    for _ in range(3):
        start = time.perf_counter()
        mx.eval(a @ a)
        best = max(best, 2 * SIDE**3 / (time.perf_counter() - start) / 1e9)
    return best


print(
    json.dumps(
        {
            "mlx": version("mlx"),
            "device": mx.default_device().type.name,
            "name": str(mx.device_info().get("device_name", "")),
            "gigaflops": gigaflops(),
        }
    )
)
