"""Leaves the score, in bits per byte, that the knobs and the seed make; started as a script by tests/chaos/quick.py.

Imports only what Python has loaded anyway, and says all there is to say in one write.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(__file__))  # noqa: PTH120

import settings  # type: ignore[import-not-found]

if settings.BEHAVIOUR == "raise":
    raise ValueError("the widget is bent")
seed = int(os.environ["SEED"])
bpb = 2.0 - 0.3 * settings.QUALITY + seed % 97 / 1e5 + seed % 89 / 1e6 * settings.QUALITY
with open(os.environ["RUN_DIR"] + "/artifact.bin", "w") as file:  # noqa: PTH123
    file.write(repr(bpb))
sys.stdout.write(
    '{"phase": "train", "step": 1, "loss": 7.0, "tokens": 100}\n{"phase": "export", "step": 1, "tokens": 100}\n'
)
