"""What the shapes of what programs are told have in common.

What is measured is in bits per UTF-8 byte, time in seconds, a `timestamp` in epoch milliseconds; null stands for what
was not measured or is not there. A key is always there.
"""

from pydantic import BaseModel, ConfigDict

Note = str | None
"""What to bear in mind: that numbers of short profiles are no evidence, or that a script's are unjudged."""


class Shape(BaseModel):
    """An object of exactly these keys."""

    model_config = ConfigDict(use_attribute_docstrings=True)
