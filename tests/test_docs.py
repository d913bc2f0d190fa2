"""What README and docs tell a person to type can be typed, and what they link to is there."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from agent.cli import cli

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "AGENTS.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^ {4}(?:\$ )?(nightshift .+?)(?: {2,}.*)?$", re.MULTILINE)
INLINE = re.compile(r"`(nightshift [^`]+)`")
FENCE = re.compile(r"^(nightshift .+?)(?: {2,}.*)?$", re.MULTILINE)
SHELL = re.compile(r"\s(?:\||>>?|&&)\s.*| #.*")
"""What a line of a shell goes on with after the command's own words."""
ELLIPSIS = re.compile(r"…|\.\.\.")


def typed(text: str) -> Iterator[str]:
    """Every command line of ours in a page, without what the shell does with it."""
    for pattern in (BLOCK, INLINE, FENCE):
        for found in pattern.finditer(text):
            yield SHELL.sub("", found[1].replace("\n", " ")).strip()


LINES = sorted({(path.name, line) for path in PAGES for line in typed(path.read_text()) if not ELLIPSIS.search(line)})


def problem(line: str) -> str:
    """What is wrong with the words, if anything."""
    command: click.Command = cli
    context, words = click.Context(cli), shlex.split(line)[1:]
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        if words[0].isupper():  # a placeholder
            return ""
        below = command.get_command(context, words[0])
        if below is None:
            return f"there is no {words[0]}"
        command, context, words = below, click.Context(below, parent=context), words[1:]
    try:
        _, left, _ = command.make_parser(context).parse_args(words)
    except click.UsageError as error:
        return error.message
    return f"nobody takes {left}" if left else ""


def test_the_pages_have_commands_in_them() -> None:
    assert len(LINES) > 60
    assert {"run", "watch", "report", "dashboard", "doctor", "finish"} <= {line.split()[1] for _, line in LINES}


@pytest.mark.parametrize(("page", "line"), LINES)
def test_a_command_that_a_page_shows_can_be_typed(page: str, line: str) -> None:
    assert not problem(line), page


def test_a_command_that_cannot_be_typed_is_found() -> None:
    assert problem("nightshift dance") == "there is no dance"
    assert "No such option" in problem("nightshift log --backwards")
    assert problem("nightshift gc everything") == "nobody takes ['everything']"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_what_a_page_links_to_is_there(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())
    assert not [link for link in links if not (page.parent / link).exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_a_target_of_make_that_a_page_names_is_one(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:`|^ {4})make ([a-z-]+)", page.read_text(), re.MULTILINE))
    assert named <= targets


def test_every_page_of_docs_is_named_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    assert not [page.name for page in PAGES[2:] if page.name not in readme]
