"""Every error a person can meet, as one small tree.

::

    NightshiftError            one clear line: what is wrong and what to type
    ├── UsageError             a command's words are off: an unknown knob, profile, experiment
    ├── DataError              no data prepared, or a shard that is not what it says
    ├── MachineError           something this machine lacks: a library, a tool, a repository
    │   ├── DiskError          a file that cannot be written: no room, read-only, broken
    │   └── ChampionFails      the champion fails under a seed: nothing can be compared there
    ├── JournalError           a journal that cannot be trusted as it stands
    ├── LibraryError           a note that does not read, or a paper that could not be fetched
    ├── ModelError             the language model gave nothing that can be used
    │   ├── Outage             for now: it is overloaded, out of reach, or its answer was cut; asked again later
    │   └── Closed             for this night: a key that is refused, or money that is spent
    ├── Refusal                a candidate turned away; carries a stable `reason`
    │   ├── ProposalError      before any compute was spent
    │   └── RunFailed          by a run that gave no measurement that counts
    └── Interrupted            a run that was stopped from outside: repeated, never judged
        └── Paused             the machine slept, or the bench was stopped, while it was under way

`ProposalError` becomes the status `checks_failed` and `RunFailed` becomes `crash` (or `checks_failed`, where the run
itself was sound and its result was refused): one bad candidate never ends a night.
"""


class NightshiftError(Exception):
    """The root. Its text is one line that a person can act on."""


class UsageError(NightshiftError):
    """What was asked for does not exist or does not fit."""


class DataError(NightshiftError):
    """The data folder is missing, incomplete or malformed."""


class MachineError(NightshiftError):
    """This machine lacks something; the text names the command that mends it."""


class DiskError(MachineError):
    """A file cannot be written; the text names it and says why."""


class ChampionFails(MachineError):
    """The champion fails under a seed, which is passed over from then on."""


class JournalError(NightshiftError):
    """The journal is damaged or contradicts itself; the text names the line."""


class LibraryError(NightshiftError):
    """A page of the knowledge base does not read, or a paper could not be fetched."""


class ModelError(NightshiftError):
    """The language model gave nothing that can be used."""


class Outage(ModelError):
    """The language model cannot be had for now; `retry_after` is the server's own word on it in seconds, if any."""

    def __init__(self, text: str, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class Closed(ModelError):
    """The language model will not be asked again this night."""


class Refusal(NightshiftError):
    """A candidate was turned away under a stable name, `reason`, with a line of detail.

    `log` is the end of what its training wrote to standard error, where it did; that process sees no validation data.
    """

    def __init__(self, reason: str, detail: str, log: str = "") -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.log = log


class ProposalError(Refusal):
    """Refused before any compute was spent."""


class RunFailed(Refusal):
    """A run ended without a measurement that counts."""


class Interrupted(NightshiftError):
    """A run was stopped from outside; it says nothing about the candidate."""


class Paused(Interrupted):
    """The bench itself stood still while a run was under way, so that its limits say nothing."""
