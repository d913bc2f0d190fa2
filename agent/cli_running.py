"""Commands about a night that runs: `attach` and `stop`."""

import contextlib
import os
import socket

import click

from agent import cli_read, detached, git
from agent.lock import holder
from agent.stop import AFTER_THE_RUN, NOW
from bench import clock
from bench.errors import UsageError


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
    found = holder(repo)
    if found is not None:
        if found.host != socket.gethostname():
            raise UsageError(f"{found}: type `nightshift stop` there")
        with contextlib.suppress(ProcessLookupError):
            os.kill(found.pid, NOW if now else AFTER_THE_RUN)
        if not as_json:
            click.echo(f"asked to end: {found}")
        while holder(repo) == found:
            clock.sleep(0.2)
    if as_json:
        cli_read.print_json({"stopped": found.model_dump() if found else None})
    else:
        click.echo("it has ended; all that was measured is journalled" if found else "nothing runs here")


COMMANDS = (attach, stop)
