"""Commands about the knowledge base: `kb add`, `search`, `list`, `show`, `ideas`, `check`, and `chronicle`."""

import os
import sys
from dataclasses import asdict
from pathlib import Path

import click

from agent import alphaxiv, arxiv, checks, completion, draft, git, leads, library, outcome
from agent.arxiv import Identifier
from agent.claude import Claude, reachable
from agent.cli_read import JSON, latest, print_json
from agent.history import HISTORY, plain
from agent.ideas import append_idea
from agent.note import HAPPENED, Note, render
from agent.purse import Purse
from agent.settings import read_settings
from agent.web import Web
from bench import clock, files
from bench.errors import LibraryError, NightshiftError, UsageError
from bench.profiles import profile

PROMPT = Path("prompts/note.md")
LONGEST_TEXT = 120_000
"""Characters of a paper that Claude is given."""


@click.group()
def kb() -> None:
    """The knowledge base: notes of papers, lessons, and what was learnt from experiments."""


@kb.command(short_help="Fetch papers, and write a note of each.")
@click.argument("papers", nargs=-1, metavar="[PAPER]...")
@click.option("--search", "words", metavar="WORDS", help="Look in arXiv, and choose what to add.")
def add(papers: tuple[str, ...], words: str | None) -> None:
    """Fetch papers by arXiv identifier or address, and write a note of each."""
    repo = git.here()
    web = Web(files.user_cache() / "papers")
    wanted = [_identifier(paper) for paper in papers] + (_chosen(web, words) if words is not None else [])
    if not wanted and words is None:
        raise UsageError("say which: `nightshift kb add 2505.08823`, or --search with words")
    failed = 0
    for identifier in dict.fromkeys(wanted):
        notes, _ = library.read_notes(repo.root)
        there = next((note for note in notes if note.front.arxiv == identifier.name), None)
        if there:
            click.echo(f"{identifier} has a note already: {library.PAPERS}/{there.name}.md")
            continue
        try:
            _add(repo, web, identifier)
        except LibraryError as error:
            failed += 1
            click.echo(f"nightshift: {error}", err=True)
    if failed:
        sys.exit(1)


def _identifier(paper: str) -> Identifier:
    found = arxiv.identifier(paper)
    if found is None:
        raise UsageError(
            f"{paper!r} is no arXiv identifier: 2505.08823, 2505.08823v2, cs/0506001, or an address of one"
        )
    return found


def _chosen(web: Web, words: str) -> list[Identifier]:
    found = alphaxiv.find(web, words)
    for number, paper in enumerate(found, 1):
        click.echo(f"{number:>3}  {paper.identifier.name:<12} {paper.year or '':<5} {plain(paper.title)}")
    if not found:
        click.echo("arXiv finds nothing of that", err=True)
    if not found or not sys.stdin.isatty():
        return []
    answer = click.prompt("Add which? Numbers, or nothing", default="", show_default=False)
    numbers = [int(word) for word in answer.replace(",", " ").split() if word.isdigit()]
    return [found[number - 1].identifier for number in numbers if 0 < number <= len(found)]


def _add(repo: git.Repo, web: Web, identifier: Identifier) -> None:
    click.echo(f"{identifier}: asking alphaXiv and arXiv", err=True)
    paper = alphaxiv.fetch(web, identifier)
    for line in paper.missing:
        click.echo(f"  {line}", err=True)
    note = draft.stub(paper, clock.day_of(clock.now_ms()))
    what = "a stub, as there is no ANTHROPIC_API_KEY to write it with"
    if reachable():
        try:
            answer = _claude(repo).ask((repo.root / PROMPT).read_text(), _material(repo, paper))
            note, what = draft.filled(note, answer), "written by Claude"
        except (NightshiftError, OSError) as error:
            what = f"a stub: {error}"
    path = repo.root / library.PAPERS / f"{note.name}.md"
    files.write_atomic(path, render(note).encode())
    withdrawn = "; the paper was withdrawn" if paper.withdrawn else ""
    click.echo(f"{identifier}: {path.relative_to(repo.root)}, {what}{withdrawn}")


def _claude(repo: git.Repo) -> Claude:
    settings = read_settings(repo.root)
    return Claude(settings, Purse(settings.model, settings.price))


def _material(repo: git.Repo, paper: alphaxiv.Paper) -> str:
    trainer = "\n".join(
        f"<file path={path!r}>\n{text.decode(errors='replace')}\n</file>" for path, text in repo.trainer("HEAD").items()
    )
    text = (paper.text or paper.abstract)[:LONGEST_TEXT].replace("</paper>", "")
    return f"<trainer>\n{trainer}\n</trainer>\n\n<paper title={paper.title!r}>\n{text}\n</paper>"


@kb.command(short_help="Find notes, lessons and experiments by a question.")
@click.argument("question", nargs=-1, required=True)
@click.option("-k", "most", default=5, show_default=True, type=click.IntRange(1, 100), help="How many.")
@JSON
def search(question: tuple[str, ...], most: int, as_json: bool) -> None:
    """Find notes, lessons and past experiments by a question in your own words."""
    repo = git.here()
    hits = library.search(repo, " ".join(question), most)
    if as_json:
        print_json({"hits": [asdict(hit) | {"file": os.path.relpath(hit.file, repo.root)} for hit in hits]})
        return
    for hit in hits:
        click.echo(f"{hit.page}  {plain(hit.title)}\n    {hit.kind}, {hit.score:.1f}: {plain(hit.snippet)}")
    if not hits:
        click.echo("nothing has any of these words", err=True)


