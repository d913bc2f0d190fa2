"""Whether trainer/ computes what the reference computes: the losses of the same run under both, in float32.

`REFERENCE=PATH python -m scripts.parity` trains the plain twin and the reference from the same weights on the same
batches, prints how far their losses lie apart, and records the reference's in `tests/trainer/parity.json`, which
`tests/trainer/test_parity.py` holds trainer/ to without it. Ends with code 1 where they differ by more than LIMIT.
"""

import json
import os
import sys
from datetime import UTC, datetime
from typing import Any

from bench.errors import NightshiftError
from scripts import child, reference
from trainer.config import read_config

RECORD = child.ROOT / "tests" / "trainer" / "parity.json"
LIMIT = 1e-4
STEPS = 50
SEED = 1
TOKENS = {"tiny": 1024, "small": 1024}
SCHEDULES = {"WARMDOWN_FRAC": "0.4", "MUON_MOMENTUM_WARMUP_FRAC": "0.5"}
"""Of STEPS both are whole numbers of steps, which is how the reference counts them."""


def main() -> None:
    """Compare both sizes and write the record."""
    try:
        path = reference.find(os.environ)
    except NightshiftError as error:
        sys.exit(f"parity: {error}")
    runs, worst = [], 0.0
    for size, tokens in TOKENS.items():
        knobs = {"PLAIN": "1", "TRAIN_BATCH_TOKENS": str(tokens), **SCHEDULES}
        recipe = {"size": size, "knobs": knobs, "steps": STEPS, "seed": SEED}
        theirs = losses("reference", recipe, STEPS, reference.environment(path, read_config(knobs, size), STEPS))
        apart = differences(losses("ours", recipe, STEPS, {}), theirs)
        largest = max(apart)
        course = f"loss {theirs[0]:.4f} to {theirs[-1]:.4f}"
        print(f"{size}: {STEPS} steps of {tokens:,} tokens, {course}; relative difference {apart[0]:.0e} at", end=" ")
        print(f"the first step, {largest:.0e} at the most (step {1 + apart.index(largest)})", flush=True)
        runs.append({"recipe": recipe, "losses": theirs})
        worst = max(worst, largest)
    record = {
        "what": "losses in nats, before each update, of the reference computing in float32 on scripts/markov.py's text",
        "reference": reference.provenance(),
        "recorded": {
            **child.provenance(),
            "date": datetime.now(UTC).date().isoformat(),
            "command": f"make parity REFERENCE={reference.FILE}",
        },
        "runs": runs,
    }
    RECORD.write_text(json.dumps(record, indent=1) + "\n")
    print(f"recorded in {RECORD.relative_to(child.ROOT)}")
    if worst > LIMIT:
        sys.exit(f"parity: trainer/ and the reference differ by {worst:.0e}, more than {LIMIT:.0e}")


def losses(form: str, recipe: dict[str, Any], steps: int, settings: dict[str, str]) -> list[float]:
    """The losses of the first `steps` steps of a recipe, from a process of its own with one BLAS thread.

    Operation by operation: what is compared is the arithmetic of the two, and not what a compiler makes of it.
    """
    text = json.dumps(recipe)
    environment = child.environment() | {"MLX_DISABLE_COMPILE": "1"} | settings
    found: list[float] = json.loads(child.run("scripts.losses", form, str(steps), environment=environment, text=text))
    return found


def differences(ours: list[float], theirs: list[float]) -> list[float]:
    """How far each loss lies from the reference's, relative to it."""
    return [abs(mine / other - 1) for mine, other in zip(ours, theirs, strict=True)]


if __name__ == "__main__":
    main()
