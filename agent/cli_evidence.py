"""Commands about what numbers are worth: `calibrate` and `proxy`."""

import click
from rich.console import Console

from agent import calibrate as calibration
from agent import cli_read, git, opening, proxy
from agent.cli_bench import DATA
from agent.experience import Experience, calibrated, conditions, of_calibration, read, under
from agent.journal import open_journal
from agent.lab import Lab
from agent.lock import alone
from agent.queue import read_queue
from agent.screen import Screen
from agent.slots import unmeasured
from agent.stop import asked_to_stop
from bench import files, machine
from bench.data import open_dataset
from bench.errors import Interrupted
from bench.profiles import profile
from bench.slots import Slots

SEED = 1
"""Of a calibration, the same everywhere: two machines of one class measure the same runs."""


@click.command()
@click.option(
    "--seeds", default=64, show_default=True, type=click.IntRange(min=2), help="How many to run the trainer under."
)
@click.option(
    "--target-seconds",
    default=60.0,
    show_default=True,
    type=click.FloatRange(min=0, min_open=True),
    help="What a confirm run may take beside another: the longest profiles within it are measured, and used by nights.",
)
@click.option("--from", "start", default="HEAD", show_default=True, metavar="REF", help="Commit to measure.")
@click.option("--short", is_flag=True, help="Use the short profiles: a demonstration of the command.")
def calibrate(seeds: int, target_seconds: float, start: str, short: bool) -> None:
    """Measure this machine's noise: the trainer under many seeds, and every idea in the queue under a few.

    It takes hours; Ctrl-C ends it cleanly, and the same command goes on from there.
    """
    repo = git.here()
    repo.must_have_trainer("a calibration")
    screen = Screen(Console())
    data = open_dataset(repo.root / DATA)
    fingerprint = machine.fingerprint()
    slots = unmeasured() if fingerprint.repeatable else 1
    with alone(repo, "calibration"):
        base = repo.commit_of(start)
        champion = repo.trainer(base)
        journal = open_journal(opening.home(repo) / calibration.JOURNAL)
        ideas = [idea for idea in read_queue(repo)[0] if not idea.retired]
        first = "short-" if short else ""
        found = calibration.changes(champion, ideas, profile(f"{first}confirm").size)
        folder = opening.home(repo) / "bench"
        with screen, Slots(slots, data, folder, screen.show) as bench, asked_to_stop(bench, screen.hang_up):

            def laboratory(profiles: str) -> Lab:
                header = opening.new_header(
                    "calibration",
                    base,
                    seed=SEED,
                    profiles=profiles,
                    data=data,
                    fingerprint=fingerprint,
                    slots=slots,
                )
                if journal.header is None or not journal.header.comparable(header):
                    journal.append(header)
                return Lab(bench, journal, header)

            try:
                lab = laboratory(first)
                if not short:
                    chosen, why = calibration.fitting(calibration.time_confirm(lab, champion), target_seconds)
                    screen.say(why)
                    lab = laboratory(chosen)
                for name in calibration.measure(lab, champion, found, seeds):
                    screen.say(f"measured: {name}")
            except (KeyboardInterrupt, Interrupted):
                screen.say("stopped; all that was measured is journalled, and the same command goes on")
        names = {files.tree_key(change.tree): (change.slug, change.lane) for change in found}
        learnt = of_calibration(journal, names, files.tree_key(champion))
        if min(len(scores) for scores in learnt.scores.values()) < 2:
            return
        path = opening.experience_path(repo)
        others = [one for one in read(path) if one.profiles != learnt.profiles]
        files.write_atomic(path, "".join(f"{one.model_dump_json()}\n" for one in (*others, learnt)).encode())
    for line in told(learnt):
        click.echo(line)


def told(learnt: Experience) -> list[str]:
    """What was learnt, in words."""
    lines = [
        f"{learnt.profiles}{stage}: one run varies by {1000 * learnt.run_scale(stage):.2f} thousandths of a bit"
        f" over {len(scores)} seeds"
        for stage, scores in learnt.scores.items()
    ]
    foretells = learnt.promotion()
    return [
        *lines,
        f"{foretells.changes} changes measured at both; confirm shows {foretells.slope:.2f} of what breadth does,"
        f" give or take {1000 * foretells.scatter:.1f} thousandths",
    ]


@click.command("proxy")
@cli_read.NAME
@cli_read.JSON
def examine_proxy(name: str | None, as_json: bool) -> None:
    """Say how well breadth foretells confirm here, and what another breadth would have cost and missed.

    Breadth is the short look that most ideas are dropped at, confirm the long one that alone can keep them.
    """
    found = proxy.examine(_known(name))
    if as_json:
        cli_read.print_json(proxy.as_json(found))
    else:
        click.echo(proxy.as_text(found))


def _known(name: str | None) -> Experience:
    """What is known under the conditions of that night, or else of a night that would begin here now.

    That night's experiments, or the latest night's, count too where they were made under the same conditions.
    """
    repo = git.here()
    repo.must_have_trainer("a forecast")
    own = read(opening.experience_path(repo))
    begun = name is not None or any(opening.home(repo).glob("*/autoresearch.jsonl"))
    journal = cli_read.latest(name)[1] if begun else None
    header = journal.header if journal else None
    if name is not None and header is not None:
        here = conditions(header)
    else:
        processor, data = machine.fingerprint().processor, opening.data_key(open_dataset(repo.root / DATA))
        here = processor, data, calibrated(own, processor, data)
    known = under(here, own)
    if journal is None or header is None or conditions(header) != here:
        return known
    if header.profiles != known.profiles:
        click.echo(f"left out: night {header.name}, as its {header.profiles} profiles were not calibrated", err=True)
        return known
    return known.after(journal.in_segment())


COMMANDS = (calibrate, examine_proxy)
