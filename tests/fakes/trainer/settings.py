"""Knobs of the fast fake trainer."""

QUALITY = 0.5  # share of the measured distribution in the model; the rest is uniform. More is better.
NUDGE = 0.0  # has no effect whatever
PADDING = 0  # bytes of ballast in the artifact
BEHAVIOUR = "honest"  # or one of the ways to go wrong that train.py knows
SIZES: dict[str, dict[str, float]] = {"tiny": {}}
RANGES = {"QUALITY": ("linear", 0.05, 0.95), "NUDGE": ("linear", 0.0, 1.0)}
