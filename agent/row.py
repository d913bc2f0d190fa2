"""One thing that a night needs, as `nightshift doctor` finds it."""

from typing import Literal, NamedTuple

State = Literal["ok", "warn", "fail"]
"""As it should be; could be better, and a night can start; no night can start."""


class Row(NamedTuple):
    """What was looked at, and what was found."""

    what: str
    state: State
    found: str
    mend: str = ""
    """The command that puts it right or makes it better, where there is one."""
