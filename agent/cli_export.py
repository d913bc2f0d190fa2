"""The command that puts a night, or its champion, into the form of another tool: `export`."""

from pathlib import Path

import click
from click.core import ParameterSource
from rich.console import Console

from agent import cli_read, git, history, packing, submission, tracker
from agent.cli_bench import DATA, overrides
from agent.opening import home
from agent.screen import Screen
from agent.submission import Submission
from bench import clock, files, machine
from bench.data import open_dataset
from bench.errors import MachineError, UsageError
from bench.job import Job
from bench.profiles import Profile, golf
from bench.slots import Slots

FOLDER = click.Path(file_okay=False, path_type=Path)
OF_A_SUBMISSION = ("commit", "steps", "hours", "seed", "settings", "github_id")
"""Options that mean nothing for a night's export."""


@click.command()
@click.option("--tsv", is_flag=True, help="Print a night as karpathy/autoresearch's results.tsv.")
@click.option("--wandb", type=FOLDER, help="Write a night as offline runs of Weights & Biases into this folder.")
@click.option("--submission", "entry", type=FOLDER, help="Write what the Parameter Golf challenge asks for, below it.")
@cli_read.NAME
@click.option("--commit", metavar="REF", help="Submit this commit; the night's champion where none is given.")
@click.option("--steps", default=100, show_default=True, type=click.IntRange(min=1), help="Of a submission's run.")
@click.option(
    "--hours",
    default=8.0,
    show_default=True,
    type=click.FloatRange(min=0, min_open=True),
    help="That a submission's run may train for at the most.",
)
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0, 2**31 - 1), help="Of a submission's run.")
@click.option("--set", "settings", multiple=True, metavar="KNOB=VALUE", help="Override a knob in a submission's run.")
@click.option("--github-id", default="", help="Your account, for submission.json.")
@click.pass_context
def export(
    context: click.Context,
    tsv: bool,
    wandb: Path | None,
    entry: Path | None,
    name: str | None,
    commit: str | None,
    steps: int,
    hours: float,
    seed: int,
    settings: tuple[str, ...],
    github_id: str,
) -> None:
    """Put a night, or its champion, into another tool's form; choose one of --tsv, --wandb and --submission."""
    if sum((tsv, wandb is not None, entry is not None)) != 1:
        raise UsageError("choose one of --tsv, --wandb DIR and --submission DIR")
    if entry is not None:
        repo = git.here()
        repo.must_have_trainer("a submission")
        ref = commit or cli_read.latest(name)[1].champion
        if ref is None:
            raise UsageError("this night has no champion yet; name a --commit")
        folder = submit(repo, repo.commit_of(ref), golf(steps, hours), seed, settings, github_id, entry)
        click.echo(f"written to {folder}; its README begins with what does not meet the challenge's conditions")
        return
    for option in context.command.params:
        typed = context.get_parameter_source(option.name or "") == ParameterSource.COMMANDLINE
        if typed and option.name in OF_A_SUBMISSION:
            raise UsageError(f"{option.opts[0]} is for --submission DIR: leave it out here")
    _, journal = cli_read.latest(name)
    if wandb is None:
        click.echo(history.to_tsv(journal.experiments), nl=False)
        return
    written = tracker.write(journal, wandb)
    click.echo(f"{written} runs written to {wandb}; nothing was sent")
    click.echo(f"send them with: wandb sync {wandb / 'wandb'}/offline-run-*")


def submit(
    repo: git.Repo, commit: str, profile: Profile, seed: int, settings: tuple[str, ...], github_id: str, root: Path
) -> Path:
    """Pack a commit into one script, have the bench train and score that, and write its folder below `root`.

    Raises RunFailed where the script does not run, or takes more bytes than the cap.
    """
    data = open_dataset(repo.root / DATA)
    tree = repo.trainer(commit)
    script = packing.pack(tree, f"The trainer of commit {commit[:12]}, packed into one file by Nightshift.")
    job = Job(
        packing.as_tree(script),
        profile,
        seed,
        knobs=overrides(settings, tree, profile.size),
        parent=files.tree_key(tree),
        label=f"submission {commit[:7]}",
    )
    screen = Screen(Console(stderr=True), phases=True)
    with screen, Slots(1, data, home(repo) / "bench", screen.show) as slots:
        found = slots.submit(job).result()
    entry = Submission(
        commit=commit,
        script=script,
        profile=profile,
        seed=seed,
        knobs=job.knobs,
        found=found,
        data=data,
        machine=machine.fingerprint(),
        author=author_of(repo),
        github_id=github_id,
        timestamp=clock.now_ms(),
    )
    return submission.write(root, entry, slots.folder_of(job))


def author_of(repo: git.Repo) -> str:
    """The name that the person's git knows, or nothing."""
    try:
        return repo.line("config", "user.name")
    except MachineError:
        return ""


COMMANDS = (export,)
