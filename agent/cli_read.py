"""Commands that read: `log`, `show`, `diff`, `plan`."""

import json
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from agent import completion, git, opening, plan, report, views
from agent.journal import Journal, read_journal
from agent.records import Experiment
from agent.transcript import DRAFTS, as_text, read_transcript
from bench.errors import UsageError

NAME = click.option("--name", shell_complete=completion.nights, help="The night; the latest where none is given.")
ID = click.argument("experiment_id", metavar="ID", shell_complete=completion.experiments)
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def latest_path(name: str | None) -> tuple[git.Repo, Path]:
    """Where the journal of that night is, or of the one written to last. Raises UsageError where there is none."""
    repo = git.here()
    return repo, opening.night_path(repo, name)


def latest(name: str | None) -> tuple[git.Repo, Journal]:
    """The journal of that night, or of the one written to last, to be read. Raises UsageError where there is none."""
    repo, path = latest_path(name)
    return repo, read_journal(path)


def find(journal: Journal, experiment_id: str) -> Experiment:
    """The experiment of that id. Raises UsageError with the ids there are."""
    found = journal.find(experiment_id)
    if found is None:
        ids = [experiment.id for experiment in journal.experiments]
        span = f"{ids[0]} to {ids[-1]}" if ids else "none yet"
        raise UsageError(f"no experiment {experiment_id!r}; there are {span}")
    return found


def print_json(word: Any) -> None:  # noqa: ANN401  # whatever JSON takes
    """Print for programs."""
    click.echo(json.dumps(word, indent=2, ensure_ascii=False, allow_nan=False))


@click.command()
@NAME
@JSON
def log(name: str | None, as_json: bool) -> None:
    """List a night's experiments with their verdicts."""
    _, journal = latest(name)
    header = journal.header
    assert header is not None
    if as_json:
        print_json(views.log_as_json(journal))
        return
    console = Console()
    console.print(views.night_table(header, journal.experiments, journal.reverted))
    console.print(report.summary(journal))


@click.command()
@ID
@click.option("--transcript", is_flag=True, help="What was said between Nightshift and Claude before it.")
@NAME
@JSON
def show(experiment_id: str, transcript: bool, name: str | None, as_json: bool) -> None:
    """Show everything about one experiment: ID is as in `nightshift log`, or its number, or its commit."""
    _, journal = latest(name)
    experiment = find(journal, experiment_id)
    if transcript:
        _show_transcript(journal, experiment, as_json=as_json)
    elif as_json:
        print_json(views.experiment_as_json(experiment))
    else:
        Console().print(views.show_experiment(experiment))


def _show_transcript(journal: Journal, experiment: Experiment, *, as_json: bool) -> None:
    if experiment.authored is None:
        raise UsageError(f"{experiment.id} was not written by Claude: it came from the {experiment.source}")
    lines = read_transcript(journal.path.parent / DRAFTS / f"{experiment.authored.draft}.jsonl")
    if as_json:
        print_json({"id": experiment.id, "draft": experiment.authored.draft, "lines": lines})
    else:
        click.echo(as_text(lines))


@click.command()
@ID
@NAME
@JSON
def diff(experiment_id: str, name: str | None, as_json: bool) -> None:
    """Print an experiment's change to trainer/ as a unified diff: ID is as in `nightshift log`, or its number."""
    _, journal = latest(name)
    experiment = find(journal, experiment_id)
    if not experiment.patch:
        raise UsageError(f"{experiment.id} has no change to show: {experiment.reason}")
    if as_json:
        print_json({"id": experiment.id, "parent": experiment.parent, "patch": experiment.patch})
    else:
        click.echo(experiment.patch, nl=False)


@click.command("plan")
@click.option("--hours", required=True, type=click.FloatRange(min=0, min_open=True), help="Of the night to come.")
@click.option("--slots", type=click.IntRange(min=1), help="Runs side by side; as many as that night had.")
@NAME
@JSON
def plan_night(hours: float, slots: int | None, name: str | None, as_json: bool) -> None:
    """Say how many experiments fit into so many hours, from the speeds measured here."""
    _, journal = latest(name)
    header = journal.header
    found = plan.plan(hours, journal.in_segment(), header, slots or (header.slots if header else 1))
    if as_json:
        print_json(plan.as_json(found))
    else:
        click.echo(plan.as_text(found))


COMMANDS = (log, show, diff, plan_night)
