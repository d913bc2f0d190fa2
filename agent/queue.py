"""The person's queue: the ideas of `kb/ideas.md`, with what was wished of them since and where each one stands."""

import contextlib
import difflib
import fcntl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TypedDict

from agent.git import Repo
from agent.ideas import LANE, PRIORITY, Idea, Problem, append_idea, next_ideas, parse_ideas, slug_of
from agent.opening import home
from agent.records import Experiment
from agent.wishes import add_wish, heed, read_wishes
from bench import files
from bench.errors import UsageError

IDEAS = Path("kb/ideas.md")
NEAR = 3
"""Slugs that are offered for one that is not known."""


class Row(TypedDict):
    """An idea as a person is shown it."""

    slug: str
    title: str
    lane: str
    priority: int
    """In force."""
    line: int
    retired: bool
    decided: str | None
    """Id of its experiment in the open segment."""
    state: str
    """In words."""


def read_ideas(path: Path) -> str:
    """The queue's text; nothing where there is no file. What is not UTF-8 shows as such and stops nothing."""
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def read_queue(repo: Repo) -> tuple[list[Idea], list[Problem]]:
    """The sound ideas as they are wished to be, in the order of the file, and what is wrong with the others."""
    ideas, problems = parse_ideas(read_ideas(repo.root / IDEAS))
    return heed(ideas, read_wishes(wishes_path(repo))), problems


def wishes_path(repo: Repo) -> Path:
    """Where wishes are kept: the repository's, as an idea that is retired stays so in every night."""
    return home(repo) / "queue.jsonl"


def find_idea(ideas: Sequence[Idea], name: str) -> Idea:
    """The idea of that heading or slug. Raises UsageError with the nearest there are."""
    known = {idea.slug: idea for idea in ideas}
    slug = slug_of(name)
    if slug not in known:
        near = difflib.get_close_matches(slug, known, n=NEAR, cutoff=0.4)
        words = f"nearest: {', '.join(near)}" if near else "`nightshift idea list` lists them"
        raise UsageError(f"{IDEAS} has no sound idea {name!r}; {words}")
    return known[slug]


def wish(repo: Repo, name: str, *, priority: int | None = None, retired: bool | None = None) -> Idea:
    """Have the idea of that heading or slug come earlier or later, or not at all; returns it as it was in the file.

    Raises UsageError where there is none.
    """
    idea = find_idea(read_queue(repo)[0], name)
    with _changing(repo):
        add_wish(wishes_path(repo), idea.slug, priority, retired)
    return idea


def add_idea(
    repo: Repo,
    title: str,
    text: str,
    *,
    knobs: Sequence[tuple[str, str]] = (),
    diff: str | None = None,
    papers: Sequence[str] = (),
    lane: str = LANE,
    priority: int = PRIORITY,
    after: Sequence[str] = (),
) -> None:
    """Append an idea to `kb/ideas.md`. Raises UsageError for whatever would not read back as one sound idea."""
    path = repo.root / IDEAS
    with _changing(repo):
        longer = append_idea(
            read_ideas(path),
            title,
            text,
            knobs=knobs,
            diff=diff,
            papers=papers,
            lane=lane,
            priority=priority,
            after=after,
        )
        files.write_atomic(path, longer.encode())


@contextlib.contextmanager
def _changing(repo: Repo) -> Iterator[None]:
    """One at a time, whichever process wants to: what is read is still so when it is written again."""
    path = home(repo) / "queue.lock"
    files.make_folders(path.parent)
    with files.opened(path) as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


def as_json(repo: Repo, decided: Mapping[str, Experiment]) -> dict[str, object]:
    """The queue under stable keys: a row an idea, and what is wrong with other entries by their lines."""
    ideas, problems = read_queue(repo)
    return {"ideas": rows(ideas, decided), "problems": [asdict(problem) for problem in problems]}


def rows(ideas: Sequence[Idea], decided: Mapping[str, Experiment]) -> list[Row]:
    """Where each idea stands, given the experiments of the open segment by their ideas."""
    retired = {idea.slug for idea in ideas if idea.retired}
    return [
        Row(
            slug=idea.slug,
            title=idea.title,
            lane=idea.lane,
            priority=idea.priority,
            line=idea.line,
            retired=idea.retired,
            decided=decided[idea.slug].id if idea.slug in decided else None,
            state=_state(idea, decided, retired),
        )
        for idea in ideas
    ]


def _state(idea: Idea, decided: Mapping[str, Experiment], retired: set[str]) -> str:
    if idea.slug in decided:
        experiment = decided[idea.slug]
        return f"{experiment.status} ({experiment.id}, {experiment.reason})"
    if idea.retired:
        return "retired"
    if next_ideas([idea], decided):
        return "ready"
    before = [slug for slug in idea.after if slug not in decided]
    if not before:
        return "waits for a language model"
    return "waits for " + ", ".join(f"{slug}, which is retired" if slug in retired else slug for slug in before)
