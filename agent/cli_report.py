"""The command about a night's report: `report`."""

import json
import webbrowser
from pathlib import Path

import click

from agent import cli_read
from agent.markdown import as_markdown
from agent.morning import morning
from agent.page import render
from bench import files
from bench.errors import UsageError

REPORT = "report.html"
STDOUT = Path("-")


@click.command()
@cli_read.NAME
@click.option("--open", "opened", is_flag=True, help="Open the page in the browser.")
@click.option(
    "--output", type=click.Path(path_type=Path), help="Write it there; - prints it. Beside the journal where not given."
)
@click.option("--markdown", is_flag=True, help="Print a summary for a pull request instead of making a page.")
@cli_read.JSON
def report(name: str | None, opened: bool, output: Path | None, markdown: bool, as_json: bool) -> None:
    """Make a night's report: one page that needs no network, beside the journal."""
    if markdown and as_json:
        raise UsageError("choose one of --markdown and --json")
    if opened and (markdown or as_json or output == STDOUT):
        raise UsageError("--open opens a page: it goes with neither --markdown nor --json, nor with --output -")
    repo, journal = cli_read.latest(name)
    if journal.header is None:
        raise UsageError(f"{journal.path} holds no night yet: type `nightshift run`")
    told = morning(repo, journal)
    if as_json:
        text, place = json.dumps(told, indent=2, ensure_ascii=False, allow_nan=False), output or STDOUT
    elif markdown:
        text, place = as_markdown(told), output or STDOUT
    else:
        text, place = render(told), output or journal.path.parent / REPORT
    if place == STDOUT:
        click.echo(text.rstrip("\n"))
        return
    path = place.resolve()
    if path.is_dir():
        raise UsageError(f"{path} is a folder; name a file, such as {path / REPORT}")
    files.write_atomic(path, text.encode())
    click.echo(path)
    if opened and not webbrowser.open(path.as_uri()):
        click.echo(f"there is no browser here; open {path} in one", err=True)


COMMANDS = (report,)
