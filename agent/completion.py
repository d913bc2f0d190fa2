"""What a shell offers for an argument: names of nights, experiments, ideas and notes; where one cannot be read, none.

A journal is read line by line without being checked: a person waits for every key.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from agent import git

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]
Choices = Iterator[tuple[str, str]]
"""Values, each with a few words on it."""


def completing(choices: Callable[[git.Repo, str | None], Choices]) -> Complete:
    """What click asks for an argument's values; `choices` is given the repository, and the night if one is named."""

    def complete(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
        with suppress(Exception):  # whatever it is, it has no place in the line that a person types
            found = choices(git.here(), ctx.params.get("name"))
            return [CompletionItem(value, help=words) for value, words in found if value.startswith(incomplete)]
        return []

    return complete


@completing
def nights(repo: git.Repo, _: str | None) -> Choices:
    """The nights of this clone, the latest first."""
    yield from ((path.parent.name, "") for path in _journals(repo))


@completing
def experiments(repo: git.Repo, night: str | None) -> Choices:
    """The experiments of the night that is named, or of the latest."""
    path = next((path for path in _journals(repo) if night in (None, path.parent.name)), None)
    for line in path.read_bytes().splitlines() if path else ():
        if line.startswith(b'{"run":') and line.endswith(b"}"):
            one = json.loads(line)
            yield one["id"], f"{one['status']}: {one['description']}"


@completing
def ideas(repo: git.Repo, _: str | None) -> Choices:
    """The ideas of the queue."""
    from agent.ideas import parse_ideas  # with all that reads a diff; no other completion needs it

    found, _problems = parse_ideas((repo.root / "kb" / "ideas.md").read_text(encoding="utf-8"))
    yield from ((idea.slug, idea.title) for idea in found)


@completing
def notes(repo: git.Repo, _: str | None) -> Choices:
    """The notes of papers, by the names of their files."""
    yield from ((path.stem, "") for path in sorted((repo.root / "kb" / "papers").glob("*.md")))


def _journals(repo: git.Repo) -> list[Path]:
    """Those of all nights, the one written to last first."""
    paths = (repo.common / "nightshift").glob("*/autoresearch.jsonl")
    return sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True)
