"""The command that makes a night: `run`."""

import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from agent import completion, detached, git, opening, report, views
from agent.attempt import Champion
from agent.author import Author
from agent.awake import awake
from agent.claude import Claude, reachable
from agent.cli_bench import DATA
from agent.desk import Desk
from agent.experience import before, calibrated, read
from agent.journal import read_journal
from agent.lab import Lab
from agent.limits import Limits
from agent.live import View
from agent.lock import alone
from agent.night import Night, Researcher, run
from agent.now import NOW, Board
from agent.purse import Purse
from agent.queue import IDEAS
from agent.researchers import Queue, Search
from agent.screen import Screen, verdict_line
from agent.settings import read_settings
from agent.slots import MEASURED, best_slots
from agent.stop import asked_to_stop
from agent.transcript import DRAFTS
from agent.watch import Watch
from bench import clock, link, machine
from bench.data import Dataset, open_dataset
from bench.errors import Interrupted, UsageError
from bench.ground import Ground
from bench.profiles import SCRIPT
from bench.rig import Rig
from bench.slots import Slots

if TYPE_CHECKING:
    from bench.cluster import Cluster

MOST = 64


@click.command("run")
@click.option(
    "--hours",
    default=8.0,
    show_default=True,
    type=click.FloatRange(min=0, min_open=True),
    help="No experiment begins after that.",
)
@click.option(
    "--max-experiments", default=1000, show_default=True, type=click.IntRange(min=1), help="In all, this night."
)
@click.option(
    "--name",
    shell_complete=completion.nights,
    help="Name of the night; running it again resumes it. Today's date where none is given.",
)
@click.option(
    "--researcher",
    default="auto",
    show_default=True,
    type=click.Choice(["auto", "queue", "search", "claude"]),
    help="auto: the queue, then Claude where there is a key, then a knob search.",
)
@click.option("--max-usd", default=5.0, show_default=True, type=click.FloatRange(min=0), help="For Claude, this night.")
@click.option(
    "--slots",
    default="auto",
    show_default=True,
    metavar="NUMBER",
    callback=lambda context, option, word: asked_slots(word),
    help="Runs side by side, one thread each. auto: as many as do most here, which is measured once.",
)
@click.option("--cluster", metavar="ADDRESS", help="Have the workers of this Dask scheduler make the runs.")
@click.option("--from", "start", metavar="REF", help="Commit to start from; HEAD where none is given.")
@click.option("--short", is_flag=True, help="Use the short profiles: a demonstration of the loop, not of ideas.")
@click.option("--detach", is_flag=True, help="Run without this terminal; `nightshift attach` shows it.")
def run_night(
    hours: float,
    max_experiments: int,
    name: str | None,
    researcher: str,
    max_usd: float,
    slots: int | None,
    cluster: str | None,
    start: str | None,
    short: bool,
    detach: bool,
) -> None:
    """Research until a limit is reached; Ctrl-C ends it cleanly, and the same command goes on from there.

    Each idea becomes a commit, is measured beside the best so far, the champion, and is kept or discarded. What was
    kept is on the branch nightshift/NAME; your own branch and files stay as they are.
    """
    repo = git.here()
    name = name or datetime.date.today().isoformat()
    if detach:
        click.echo(detached.begin(repo, name))
        return
    data: Dataset | Rig
    if repo.script:
        researcher = only_the_queue(researcher, short)
        data = opening.rig(repo, repo.script, name, start)
    else:
        data = open_dataset(repo.root / DATA)
    if cluster:
        cluster = address_of(cluster, data, slots)
    settings = read_settings(repo.root) if asks_claude(researcher) else None
    fingerprint = machine.of_script() if repo.script else machine.fingerprint()
    path = opening.journal_path(repo, name)
    folder = path.parent
    with alone(repo, f"night {name}"), detached.log_of(folder) as log, awake() as keeper:
        until = clock.now_ms() + round(hours * 3_600_000)
        board = Board(folder / NOW, until, max_experiments, max_usd if settings else 0.0)
        board.tell()
        watch = Watch(repo, path)
        screen = Screen(Console(), board, lambda: View(watch.look()), log=log)
        if slots is None:
            tree = repo.trainer(repo.commit_of(start or "HEAD"))
            found = opening.experience_path(repo).with_name(MEASURED)
            slots = best_slots(found, fingerprint, tree, data, screen.say, short=short or bool(cluster))
        journal, header = opening.open_night(
            repo,
            name,
            start=start,
            profiles="short-" if short else profiles_of(repo, name, fingerprint, data),
            data=data,
            fingerprint=fingerprint,
            slots=slots,
            say=screen.say,
        )
        known = before(header, read(opening.experience_path(repo)))
        for line in opening.greeting(repo, header, len(journal.in_segment()), known, keeper):
            screen.say(line)
        if cluster:
            screen.say(f"  cluster  {cluster}: its workers make the runs")
        with (
            screen,
            where_runs_happen(cluster, slots, data, folder / opening.RUNS, screen) as bench,
            asked_to_stop(bench, screen.hang_up),
        ):
            lab = Lab(bench, journal, header, known)
            limits = Limits(
                clock.through_sleep() + hours * 3600, max_experiments, lambda: opening.changed(data, header)
            )
            queue, search = Queue(repo, screen.say), Search(lab.profile("smoke").size, header.seed)
            author: Author | None = None
            if settings:
                purse = Purse(settings.model, settings.price, max_usd, journal.records, journal.append)
                screen.say(f"  claude   {settings.model}, at most ${max_usd:.2f}, of which ${purse.held:.2f} is spent")
                model = Claude(settings, purse, bench.stop)
                desk = Desk(repo, folder / DRAFTS, search.size, header.seed, model, settings.model)
                filler = search if researcher == "auto" else None
                author = Author(desk, lab, limits.until, max_experiments, screen.say, bench.stop, queue, filler)
            without: dict[str, list[Researcher]] = {"queue": [queue], "search": [search]}
            team = [author] if author else without.get(researcher, [queue, search])
            night = Night(
                repo, journal, lab, team, limits, lambda decided: screen.say(verdict_line(decided)), screen.say
            )
            ended = research(night, author, again=f"nightshift run --name {name}{' --short' if short else ''}")
        screen.say("")
        screen.print(views.night_table(header, journal.in_segment(), journal.reverted))
        screen.print(report.summary(journal))
        screen.say(f"the night ended: {ended}")


