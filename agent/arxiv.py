"""arXiv's identifiers: the ways in which people and programs write them."""

import re
from typing import NamedTuple

_FORM = re.compile(
    r"(?:(?:https?://)?(?:[\w-]+\.)*(?:arxiv|alphaxiv)\.org/\w+/|https?://huggingface\.co/papers/|arxiv:\s*)?"
    r"(?P<name>\d{4}\.\d{4,5}|[a-z][a-z-]+(?:\.[a-z]{2})?/\d{7})(?:v(?P<version>[1-9]\d?))?"
    r"(?:\.pdf|\.md)?/?(?:[?#].*)?",
    re.IGNORECASE,
)


class Identifier(NamedTuple):
    """Which paper, and which version of it where one is named."""

    name: str
    version: int | None = None

    @property
    def file_name(self) -> str:
        """As the beginning of a file's name: the old style's slash becomes a hyphen."""
        return self.name.replace("/", "-")

    def __str__(self) -> str:
        return self.name + (f"v{self.version}" if self.version else "")


def identifier(text: str) -> Identifier | None:
    """Read `2505.08823`, `2505.08823v2`, `cs/0506001`, `math.GT/0309136`, `arXiv:…`, or a page's or PDF's address."""
    found = _FORM.fullmatch(text.strip())
    if not found:
        return None
    name = found["name"]
    if "/" in name:
        archive, _, number = name.partition("/")
        name = f"{archive.partition('.')[0].lower()}/{number}"
    return Identifier(name, int(found["version"]) if found["version"] else None)
