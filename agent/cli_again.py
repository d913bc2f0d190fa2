"""Commands that go back to a decided experiment: `replay` and `revert`."""

import click
from rich.console import Console

from agent import branch, cli_read, edits, git, opening
from agent.attempt import TRAILER_ID
from agent.cli_bench import DATA
from agent.journal import Journal, open_journal
from agent.lock import alone
from agent.records import Experiment, Reverted, Run
from agent.screen import Screen
from bench import clock, machine
from bench.data import open_dataset
from bench.errors import ProposalError, UsageError
from bench.job import Job
from bench.profiles import profile
from bench.slots import Slots


@click.command()
@cli_read.ID
@cli_read.NAME
@cli_read.JSON
def replay(experiment_id: str, name: str | None, as_json: bool) -> None:
    """Run an experiment's commit again, seed by seed, and say whether the numbers came back. ID: see `show`."""
    repo, journal = cli_read.latest(name)
    repo.must_have_trainer("a replay")
    experiment = cli_read.find(journal, experiment_id)
    header = journal.headers[experiment.segment]
    data = open_dataset(repo.root / DATA)
    if opening.data_key(data) != header.data:
        raise UsageError(f"{experiment.id} was measured on {header.data}; data/ holds {opening.data_key(data)}")
    before = last_measured(experiment)
    rows = [
        {"profile": run.profile, "seed": run.seed, "recorded": run.val_bpb, "replayed": bpb, "same": run.val_bpb == bpb}
        for run, bpb in zip(before, _measure_again(repo, experiment, before, header.slots), strict=True)
    ]
    came_back = all(row["same"] for row in rows)
    same_machine = machine.fingerprint() == header.fingerprint
    if as_json:
        cli_read.print_json({"id": experiment.id, "came_back": came_back, "same_machine": same_machine, "runs": rows})
    else:
        for row in rows:
            click.echo(
                f"{row['profile']} seed {row['seed']}: recorded {row['recorded']!r}"
                f" {'=' if row['same'] else '≠'} replayed {row['replayed']!r}"
            )
        said = "every number came back to the last digit" if came_back else "the numbers did not come back"
        click.echo(f"{experiment.id}: {said}{'' if same_machine else ', on another class of machine'}")
    if not came_back:
        raise SystemExit(1)


def last_measured(experiment: Experiment) -> list[Run]:
    """The experiment's own runs under the last profile it came to. Raises UsageError where none was measured."""
    role = "champion" if experiment.source == "baseline" else "candidate"
    measured = [run for run in experiment.runs if run.role == role and run.val_bpb is not None]
    if not measured:
        raise UsageError(f"{experiment.id} was never measured ({experiment.reason}): there is no number to bring back")
    return [run for run in measured if run.profile == measured[-1].profile]


def _measure_again(repo: git.Repo, experiment: Experiment, before: list[Run], slots: int) -> list[float]:
    screen = Screen(Console(stderr=True))
    tree = repo.trainer(experiment.sha)
    label = f"replay {experiment.id}"
    data = open_dataset(repo.root / DATA)
    with screen, Slots(slots, data, opening.home(repo) / "replay", screen.show) as bench:
        futures = [bench.submit(Job(tree, profile(run.profile), run.seed, label=label)) for run in before]
        return [future.result().val_bpb for future in futures]


@click.command()
@cli_read.ID
@cli_read.NAME
def revert(experiment_id: str, name: str | None) -> None:
    """Take a kept change back out of the research branch, as a commit of its own on top. ID: see `show`."""
    repo, path = cli_read.latest_path(name)
    with alone(repo, "revert"):
        journal = open_journal(path)
        experiment, champion, header = cli_read.find(journal, experiment_id), journal.champion, journal.header
        if experiment.status != "keep" or experiment.source == "baseline" or champion is None or header is None:
            raise UsageError(f"{experiment.id} is not a kept change: {experiment.status}, {experiment.reason}")
        if experiment.id in journal.reverted:
            raise UsageError(f"{experiment.id} was reverted already")
        branch.repair(repo, header.name, journal)
        before, after = repo.trainer(experiment.parent), repo.trainer(experiment.sha)
        try:
            changed = edits.take_back(repo.trainer(champion), before, after)
        except ProposalError as error:
            raise UsageError(
                f"{experiment.id} cannot be taken out alone: a later keep changed the same lines; take those out first,"
                f" the last one first ({_keeps_after(experiment, journal)})"
            ) from error
        text = f"Revert {experiment.id}: {experiment.description}\n\n{TRAILER_ID}: {experiment.id}\n"
        sha = repo.write_commit(champion, changed, text)
        journal.append(Reverted(timestamp=clock.now_ms(), id=experiment.id, parent=champion, sha=sha))
        problem = branch.follow(repo, header.name, journal)
    click.echo(problem or f"{experiment.id} is out again: nightshift/{header.name} is at {sha[:7]}")


def _keeps_after(experiment: Experiment, journal: Journal) -> str:
    later = [one.id for one in journal.experiments if one.status == "keep" and one.run > experiment.run]
    return ", ".join(one for one in reversed(later) if one not in journal.reverted)


COMMANDS = (replay, revert)
