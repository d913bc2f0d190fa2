"""Commands about a night that runs: `watch`, `attach` and `stop`."""

import contextlib

import click
from rich.console import Console
from rich.text import Text

from agent import cli_read, detached, git, live
from agent.live import View
from agent.lock import holder
from agent.screen import begun, below, verdict_line
from agent.stop import AFTER_THE_RUN, NOW, ask_to_stop
from agent.watch import LAST, Seen, Watch
from bench import clock

LOOK_S = 1.0
NIGHT = "night "
"""What the lock's holder says before a night's name."""


@click.command()
@cli_read.NAME
@click.option("--once", is_flag=True, help="Show it as it is now, and no more.")
@cli_read.JSON
def watch(name: str | None, once: bool, as_json: bool) -> None:
    """Show a night from any terminal, and follow it until it ends; Ctrl-C leaves it running."""
    found = holder(git.here())
    if name is None and found is not None and found.what.startswith(NIGHT):
        name = found.what.removeprefix(NIGHT)
    night = Watch(*cli_read.latest_path(name))
    if as_json:
        cli_read.print_json(live.as_json(night.look()))
        return
    console = Console()
    try:
        seen = follow(night, console, once=once)
    except KeyboardInterrupt:
        click.echo("\nthe night goes on; `nightshift stop` ends it")
        return
    console.print(View(seen, whole=True))
    if not seen.running:
        click.echo(f"`nightshift run --name {seen.name}` goes on, `nightshift log --name {seen.name}` tells all of it")


def follow(night: Watch, console: Console, *, once: bool) -> Seen:
    """Show a night as long as it runs, or `once`: its verdicts as lines that stay, and what it does now below them.

    Where there is no below, each phase of a run is a line. Returns what was seen last.
    """
    seen = night.look()
    told = max(len(seen.standing.experiments) - LAST, 0)
    under_way: set[str] = set()
    with below(console, lambda: View(seen)) or contextlib.nullcontext() as view:
        while True:
            lines = [verdict_line(one) for one in seen.standing.experiments[told:]]
            told += len(lines)
            if view is None and not once:
                phases = [begun(run.label, run.profile, run.seed, run.phase) for run in seen.runs]
                lines += [line for line in phases if line not in under_way]
                under_way = set(phases)
            for line in lines:
                console.print(Text(line), soft_wrap=not console.is_terminal, highlight=False)
            if once or not seen.running:
                return seen
            clock.sleep(LOOK_S)
            seen = night.look()


@click.command()
def attach() -> None:
    """Show what the night that runs here has said so far, and follow it; Ctrl-C leaves it running."""
    try:
        detached.attach(git.here(), lambda text: click.echo(text, nl=False))
    except KeyboardInterrupt:
        click.echo("\nthe night goes on; `nightshift stop` ends it")


@click.command()
@click.option("--now", is_flag=True, help="End the runs under way too; they are repeated when the night goes on.")
@cli_read.JSON
def stop(now: bool, as_json: bool) -> None:
    """Ask what runs here to end once its runs under way have ended, and wait for that; Ctrl-C only stops waiting."""
    repo = git.here()
    found = ask_to_stop(repo, NOW if now else AFTER_THE_RUN)
    if found is not None:
        if not as_json:
            click.echo(f"asked to end: {found}")
        while holder(repo) == found:
            clock.sleep(0.2)
    if as_json:
        cli_read.print_json({"stopped": found.model_dump() if found else None})
    else:
        click.echo("it has ended; all that was measured is journalled" if found else "nothing runs here")


COMMANDS = (watch, attach, stop)
