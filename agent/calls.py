"""Calls of a language model as the journal tells them: what each took, and which proposal came of it."""

from typing import Any, Literal

from agent.line import Record


class Usage(Record):
    """Tokens of calls of a language model, by the Messages API's own names."""

    input_tokens: int = 0
    """Neither read from the cache nor written to it."""
    output_tokens: int = 0
    cache_read_input_tokens: int = 0
    ephemeral_5m_input_tokens: int = 0
    """Written to the cache for five minutes."""
    ephemeral_1h_input_tokens: int = 0
    """Written to the cache for an hour."""

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(**{name: getattr(self, name) + getattr(other, name) for name in Usage.model_fields})

    @property
    def all_input(self) -> int:
        """Tokens that were sent, however they were charged."""
        return self.input_tokens + self.cache_read_input_tokens + self.written

    @property
    def written(self) -> int:
        """Tokens written to the cache."""
        return self.ephemeral_5m_input_tokens + self.ephemeral_1h_input_tokens


class Authored(Record):
    """How a language model came to a proposal."""

    draft: str
    """Name of the conversation, whose transcript is kept beside the journal."""
    arm: str
    """The strategy it was asked to follow, or `idea` for a person's idea in words."""
    expected: str = ""
    """The effect on val_bpb that it foretold, and why: a claim, and no evidence."""
    repairs: int = 0
    model: str = ""
    usage: Usage = Usage()
    usd: float = 0.0


class Reserved(Record):
    """Money set aside for a call of a language model, before it is made: the most that it can cost."""

    type: Literal["reserved"] = "reserved"
    timestamp: int
    call: int
    """Number of the call in this journal, from 1."""
    draft: str
    model: str
    usd: float


class Spent(Record):
    """What a call of a language model took. A call that is reserved and has none was cut off by the night's own end."""

    type: Literal["spent"] = "spent"
    timestamp: int
    call: int
    draft: str
    model: str
    usage: Usage
    """As far as the server told it."""
    usd: float
    """Of that usage."""
    at_most: float
    """Dollars it can have cost: `usd` for an answer that came whole, what was reserved for one that was cut."""
    stop_reason: str | None = None
    error: str | None = None
    wall_s: float = 0.0


class Drafted(Record):
    """A proposal that was paid for and waits for its turn, so that a night that goes on later finds it."""

    type: Literal["drafted"] = "drafted"
    timestamp: int
    draft: str
    champion: str
    """Full hash of the commit that it is about."""
    proposal: dict[str, Any]
    """As `proposal.encode` writes it."""
