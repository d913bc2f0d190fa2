"""Commands that measure what a night's keeps are worth: `audit` and `transfer`."""

import contextlib
from collections.abc import Iterator, Sequence

import click
from rich.console import Console

from agent import audit as auditing
from agent import cli_read, opening
from agent.cli_bench import DATA
from agent.git import Repo
from agent.journal import Journal, open_journal
from agent.lab import Lab
from agent.lock import alone
from agent.plan import SHORT
from agent.records import Audited, Estimate, Experiment
from agent.screen import Screen
from agent.stop import asked_to_stop
from bench import machine
from bench.data import open_dataset
from bench.errors import Interrupted, UsageError
from bench.slots import Slots


@click.command()
@cli_read.NAME
@click.option("--seeds", default=6, show_default=True, type=click.IntRange(min=2), help="Pairs to measure.")
@cli_read.JSON
def audit(name: str | None, seeds: int, as_json: bool) -> None:
    """Measure a night's whole gain, first champion against last, on fresh seeds and text that no night reads.

    It is done once for a pair of champions: asked again, this prints what was found. Ctrl-C ends it cleanly, and the
    same command goes on from there.
    """
    repo, path = cli_read.latest_path(name)
    repo.must_have_trainer("an audit")
    with alone(repo, f"audit of night {path.parent.name}"):
        journal = open_journal(path)
        recorded = journal.audited
        found = recorded or measure_audit(repo, journal, seeds)
    if as_json:
        cli_read.print_json(auditing.audited_as_json(found) | {"note": note(found.evidence)})
        return
    click.echo(auditing.audited_in_words(found))
    if recorded:
        click.echo("this was recorded before and nothing was measured now: only another champion is audited anew")
    if words := note(found.evidence):
        click.echo(words)


@click.command()
@cli_read.NAME
@click.option("--seeds", default=3, show_default=True, type=click.IntRange(min=2), help="Pairs to measure for a keep.")
@cli_read.JSON
def transfer(name: str | None, seeds: int, as_json: bool) -> None:
    """Measure each keep that stands against the parent it replaced, one size class up: does its gain hold?

    No keep is measured twice. Ctrl-C ends it cleanly, and the same command goes on from there.
    """
    repo, path = cli_read.latest_path(name)
    repo.must_have_trainer("a transfer")
    with alone(repo, f"transfer of night {path.parent.name}"):
        journal = open_journal(path)
        keeps = auditing.standing(journal)
        measure_transfers(repo, journal, [one for one in keeps if one.id not in journal.transferred], seeds)
    found = [(kept, journal.transferred[kept.id]) for kept in keeps]
    notes = {note(one.evidence) for _, one in found if one.evidence}
    if as_json:
        told = [auditing.transferred_as_json(kept, one) for kept, one in found]
        cli_read.print_json({"keeps": told, "note": next(iter(notes), None)})
        return
    for kept, one in found:
        click.echo(auditing.transferred_in_words(kept, one))
    for words in filter(None, notes):
        click.echo(words)


def measure_audit(repo: Repo, journal: Journal, seeds: int) -> Audited:
    """Audit the champion that the night stands at, and journal it."""
    first, last = auditing.champions(journal, repo)
    if any(isinstance(record, Audited) for record in journal.records):
        click.echo(f"the night has moved on since its last audit: its champion is {last[:7]} now", err=True)
    with measuring(repo, journal) as laboratory:
        found = auditing.audit(first, last, laboratory, repo, seeds)
        journal.append(found)
    return found


def measure_transfers(repo: Repo, journal: Journal, keeps: Sequence[Experiment], seeds: int) -> None:
    """Measure and journal those keeps one by one."""
    if not keeps:
        return
    with measuring(repo, journal) as laboratory:
        for kept in keeps:
            journal.append(auditing.transfer(kept, laboratory, repo, seeds))


@contextlib.contextmanager
def measuring(repo: Repo, journal: Journal) -> Iterator[Lab]:
    """The night's lab, with its runs shown on standard error.

    Raises UsageError where data, sandbox or machine is another than the night's, and Interrupted with words of its own.
    """
    header, data = journal.header, open_dataset(repo.root / DATA)
    assert header is not None
    now = opening.new_header(
        header.name,
        header.base,
        seed=header.seed,
        profiles=header.profiles,
        data=data,
        fingerprint=machine.fingerprint(),
        slots=header.slots,
    )
    if not header.comparable(now):
        raise UsageError(f"night {header.name} was measured on other data, or another machine or sandbox, than is here")
    screen = Screen(Console(stderr=True))
    folder = journal.path.parent / opening.RUNS
    try:
        with screen, Slots(header.slots, data, folder, screen.show) as bench, asked_to_stop(bench, screen.hang_up):
            yield Lab(bench, journal, header)
    except (KeyboardInterrupt, Interrupted):
        raise Interrupted("stopped; all that was measured is journalled, and the same command goes on") from None


def note(found: Estimate) -> str | None:
    """What to say beside numbers of short profiles."""
    return SHORT if found.profile.startswith("short-") else None


COMMANDS = (audit, transfer)
