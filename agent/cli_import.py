"""The command that takes another program's log into the committed history: `import`."""

from pathlib import Path

import click

from agent import git, library
from agent.cli_read import JSON, print_json
from agent.foreign import Part, append_foreign, read_foreign
from agent.history import HISTORY, plain
from bench import files
from bench.errors import UsageError


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--name", default="", help="What it is called in the history; its own name where none is given.")
@click.option("--dry-run", is_flag=True, help="Say what would be added, and add nothing.")
@JSON
def import_history(file: Path, name: str, dry_run: bool, as_json: bool) -> None:
    """Add an autoresearch.jsonl or a results.tsv to the history, as measured elsewhere and judged by nobody here.

    What is imported compares with nothing: it names no champion, and marks no idea as tried.
    """
    repo = git.here()
    path = repo.root / HISTORY
    if path.exists() and path.samefile(file):
        raise UsageError(f"{file} is the committed history itself")
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    foreign = read_foreign(file.read_bytes(), file.name)
    after, named = append_foreign(before, foreign, name)
    written: list[Path] = []
    if not dry_run:
        files.write_atomic(path, after.encode())
        written = [path, *library.write_learnt(repo.root, library.past_of(path))]
    names = [str(one.relative_to(repo.root)) for one in written]
    if as_json:
        parts = [_as_json(part) for part in foreign.parts]
        print_json({"name": named, "file": file.name, "parts": parts, "written": names})
        return
    for part in foreign.parts:
        told = _as_json(part)
        best = "" if told["best"] is None else f", the best kept there {told['best']:.6g}"
        click.echo(
            f"{'would add' if dry_run else 'added'} {told['runs']} runs in {plain(part.head.metric)}"
            f" ({part.head.direction} is better), {told['kept']} kept there{best}"
        )
    click.echo(f"as {named}, measured elsewhere: comparable with nothing here, and judged by nobody here")
    if names:
        click.echo(f"keep them with: git add {' '.join(names)} && git commit")


def _as_json(part: Part) -> dict[str, object]:
    head = part.head
    kept = [run.measured for run in part.runs if run.status == "keep" and run.measured is not None]
    best = max if head.direction == "higher" else min
    return {
        "metric": head.metric,
        "bestDirection": head.direction,
        "runs": len(part.runs),
        "kept": sum(run.status == "keep" for run in part.runs),
        "best": best(kept, default=None),
    }


COMMANDS = (import_history,)
