"""`nightshift dashboard`: the report as it comes about, in a browser, with what a person may do about the night."""

import secrets
import socket
import webbrowser

import click
import uvicorn

from agent import git, opening
from agent.cli_read import NAME
from agent.dashboard import app
from agent.door import LOOPBACK
from bench.errors import UsageError

PORT = 8642
EVERYWHERE = ("0.0.0.0", "::")
"""Addresses to listen at that nobody can open."""
PATIENCE_S = 2
"""For answers under way when it ends."""


@click.command()
@NAME
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option("--port", default=PORT, show_default=True, type=click.IntRange(0, 65535), help="0 for any free one.")
@click.option("--open", "open_it", is_flag=True, help="Open it in a browser.")
def dashboard(name: str | None, host: str, port: int, open_it: bool) -> None:
    """Show the night in a browser as it goes on, with its queue; Ctrl-C leaves the night running.

    It follows the night of that name, or else whichever was written to last. It is for this machine alone; with another
    --host whoever has the printed address can read it and change the queue, and nobody else.
    """
    repo = git.here()
    if name is not None:
        opening.journal_path(repo, name)
    listening = _listen(host, port)
    port = listening.getsockname()[1]
    token, loopback = secrets.token_urlsafe(), host in LOOPBACK
    shown = socket.gethostname() if host in EVERYWHERE else f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{port}/" + ("" if loopback else f"?token={token}")
    server = uvicorn.Server(
        uvicorn.Config(
            app(repo, name, token=token, loopback=loopback, port=port),
            loop="asyncio",
            http="h11",
            ws="none",
            lifespan="off",
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=PATIENCE_S,
        )
    )
    click.echo(f"the dashboard is at {address}\nCtrl-C ends it; a night goes on")
    if open_it:
        webbrowser.open(address)
    try:
        server.run(sockets=[listening])
    except KeyboardInterrupt:
        click.echo("\nthe dashboard has ended")


def _listen(host: str, port: int) -> socket.socket:
    """A socket at that address. Raises UsageError where there can be none."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        why = f"cannot listen at {host}, port {port}: {error.strerror or error}"
        raise UsageError(f"{why}; give another --port (0 for any free one) or --host") from error


COMMANDS = (dashboard,)
