"""One thing that a night needs, as `nightshift doctor` finds it."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warn", "fail"]
"""As it should be; could be better, and a night can start; no night can start."""


@dataclass(frozen=True)
class Row:
    """What was looked at, and what was found."""

    what: str
    state: State
    found: str
    mend: str = ""
    """The command that puts it right or makes it better, where there is one."""
