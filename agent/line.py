"""What every line of a journal is."""

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """Any line; keys a newer version added are carried along."""

    model_config = ConfigDict(frozen=True, extra="allow")
