"""A candidate's source text as a syntax tree. It is parsed and never run."""

import ast
from threading import Lock

_ALONE = Lock()
"""CPython 3.11 counts the depth of all threads' parsing together, and fails where two overlap (its issue 106905)."""


def parsed(source: bytes | str) -> ast.Module:
    """The syntax tree; from any thread. Raises what `ast.parse` does."""
    with _ALONE:
        return ast.parse(source)
