"""What a candidate's hand-written gradients are allowed: how far each may be from the one it stands for.

`launch_twins.py` compares the two in the candidate's own process. Like everything a candidate's process says it could
be made up: it guards against mistakes, and the score alone says whether a model is better.
"""

import contextlib
import math

from pydantic import BaseModel, ConfigDict, ValidationError

from bench.errors import RunFailed

TWINS = "trainer/fast.py"
"""The file of a trainer that may list twins; one without it has none."""
TOLERANCE = 1e-3
"""A relative difference. Two right forms in float32 are 3e-5 apart at the most, at all sizes and to the ends of the
knobs' ranges; a term that is wrong by a hundredth puts the tensors it reaches 1e-2 apart."""


class Twin(BaseModel):
    """One hand-written form beside the plain one."""

    model_config = ConfigDict(frozen=True)

    name: str
    ran: bool
    """Whether the trainer takes it at all under the run's settings."""
    loss: float
    """Relative difference of the losses."""
    gradient: float
    """Relative difference of the gradients of `tensor`, which is the worst."""
    tensor: str


class Comparison(BaseModel):
    """What the launcher prints; a trainer that lists no twins has none to show."""

    model_config = ConfigDict(frozen=True)

    twins: tuple[Twin, ...]


def judge(said: bytes) -> None:
    """Weigh what was printed. Raises RunFailed: `silent`, or `wrong_gradient` for the first twin that is off."""
    for twin in _comparison(said).twins:
        for what, relative in (("losses", twin.loss), (f"gradients of {twin.tensor}", twin.gradient)):
            if twin.ran and not relative <= TOLERANCE:
                raise RunFailed("wrong_gradient", _complaint(twin.name, what, relative))


def _comparison(said: bytes) -> Comparison:
    for line in reversed(said.splitlines()):
        # The rest is the trainer's own business.
        with contextlib.suppress(ValidationError):
            return Comparison.model_validate_json(line)
    raise RunFailed("silent", f"the comparison of its twins ended without a word: see what {TWINS} does when imported")


def _complaint(twin: str, what: str, relative: float) -> str:
    how = f"differ by {relative:.2%}, more than {TOLERANCE:.1%}" if math.isfinite(relative) else "are not both finite"
    return f"{twin} and its twin: the {what} {how}; mend {TWINS}, or take {twin} out of its TWINS"
