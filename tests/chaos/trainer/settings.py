"""Knobs. QUALITY is the score's share of the best; BEHAVIOUR names a way to go wrong."""

QUALITY = 0.5
NUDGE = 0.0
BEHAVIOUR = "good"
SIZES: dict[str, dict[str, float]] = {"tiny": {}}
