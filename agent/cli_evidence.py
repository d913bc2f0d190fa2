"""Commands about what numbers are worth: `calibrate`."""

import os

import click
from rich.console import Console

from agent import calibrate as calibration
from agent import git, opening
from agent.cli_bench import DATA
from agent.cli_night import MOST_SLOTS, asked_to_stop
from agent.experience import Experience, of_calibration, read
from agent.ideas import parse_ideas
from agent.journal import open_journal
from agent.lab import Lab
from agent.researchers import IDEAS, read_ideas
from agent.screen import Screen
from bench import files, machine
from bench.data import open_dataset
from bench.errors import Interrupted
from bench.slots import Slots

SEED = 1
"""Of a calibration, the same everywhere: two machines of one class measure the same runs."""


@click.command()
@click.option("--seeds", default=64, show_default=True, type=click.IntRange(min=2), help="Of the shipped trainer.")
@click.option("--from", "start", default="HEAD", show_default=True, metavar="REF", help="Commit to measure.")
@click.option("--short", is_flag=True, help="Use the short profiles: a demonstration of the command.")
def calibrate(seeds: int, start: str, short: bool) -> None:
    """Measure this machine's noise: the trainer under many seeds, and every idea in the queue under a few.

    It takes hours; Ctrl-C ends it cleanly, and the same command goes on from there.
    """
    repo = git.here()
    screen = Screen(Console())
    data = open_dataset(repo.root / DATA)
    fingerprint = machine.fingerprint()
    slots = min(os.cpu_count() or 1, MOST_SLOTS) if fingerprint.repeatable else 1
    with opening.alone(repo):
        base = repo.commit_of(start)
        champion = repo.trainer(base)
        journal = open_journal(opening.home(repo) / calibration.JOURNAL)
        header = opening.new_header(
            "calibration",
            base,
            seed=SEED,
            profiles="short-" if short else "",
            data=data,
            fingerprint=fingerprint,
            slots=slots,
        )
        if journal.header is None or not journal.header.comparable(header):
            journal.append(header)
        ideas, _ = parse_ideas(read_ideas(repo.root / IDEAS))
        folder = opening.home(repo) / "bench"
        with screen, Slots(slots, data, folder, screen.show) as bench, asked_to_stop(bench.stop):
            lab = Lab(bench, journal, header)
            found = calibration.changes(champion, ideas, lab.profile("confirm").size)
            try:
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


COMMANDS = (calibrate,)
