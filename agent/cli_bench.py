"""Commands about the bench: `data prepare` and `bench`."""

from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from agent import git, sizes
from agent.cli_read import JSON, print_json
from agent.knobs import read_knobs
from agent.lock import alone
from agent.opening import home
from agent.plan import note_on
from agent.proposal import SETTINGS
from agent.screen import Screen
from agent.yardstick import UNJUDGED, of_script
from bench import files, machine
from bench.data import open_dataset
from bench.errors import ProposalError, UsageError
from bench.job import Job, Measurement
from bench.measure import PROGRESS
from bench.profiles import PROFILES, profile
from bench.rig import Rig
from bench.script import Script
from bench.slots import Slots

DATA = Path("data")
OPEN = [name for name, profile in PROFILES.items() if profile.split == "val"]
"""Profiles of hand-made runs: the sealed split is for `nightshift audit` alone."""


@click.group()
def data() -> None:
    """Prepare the text that models are trained and scored on."""


@data.command(short_help="Fetch or read text, and write it as token shards to data/.")
@click.option("--source", default="embedded", show_default=True, help="embedded, fineweb, or a folder of text files.")
def prepare(source: str) -> None:
    """Fetch text, train a tokenizer, and write Parameter Golf shards in three disjoint splits to data/."""
    from bench import corpus  # slow to import, and no other command needs it

    repo = git.here()
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    # A night reads its data until its end: it is not changed underneath.
    with alone(repo, "data prepare"), Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=1.0)

        def show(stage: str, share: float) -> None:
            bar.update(task, description=stage, completed=share)

        found = corpus.prepare(source, repo.root / DATA, show)
    for name, split in found.splits.items():
        click.echo(f"{name:<6} {split.tokens:>12,} tokens  {split.bytes:>12,} bytes  {split.documents:>7,} documents")
    click.echo(f"{found.source}, digest {found.digest[:12]}, in {DATA}/")


@click.command()
@click.option(
    "--profile",
    "name",
    default="smoke",
    show_default=True,
    type=click.Choice(OPEN),
    metavar="NAME",
    help="How long a run is: smoke (does it run at all?), breadth (a first look), confirm (what counts), or transfer"
    " (one size up); short-… of each for a demonstration, x4-… four times as long.",
)
@click.option(
    "--seed", default=1, show_default=True, type=click.IntRange(0, 2**31 - 1), help="What all randomness derives from."
)
@click.option("--set", "settings", multiple=True, metavar="KNOB=VALUE", help="Override a knob for this run only.")
@click.option("--commit", metavar="REF", help="Take trainer/ from this commit, not from the working tree.")
@click.option("--sizes", "with_sizes", is_flag=True, help="Say which tensor and which file of code costs how much.")
@JSON
def bench(name: str, seed: int, settings: tuple[str, ...], commit: str | None, with_sizes: bool, as_json: bool) -> None:
    """Train and score trainer/ as it lies here, under one profile and seed, and say what it cost."""
    repo = git.here()
    if repo.script:
        bench_script(repo, repo.script, commit or "HEAD", seed, as_json)
        return
    dataset = open_dataset(repo.root / DATA)
    tree = repo.trainer(repo.commit_of(commit)) if commit else working_tree(repo.root)
    knobs = overrides(settings, tree, profile(name).size)
    parent = files.tree_key(repo.trainer(repo.commit_of("HEAD")))
    job = Job(tree=tree, profile=profile(name), seed=seed, knobs=knobs, parent=parent)
    screen = Screen(Console(stderr=True), phases=True)
    folder = home(repo) / "bench"
    with screen, Slots(1, dataset, folder, screen.show) as slots:
        found = slots.submit(job).result()
    kept = slots.folder_of(job)
    parts = sizes.parts_of(kept / PROGRESS, found.artifact_bytes, tree) if with_sizes else []
    if as_json:
        told = {"profile": name, "seed": seed, **found.model_dump(), "folder": str(kept)}
        told |= {"sizes": [part.model_dump() for part in parts] if with_sizes else None}
        print_json(told | {"note": note_on(name)})
    else:
        _print(found, job, kept)
        if with_sizes:
            click.echo(f"\n{sizes.table(parts)}")


def bench_script(repo: git.Repo, script: Script, commit: str, seed: int, as_json: bool) -> None:
    """Run the script as a commit has it, once, and say what was read off its output."""
    sha = repo.commit_of(commit)
    job = Job(tree=repo.trainer(sha), profile=script.profile("confirm"), seed=seed)
    screen = Screen(Console(stderr=True))
    rig = Rig(script, repo.root, repo.rest(sha))
    with screen, Slots(1, rig, home(repo) / "bench", screen.show) as slots:
        found = slots.submit(job).result()
    yardstick, kept = of_script(script), slots.folder_of(job)
    if as_json:
        told = {"profile": job.profile.name, "seed": seed, **found.model_dump(), "folder": str(kept), "sizes": None}
        print_json(told | {"val_bpb": yardstick.own(found.val_bpb), "note": UNJUDGED})
        return
    click.echo(f"{yardstick.called} {yardstick.own(found.val_bpb):.6f} in {found.wall_s:.1f} s")
    click.echo(UNJUDGED)
    click.echo(f"what it printed is in {kept}")


def working_tree(root: Path) -> dict[str, bytes]:
    """Every file below `trainer/` as it lies there, but compiled ones. Raises UsageError where there is none."""
    paths = [
        path for path in sorted((root / "trainer").rglob("*")) if path.is_file() and "__pycache__" not in path.parts
    ]
    if not paths:
        raise UsageError("trainer/ holds no file; cd into your clone of nightshift, or name a --commit")
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}


def overrides(settings: tuple[str, ...], tree: dict[str, bytes], size: str) -> dict[str, str]:
    """`KNOB=VALUE` words as environment variables. Raises UsageError for a knob that does not exist."""
    knobs = read_knobs(tree.get(SETTINGS, b""))
    values = {}
    for word in settings:
        name, equals, value = word.partition("=")
        if not equals:
            raise UsageError(f"--set takes KNOB=VALUE, not {word!r}")
        try:
            knobs.in_force(name, size)
        except ProposalError as error:
            raise UsageError(error.detail) from error
        values[name] = value
    return values


def _print(found: Measurement, job: Job, kept: Path) -> None:
    table = Table(title=f"{job.profile.name}, seed {job.seed}, size {job.profile.size}", title_justify="left", box=None)
    for heading in ("phase", "wall s", "cpu s"):
        table.add_column(heading, justify="left" if heading == "phase" else "right")
    for phase, cost in found.phases.items():
        table.add_row(phase, f"{cost.wall_s:.2f}", f"{cost.cpu_s:.2f}")
    table.add_row("all", f"{found.wall_s:.2f}", f"{found.cpu_s:.2f}")
    Console().print(table)
    click.echo(f"val_bpb    {found.val_bpb:.6f} over {found.scored_bytes:,} bytes ({job.profile.name})")
    click.echo(
        f"bytes      {found.artifact_bytes:,} artifact + {found.code_bytes:,} code, of {job.profile.max_bytes:,}"
    )
    click.echo(f"speed      {found.tokens_per_s:,.0f} training tokens/s on {machine.fingerprint().blas}")
    click.echo(f"memory     {found.peak_memory_bytes / 1e6:,.0f} MB at the most")
    click.echo(f"overhead   {found.overhead_s:.2f} s beside training, export, compilation and forward passes")
    click.echo(f"kept in    {kept}")


COMMANDS = (data, bench)
