"""The command that makes room: `gc`."""

import shlex
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

import click

from agent import cli_read, git
from agent.garbage import Garbage, by_night, look, remove
from agent.lock import alone
from bench import clock

DAYS = 14
"""Git, too, frees what nothing holds two weeks after it was written, unless it is told otherwise."""
DAY_MS = 24 * 3600 * 1000


@click.command("gc")
@click.option(
    "--days",
    default=DAYS,
    show_default=True,
    type=click.IntRange(min=0),
    help="Candidates that were decided, and not kept, more than so many days ago may go.",
)
@click.option("--yes", is_flag=True, help="Remove it without asking.")
@cli_read.JSON
def collect(days: int, yes: bool, as_json: bool) -> None:
    """Say what runs and old candidates left behind, and remove it once you agree. No journal, no log, no branch."""
    repo = git.here()
    found = look(repo, clock.now_ms() - days * DAY_MS)
    if not as_json:
        click.echo("\n".join(lines(found, days)))
    if not found or not (yes or (not as_json and asked())):
        gone = None
    else:
        with alone(repo, "gc"):
            gone = remove(repo, found)
    if as_json:
        cli_read.print_json({"days": days, "removed": gone is not None} | as_data(found if gone is None else gone))
    elif gone is not None:
        click.echo("\n".join(farewell(found, gone)))
    elif found:
        again = shlex.join(["nightshift", "gc", *(["--days", str(days)] if days != DAYS else []), "--yes"])
        click.echo(f"nothing was removed; `{again}` removes it")


def asked() -> bool:
    """Whether the person agrees; off a terminal there is none to ask."""
    return sys.stdin.isatty() and click.confirm("remove all this?")


def lines(found: Garbage, days: int) -> Iterator[str]:
    """What may go and which refs stay, in words."""
    if not found:
        yield "nothing may go"
    for one in found.runs:
        yield f"{size(one.bytes):>9}  {len(one.runs)} runs in {one.folder}"
    for night, ids in by_night(found.refs).items():
        yield f"{len(ids):>4} refs  candidates of night {night}, decided more than {days} days ago and not kept"
    if found.refs:
        yield "`log`, `show` and `diff` tell of these as before; `replay` cannot, once git has freed them"
    for (night, why), count in Counter((ref.night, why) for ref, why in found.stay).items():
        yield f"{count:>4} refs  stay, of night {night or '?'}: {why}"


def farewell(found: Garbage, gone: Garbage) -> Iterator[str]:
    """What is `gone` of what was `found`, in words."""
    yield f"gone: {size(gone.bytes)} in {gone.count} runs, and {len(gone.refs)} refs"
    if left := found.count - gone.count:
        yield f"{left} runs could not be removed: `ls -lR` shows whose they are"
    if gone.refs:
        yield "what these refs held is git's to free: git gc"


def as_data(found: Garbage) -> dict[str, Any]:
    """The same for programs."""
    return {
        "bytes": found.bytes,
        "folders": [{"folder": str(one.folder), "runs": len(one.runs), "bytes": one.bytes} for one in found.runs],
        "refs": by_night(found.refs),
        "stay": [{"id": ref.id, "why": why} for ref, why in found.stay],
    }


def size(count: int) -> str:
    """So many bytes, for people."""
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"


COMMANDS = (collect,)
