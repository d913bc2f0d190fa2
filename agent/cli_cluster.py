"""The command that serves nights elsewhere: `worker`."""

import asyncio
import os
import socket
from pathlib import Path

import click
import psutil

from agent import git
from agent.awake import awake
from agent.cli_bench import DATA
from agent.leftovers import end_leftovers
from agent.opening import home
from agent.views import visible
from bench import clock, files, link
from bench.data import open_dataset
from bench.ground import Ground

WORKERS = "workers"
"""Folder of the workers' runs, beside the nights."""


@click.command()
@click.argument("address")
@click.option(
    "--slots", type=click.IntRange(1, 64), help="Runs side by side, one thread each. As many as cores; 1 on a GPU."
)
def worker(address: str, slots: int | None) -> None:
    """Make runs for nights elsewhere, which reach this machine through the Dask scheduler at ADDRESS.

    The data beside this repository must be theirs, and the machine of their class. Ctrl-C ends it; what it was running
    is run by another.
    """
    address = link.set_up(address, "worker")
    from bench.worker import Runs, serve  # Dask is an extra

    repo = git.here()
    data = open_dataset(repo.root / DATA)
    ground = Ground.of(data)
    slots = slots or ((os.cpu_count() or 1) if ground.fingerprint.repeatable else 1)
    folder = home(repo) / WORKERS / f"{socket.gethostname()}-{os.getpid()}"
    clear_away(folder.parent)
    files.fresh_folder(folder)
    say(f"{ground.data}; {ground.fingerprint.processor}, MLX {ground.fingerprint.mlx}; sandbox {ground.sandbox}")
    try:
        with awake():
            asyncio.run(serve(address, slots, Runs(data, folder, say)))
    finally:
        files.remove(folder)
    say("has ended")


def say(line: str) -> None:
    """One line, with the time."""
    click.echo(f"{clock.time_of(clock.now_ms())} {visible(line)}")


def clear_away(folder: Path) -> None:
    """End and remove what workers of this host left below `folder` that were killed."""
    for left in folder.glob(f"{socket.gethostname()}-*"):
        if not psutil.pid_exists(int(left.name.rpartition("-")[2])):
            end_leftovers(left)
            files.remove(left)


COMMANDS = (worker,)