@kb.command("list", short_help="List the notes, with how often each was tried.")
@JSON
def list_notes(as_json: bool) -> None:
    """List the notes, with how many experiments cited each."""
    repo = git.here()
    notes, problems = library.read_notes(repo.root)
    known = library.experiments(repo)
    rows = [
        {
            "name": note.name,
            "title": note.front.title,
            "lane": note.front.lane,
            "topics": list(note.front.topics),
            "experiments": [one.id for one in known if note.cited_in(one.notes)],
        }
        for note in notes
    ]
    if as_json:
        print_json({"notes": rows, "problems": problems})
        return
    for note, row in zip(notes, rows, strict=True):
        click.echo(f"{note.name:<46} {note.front.lane:<13} {len(row['experiments']):>3}  {plain(note.front.title)}")
    for problem in problems:
        click.echo(f"{library.PAPERS}/{problem}", err=True)


@kb.command(short_help="Show a note, with what happened here.")
@click.argument("paper", shell_complete=completion.notes)
@JSON
def show(paper: str, as_json: bool) -> None:
    """Show a note, with what happened here in all nights of this clone."""
    repo = git.here()
    note = library.find_note(library.read_notes(repo.root)[0], paper)
    section = outcome.happened(note, library.experiments(repo))
    if as_json:
        sections = {**note.sections, HAPPENED: section}
        print_json({"name": note.name, **note.front.model_dump(mode="json"), "sections": sections})
    else:
        text = library.text_of(repo.root / library.PAPERS / f"{note.name}.md")
        click.echo(outcome.with_happened(text, section), nl=False)


@kb.command(short_help="Rank the notes by what trying them promises.")
@click.option("--paper", shell_complete=completion.notes, help="One note alone, as an entry of kb/ideas.md.")
@click.option("-k", "most", default=20, show_default=True, type=click.IntRange(min=1), help="How many.")
@JSON
def ideas(paper: str | None, most: int, as_json: bool) -> None:
    """Rank the notes by what trying them promises for its cost: untried, and not in the champion yet."""
    repo = git.here()
    notes, _ = library.read_notes(repo.root)
    repo.must_have_trainer("a ranking of the notes")
    found = leads.leads(notes, library.experiments(repo), repo.trainer(_champion(repo)), profile("confirm").size)
    if paper is not None:
        wanted = library.find_note(notes, paper)
        found = [one for one in found if one.note.name == wanted.name]
    if as_json:
        print_json({"ideas": [_lead_as_json(one) for one in found]})
        return
    if paper is not None:
        click.echo(f"{found[0].state}: {found[0].detail}", err=True)
        click.echo(_entry(found[0].note), nl=False)
        return
    click.echo("score: expected thousandths of a bit per byte an average experiment", err=True)
    for rank, one in enumerate(found[:most], 1):
        front = one.note.front
        click.echo(
            f"{rank:>3}  {one.score:.2f}  {one.state:<9} {front.lane:<13} {one.note.key:<11} {plain(front.title)}"
        )


def _champion(repo: git.Repo) -> str:
    try:
        return latest(None)[1].champion or "HEAD"
    except UsageError:
        return "HEAD"


def _lead_as_json(one: leads.Lead) -> dict[str, object]:
    idea = None if one.state == "conflicts" else one.note.idea()
    return {
        "note": one.note.name,
        "paper": one.note.key,
        "title": one.note.front.title,
        "lane": one.note.front.lane,
        "state": one.state,
        "detail": one.detail,
        "score": one.score,
        "chance": one.chance,
        "gain": one.gain,
        "cost": one.cost,
        "knobs": dict(idea.knobs) if idea else {},
        "diff": idea.diff if idea else None,
    }


def _entry(note: Note) -> str:
    """A note's change as an entry of the queue."""
    idea = note.idea()
    return append_idea(
        "",
        idea.title,
        idea.text,
        knobs=idea.knobs,
        diff=idea.diff,
        papers=[note.front.arxiv or str(note.front.url)],
        lane=idea.lane,
    )


@kb.command(short_help="Look for dead links and what else is wrong in the library.")
@JSON
def check(as_json: bool) -> None:
    """Look for dead links, notes given twice, notes that say nothing to change, and experiments that do not exist."""
    root = git.here().root
    found = checks.problems(root, library.past_of(root / HISTORY))
    if as_json:
        print_json({"problems": found})
    else:
        for problem in found:
            click.echo(problem, err=True)
        click.echo(f"{len(library.read_notes(root)[0])} notes, {len(found)} problems")
    if found:
        sys.exit(1)


@click.command("chronicle")
def write_chronicle() -> None:
    """Write kb/chronology.md afresh from the committed history."""
    root = git.here().root
    files.write_atomic(root / library.CHRONOLOGY, library.chronology(root, library.past_of(root / HISTORY)).encode())
    click.echo(f"{library.CHRONOLOGY} written")


COMMANDS = (kb, write_chronicle)
