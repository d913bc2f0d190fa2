"""Commands about this machine: `doctor` and `completion`."""

import sys

import click
from click.shell_completion import get_completion_class

from agent import doctor as checks
from agent.cli_read import JSON, print_json
from bench.errors import UsageError

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.option("--deep", is_flag=True, help="Hash every byte of the data, however much there is.")
@JSON
def doctor(deep: bool, as_json: bool) -> None:
    """Say what a night needs, what is here, and under what is amiss the command that mends it.

    Nothing is changed, and nothing is sent anywhere. The exit code is 0 where a night can start; what is marked with
    an exclamation mark does not keep it from that.
    """
    rows = checks.examine(deep=deep)
    if as_json:
        print_json(checks.as_json(rows))
    else:
        checks.show(rows, sys.stdout)
    if not checks.can_start(rows):
        raise SystemExit(1)


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that completes commands, options and names in a shell.

    One line in the shell's start-up file has it there from then on:

    \b
      ~/.bashrc                    eval "$(nightshift completion bash)"
      ~/.zshrc                     eval "$(nightshift completion zsh)"
      ~/.config/fish/config.fish   nightshift completion fish | source
    """
    found = get_completion_class(shell)
    if found is None:
        raise UsageError(f"this version of click completes nothing in {shell}: pip install -U click")
    click.echo(found(ctx.find_root().command, {}, "nightshift", "_NIGHTSHIFT_COMPLETE").source())


COMMANDS = (doctor, completion)
