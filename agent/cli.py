"""The command line: `nightshift …`. This page holds the frame; each group of commands has a file of its own."""

import signal
import sys
from pathlib import Path

import click

from agent import (
    cli_again,
    cli_audit,
    cli_bench,
    cli_evidence,
    cli_gc,
    cli_kb,
    cli_night,
    cli_propose,
    cli_read,
    cli_report,
    cli_running,
)
from bench.errors import NightshiftError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="nightshift")
def cli() -> None:
    """Research a small language model overnight; find in the morning only what held."""


for group in (
    cli_bench,
    cli_night,
    cli_running,
    cli_propose,
    cli_evidence,
    cli_audit,
    cli_again,
    cli_gc,
    cli_read,
    cli_report,
    cli_kb,
):
    for command in group.COMMANDS:
        cli.add_command(command)


def main() -> None:
    """Run a command; whatever goes wrong is one line on standard error and a non-zero exit."""
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        # Under nohup a hang-up is ignored, and stays so.
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)
    try:
        cli.main(prog_name=Path(sys.argv[0]).name, standalone_mode=True)
    except (NightshiftError, OSError) as error:
        click.echo(f"nightshift: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
