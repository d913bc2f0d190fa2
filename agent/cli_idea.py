"""Commands about the queue of ideas: `idea list`, `idea add`, `idea priority` and `idea retire`."""

from pathlib import Path

import click

from agent import completion, git, queue
from agent.cli_read import JSON, NAME, latest, print_json
from agent.ideas import LANE, PRIORITY
from agent.queue import IDEAS
from agent.records import Experiment
from bench.errors import UsageError

WHICH = click.argument("name", metavar="IDEA", shell_complete=completion.ideas)


@click.group()
def idea() -> None:
    """The queue of ideas, kb/ideas.md, which is yours to edit."""


@idea.command("list", short_help="List the ideas, with where each stands.")
@NAME
@JSON
def list_ideas(name: str | None, as_json: bool) -> None:
    """List the ideas with where each stands, joined from a night's journal."""
    repo, decided = git.here(), _decided(name)
    if as_json:
        print_json(queue.as_json(repo, decided))
        return
    ideas, problems = queue.read_queue(repo)
    for row in queue.rows(ideas, decided):
        click.echo(f"{row['priority']:>4}  {row['lane']:<13} {row['title']:<48} {row['state']}")
    for problem in problems:
        click.echo(f"{IDEAS}, line {problem.line}: {problem.text}", err=True)


@idea.command()
@click.argument("title")
@click.option("--text", default="", help="What and why, in your own words.")
@click.option("--set", "knobs", multiple=True, metavar="KNOB=VALUE", help="A knob this idea changes.")
@click.option(
    "--diff", "diff_file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A unified diff."
)
@click.option("--lane", default=LANE, show_default=True, help="The family it belongs to, such as optimizer.")
@click.option("--priority", default=PRIORITY, show_default=True, type=int, help="Lower runs first.")
@click.option(
    "--after", multiple=True, metavar="IDEA", shell_complete=completion.ideas, help="Wait until that idea is decided."
)
def add(
    title: str,
    text: str,
    knobs: tuple[str, ...],
    diff_file: Path | None,
    lane: str,
    priority: int,
    after: tuple[str, ...],
) -> None:
    """Append an idea to kb/ideas.md."""
    patch = diff_file.read_text(encoding="utf-8") if diff_file else None
    pairs = [(name.strip(), value.strip()) for name, _, value in (word.partition("=") for word in knobs)]
    queue.add_idea(git.here(), title, text, knobs=pairs, diff=patch, lane=lane, priority=priority, after=after)
    click.echo(f"added to {IDEAS}: {title}")


@idea.command(
    "priority", short_help="Have an idea run earlier or later.", context_settings={"ignore_unknown_options": True}
)
@WHICH
@click.argument("number", metavar="N", type=int)
def set_priority(name: str, number: int) -> None:
    """Have an idea run earlier or later: lower runs first. It holds in every night, one that runs now included."""
    found = queue.wish(git.here(), name, priority=number)
    click.echo(f"priority {number}: {found.title}")


@idea.command(short_help="Have an idea run no more, in any night.")
@WHICH
@click.option("--undo", is_flag=True, help="Take it back into the queue.")
def retire(name: str, undo: bool) -> None:
    """Have an idea run no more, in any night; kb/ideas.md stays as it is."""
    found = queue.wish(git.here(), name, retired=not undo)
    click.echo(f"{'back in the queue' if undo else 'retired'}: {found.title}")


def _decided(name: str | None) -> dict[str, Experiment]:
    try:
        _, journal = latest(name)
    except UsageError:
        return {}
    return {experiment.idea: experiment for experiment in journal.in_segment() if experiment.idea}


COMMANDS = (idea,)
