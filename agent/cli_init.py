"""The command that makes a workspace: `init`."""

from pathlib import Path

import click

from agent import workspace
from bench.errors import UsageError
from bench.script import METRICS


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--script", "command", metavar="COMMAND", help="Research the script of DIR that this starts.")
@click.option(
    "--metric",
    default="karpathy",
    show_default=True,
    metavar="PATTERN",
    help=f"How it prints its metric: {', '.join(METRICS)}, or a regular expression with one group.",
)
@click.option("--metric-name", default="val_bpb", show_default=True, metavar="NAME", help="What the metric is called.")
@click.option("--higher", is_flag=True, help="The greater number is the better.")
@click.option("--file", "paths", multiple=True, metavar="PATH", help="What may change; the files that COMMAND names.")
@click.option("--seed-env", default="", metavar="VARIABLE", help="The variable that carries its seed, if there is one.")
@click.option("--set", "variables", multiple=True, metavar="VARIABLE=VALUE", help="Set in its environment.")
@click.option("--reads", multiple=True, metavar="PATH", help="What else it reads: data, or a virtual environment.")
@click.option("--timeout-minutes", default=15.0, show_default=True, type=click.FloatRange(min=0, min_open=True))
def init(
    folder: Path,
    command: str | None,
    metric: str,
    metric_name: str,
    higher: bool,
    paths: tuple[str, ...],
    seed_env: str,
    variables: tuple[str, ...],
    reads: tuple[str, ...],
    timeout_minutes: float,
) -> None:
    """Make a workspace in DIR with the shipped trainer; or have the script that is in DIR researched as it is.

    Nothing that is there is changed: the first wants an empty folder, the second writes nightshift.toml and, where
    there is none, kb/ideas.md.
    """
    if command is None:
        made = workspace.make(folder)
        click.echo(f"{folder}: a repository with {len(made)} files, committed")
        click.echo(f"go on with: cd {folder} && nightshift data prepare && nightshift run")
        return
    if unset := next((word for word in variables if "=" not in word), None):
        raise UsageError(f"--set takes VARIABLE=VALUE, not {unset!r}")
    table = {
        "command": command,
        "files": list(paths),
        "metric": metric,
        "name": metric_name,
        "direction": "higher" if higher else "lower",
        "timeout_minutes": timeout_minutes,
        "seed_env": seed_env,
        "environment": {name: value for name, _, value in (word.partition("=") for word in variables)},
        "reads": list(reads),
    }
    for name in workspace.adopt(folder, table):
        click.echo(f"wrote {folder / name}")
    click.echo(f"try it once with: cd {folder} && nightshift bench")


COMMANDS = (init,)