def address_of(cluster: str, data: Dataset | Rig, slots: int | None) -> str:
    """The scheduler's address in full. Raises UsageError where runs cannot be sent there, or not as was asked."""
    if isinstance(data, Rig):
        raise UsageError("a script's night runs on this machine alone: leave --cluster out")
    if slots is not None:
        raise UsageError("how many runs a worker makes side by side is its own `--slots`: leave it out here")
    return link.set_up(cluster, "client")


def where_runs_happen(
    cluster: str | None, slots: int, data: Dataset | Rig, folder: Path, screen: Screen
) -> "Slots | Cluster":
    """The slots of this machine, or a cluster's workers."""
    if cluster is None or isinstance(data, Rig):
        return Slots(slots, data, folder, screen.show)
    from bench.cluster import Cluster  # Dask is an extra

    return Cluster(cluster, Ground.of(data), folder, screen.show, screen.say)


def research(night: Night, author: Author | None, again: str) -> str:
    """Measure the baseline where the segment has none yet, and work on from there; returns why that ended."""
    journal, header = night.journal, night.lab.header
    champion = journal.champion or header.base
    try:
        if author:
            author.take_up(journal)
            author.begin(Champion(champion, night.repo.trainer(champion)), journal)
        if not journal.in_segment():
            first = opening.baseline(header.name, journal, night.lab, champion, night.repo)
            journal.append(first)
            night.tell(first)
        return run(night)
    except (KeyboardInterrupt, Interrupted):
        return f"stopped; all that was measured is journalled, and `{again}` goes on"
    finally:
        if author:
            author.close()


def asked_slots(word: str) -> int | None:
    """The number in `--slots`; None for `auto`. Raises BadParameter."""
    if word != "auto" and not (word.isdecimal() and 1 <= int(word) <= MOST):
        raise click.BadParameter(f"a number from 1 to {MOST}, or auto")
    return None if word == "auto" else int(word)


def asks_claude(researcher: str) -> bool:
    """Whether Claude is one of the researchers. Raises UsageError where it was asked for by name and has no key."""
    if researcher == "claude":
        must_reach("choose another --researcher")
    return researcher == "claude" or (researcher == "auto" and reachable())


def must_reach(otherwise: str) -> None:
    """Raises UsageError where there is no key."""
    if not reachable():
        raise UsageError(
            f"there is no ANTHROPIC_API_KEY in the environment: export ANTHROPIC_API_KEY=…, or {otherwise}"
        )


def only_the_queue(researcher: str, short: bool) -> str:
    """The researcher of a script's night. Raises UsageError for what is asked for and works on `trainer/` alone."""
    if short or researcher in ("search", "claude"):
        what = "--short" if short else f"--researcher {researcher}"
        raise UsageError(f"{what} works on trainer/ alone: a script's night takes its ideas from {IDEAS}, as diffs")
    return "queue"


def profiles_of(repo: git.Repo, name: str, here: machine.Fingerprint, data: Dataset | Rig) -> str:
    """The class of profiles of that night: the one it was last run in, or for a new night the one calibrated last here.

    So a calibration in between does not change a night that has begun.
    """
    if isinstance(data, Rig):
        return SCRIPT
    begun = read_journal(opening.journal_path(repo, name)).header
    if begun is not None:
        return begun.profiles
    return calibrated(read(opening.experience_path(repo)), here.processor, opening.data_key(data))


COMMANDS = (run_night,)
