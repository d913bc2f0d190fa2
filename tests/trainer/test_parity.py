"""The plain twin against the reference: the first of the recorded losses. `make parity` makes them and compares all."""

import json
from typing import Any

import pytest

from scripts.parity import LIMIT, RECORD, differences, losses

RUNS = {run["recipe"]["size"]: run for run in json.loads(RECORD.read_text())["runs"]}


def apart(size: str, steps: int, **knobs: str) -> list[float]:
    """How far the losses of our first `steps` steps lie from the recorded ones, with some knobs set otherwise."""
    recipe: dict[str, Any] = RUNS[size]["recipe"]
    recipe = recipe | {"knobs": recipe["knobs"] | knobs}
    return differences(losses("ours", recipe, steps, {}), RUNS[size]["losses"][:steps])


@pytest.mark.parametrize(("size", "steps"), [("tiny", 20), ("small", 6)])
def test_the_plain_twin_has_the_losses_of_the_reference(size: str, steps: int) -> None:
    assert max(apart(size, steps)) < LIMIT


@pytest.mark.parametrize(
    "knob", [{"LOGIT_SOFTCAP": "29"}, {"QK_GAIN_INIT": "1.4"}, {"ROPE_BASE": "8000"}, {"ADAM_EPS": "1e-7"}], ids=str
)
def test_the_record_tells_a_slightly_different_trainer_apart(knob: dict[str, str]) -> None:
    assert max(apart("tiny", 12, **knob)) > LIMIT
