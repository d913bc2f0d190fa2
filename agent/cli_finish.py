"""The command that closes a night: `finish`."""

import shlex
from pathlib import Path

import click

from agent import cli_read, history, library
from agent.cli_report import REPORT
from agent.journal import Journal
from agent.markdown import as_markdown
from agent.morning import morning
from agent.page import render
from bench import files

PULL_REQUEST = "pull-request.md"


@click.command()
@cli_read.NAME
def finish(name: str | None) -> None:
    """Write a night into the committed history and into the notes it cited; make its report and a pull request's text.

    Whatever the history has of the night stays: the command adds what is new since it was last called.
    """
    repo, journal = cli_read.latest(name)
    added, written = finished(repo.root, journal)
    decided = sum(line.startswith('{"run":') for line in added)
    if decided:
        click.echo(f"{decided} experiment{'s' if decided > 1 else ''} added to {history.HISTORY}")
    elif added:
        click.echo(f"what was learnt of this night since is added to {history.HISTORY}")
    else:
        click.echo(f"every experiment of this night is in {history.HISTORY} already")
    names = " ".join(str(one.relative_to(repo.root)) for one in written)
    click.echo(f"keep them with: git add {names} && git commit")
    told = morning(repo, journal)
    page, text = journal.path.with_name(REPORT), journal.path.with_name(PULL_REQUEST)
    files.write_atomic(page, render(told).encode())
    files.write_atomic(text, as_markdown(told).encode())
    click.echo(f"the report is {page}, the text of a pull request {text}")
    if journal.champion != told["night"]["base"]:
        branch = told["night"]["branch"]
        words = shlex.join(["--title", told["headline"]["title"], "--body-file", str(text)])
        click.echo(f"open one with: git push -u origin {branch} && gh pr create --head {branch} {words}")


def finished(root: Path, journal: Journal) -> tuple[list[str], list[Path]]:
    """Write what is new of a night into the history and the notes of the repository in `root`.

    Returns the lines that were added, none where all is there already, and the files a person is to commit.
    """
    path = root / history.HISTORY
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    told = [record for record in journal.records if isinstance(record, history.TOLD)]
    after = history.append_to_history(before, told)
    added = history.lines_of(after)[len(history.lines_of(before)) :]
    if added:
        files.write_atomic(path, after.encode())
    return added, [path, *library.write_learnt(root, library.past_of(path))]


COMMANDS = (finish,)
