"""The command line: `nightshift …`. This page lists the commands; each group of them has a file of its own.

A file is imported when a command of its own is typed: not for the help, and not to complete the name of another.
"""

import io
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import click
from click.shell_completion import CompletionItem

from bench.errors import NightshiftError


class Entry(NamedTuple):
    """A command: the file of this package that has it among its COMMANDS, and what it does in a few words."""

    file: str
    does: str


SECTIONS = {
    "A first night": {
        "init": Entry("cli_init", "Make a workspace, or research a script that you have."),
        "doctor": Entry("cli_setup", "Say what a night needs, what is here, and what mends the rest."),
        "data": Entry("cli_bench", "Prepare the text that models are trained and scored on."),
        "run": Entry("cli_night", "Research until its time is up; typed again, it goes on."),
    },
    "While a night runs": {
        "watch": Entry("cli_running", "Show a night live: what runs, the champion, verdicts, the queue."),
        "dashboard": Entry("cli_dashboard", "Show a night in a browser, with its queue."),
        "attach": Entry("cli_running", "Follow what the night that runs here says."),
        "stop": Entry("cli_running", "End what runs here once its runs under way are done."),
    },
    "The morning": {
        "log": Entry("cli_read", "List a night's experiments with their verdicts."),
        "show": Entry("cli_read", "Show everything about one experiment."),
        "diff": Entry("cli_read", "Print an experiment's change to trainer/."),
        "report": Entry("cli_report", "Make one page of a night, which needs no network."),
        "audit": Entry("cli_audit", "Measure a night's whole gain on text that it never saw."),
        "transfer": Entry("cli_audit", "Measure whether each keep holds in a larger model."),
        "replay": Entry("cli_again", "Run an experiment again: do its numbers come back?"),
        "revert": Entry("cli_again", "Take a kept change back out of the research branch."),
        "finish": Entry("cli_finish", "Write a night into the committed history and the notes."),
        "export": Entry("cli_export", "Put a night, or its champion, into another tool's form."),
    },
    "Ideas and the library": {
        "idea": Entry("cli_idea", "List the queue, kb/ideas.md, add to it and order it."),
        "import": Entry("cli_import", "Take another program's log into the history."),
        "propose": Entry("cli_propose", "Have Claude write one change, without running it."),
        "kb": Entry("cli_kb", "Search, read and extend the notes of papers."),
        "chronicle": Entry("cli_kb", "Write kb/chronology.md afresh."),
    },
    "The bench": {
        "bench": Entry("cli_bench", "Train and score one tree, and say what it cost."),
        "plan": Entry("cli_read", "Say how many experiments fit into so many hours."),
        "worker": Entry("cli_cluster", "Make runs for nights elsewhere, over Dask."),
        "calibrate": Entry("cli_evidence", "Measure this machine's noise, over hours."),
        "proxy": Entry("cli_evidence", "Say how well short runs foretell long ones here."),
    },
    "Housekeeping": {
        "gc": Entry("cli_gc", "Remove what runs and old candidates left behind."),
        "completion": Entry("cli_setup", "Print the script that completes commands in your shell."),
    },
}
ENTRIES = {name: entry for section in SECTIONS.values() for name, entry in section.items()}


class Sections(click.Group):
    """The commands by what a person is about to do, in that order."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every name, as the help has them."""
        return list(ENTRIES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, from its file."""
        if cmd_name not in ENTRIES:
            return None
        commands: tuple[click.Command, ...] = import_module(f"agent.{ENTRIES[cmd_name].file}").COMMANDS
        return next(command for command in commands if command.name == cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """A list a section, all with the same columns."""
        widest = max(map(len, ENTRIES))
        for heading, section in SECTIONS.items():
            with formatter.section(heading):
                formatter.write_dl([(name.ljust(widest), entry.does) for name, entry in section.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, and where there is no such command with the nearest ones."""
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand:
            raise click.NoSuchCommand(args[0], possibilities=ENTRIES, ctx=ctx) from None

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The names that begin so, or else options."""
        named = [CompletionItem(name, help=one.does) for name, one in ENTRIES.items() if name.startswith(incomplete)]
        return named or click.Command.shell_complete(self, ctx, incomplete)


@click.group(cls=Sections, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="nightshift")
def cli() -> None:
    """Research a small language model overnight; find in the morning only what held.

    `nightshift COMMAND --help` says more of each.
    """


def main() -> None:
    """Run a command; whatever goes wrong is one line on standard error and a non-zero exit."""
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        # Under nohup a hang-up is ignored, and stays so.
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without a character of ours shows a question mark
    try:
        cli.main(prog_name=Path(sys.argv[0]).name, standalone_mode=True)
    except (NightshiftError, OSError) as error:
        click.echo(f"nightshift: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
