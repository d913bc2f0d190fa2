"""Can a night start here, and if not, what mends that? Looks at everything, changes nothing, sends nothing."""

from dataclasses import asdict
from typing import IO

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from agent import doctor_machine, doctor_repository, git
from agent.history import plain
from agent.row import Row, State
from bench.errors import MachineError

MARKS: dict[State, tuple[str, str, str]] = {
    "ok": ("✓", "+", "green"),
    "warn": ("!", "!", "yellow"),
    "fail": ("✗", "x", "red"),
}
"""Mark, mark where only ASCII can be shown, and a colour that says nothing more."""


def examine(*, deep: bool = False) -> list[Row]:
    """Every check, in the order in which a person would mend them; `deep` hashes all data, however much there is."""
    rows = doctor_machine.rows()
    if any(row.what == "git" and row.state == "fail" for row in rows):
        return rows
    try:
        repo = git.here()
    except MachineError as error:
        return [*rows, Row("repository", "fail", str(error), "cd PATH/TO/YOUR/CLONE")]
    return [*rows, *doctor_repository.rows(repo, deep)]


def can_start(rows: list[Row]) -> bool:
    """Whether a night can."""
    return all(row.state != "fail" for row in rows)


def show(rows: list[Row], out: IO[str]) -> None:
    """A line a row, under it its command, and last what it comes to."""
    console = Console(file=out, highlight=False)
    unicode = console.encoding.startswith("utf")
    grid = Table.grid("", "", Column(overflow="fold"), padding=(0, 1))
    for row in rows:
        mark, in_ascii, style = MARKS[row.state]
        mend = ("\n  ", (plain(row.mend), "bold")) if row.mend else ()
        said = Text.assemble(plain(row.found), *mend)
        grid.add_row(Text(mark if unicode else in_ascii, style=style), row.what, said if unicode else _in_ascii(said))
    console.print(grid)
    failing = dict.fromkeys(row.what for row in rows if row.state == "fail")
    console.print(f"no night can start yet: {', '.join(failing)}" if failing else "a night can start: nightshift run")


def as_json(rows: list[Row]) -> dict[str, object]:
    """The same for programs."""
    return {"can_start": can_start(rows), "rows": [asdict(row) for row in rows]}


def _in_ascii(text: Text) -> Text:
    return Text(text.plain.encode("ascii", "replace").decode())
