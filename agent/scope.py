"""What a proposal may change: paths from the repository's top, of files, and of folders, which end in a slash."""

Scope = tuple[str, ...]
TRAINER: Scope = ("trainer/",)


def within(path: str, scope: Scope) -> bool:
    """Whether a proposal may change the file at `path`, or make it."""
    return any(path.startswith(one) if one.endswith("/") else path == one for one in scope)
