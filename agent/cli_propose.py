"""`propose`: one proposal of Claude's, for a person to look at; nothing is run."""

import re
from contextlib import closing, suppress
from dataclasses import replace

import click

from agent import arms, arxiv, completion, edits, git, library, opening, purse
from agent.arms import Task
from agent.attempt import Champion, candidate_tree
from agent.claude import Claude
from agent.cli_night import must_reach
from agent.cli_read import JSON, print_json
from agent.desk import Desk, Standing
from agent.proposal import Proposal
from agent.purse import Purse
from agent.queue import IDEAS, add_idea, find_idea, read_queue
from agent.records import AnyRecord
from agent.settings import read_settings
from agent.transcript import DRAFTS
from agent.tree import Tree, unified
from bench import clock
from bench.errors import ProposalError, UsageError
from bench.profiles import profile

CONTEXTS = (3, 10, 30, 100, 10_000)
"""Lines around a change, until it is clear where it belongs."""


@click.command()
@click.option(
    "--idea", shell_complete=completion.ideas, help="An idea of kb/ideas.md that is in words: its heading or slug."
)
@click.option("--paper", metavar="ARXIV", shell_complete=completion.notes, help="A paper that has a note.")
@click.option("--from", "start", default="HEAD", show_default=True, metavar="REF", help="Commit to change.")
@click.option("--queue", is_flag=True, help="Put it into kb/ideas.md as a diff.")
@click.option("--max-usd", default=1.0, show_default=True, type=click.FloatRange(min=0), help="What it may cost.")
@JSON
def propose(idea: str | None, paper: str | None, start: str, queue: bool, max_usd: float, as_json: bool) -> None:
    """Have Claude write one proposal, check that it applies, and show it. Nothing is run, and no night knows of it."""
    repo = git.here()
    repo.must_have_trainer("a proposal by Claude")
    must_reach("write the idea's knobs or diff yourself: nightshift idea add")
    settings = read_settings(repo.root)
    records: list[AnyRecord] = []
    money = Purse(settings.model, settings.price, max_usd, note=records.append)
    folder = opening.home(repo) / DRAFTS
    sha = repo.commit_of(start)
    standing = Standing(Champion(sha, repo.trainer(sha)), [])
    name = f"p{len(list(folder.glob('p*.jsonl'))) + 1:04d}"
    with closing(Claude(settings, money)) as model:
        desk = Desk(repo, folder, profile("smoke").size, clock.now_ms(), model, settings.model)
        dialogue = desk.open(name, standing, _task(repo, idea, paper))
        task, size, champion = dialogue.task, desk.size, standing.champion.tree
        click.echo(f"Claude writes {name} ({task.arm}): {task.title}", err=True)
        found = dialogue.proposal(lambda one: _applies(one, champion, size))
    changed = candidate_tree(found, champion, size, [])
    usage, usd = purse.of_draft(records, name)
    assert found.authored
    found = replace(found, authored=found.authored.model_copy(update={"usage": usage, "usd": usd}))
    patch = unified(champion, changed)
    if as_json:
        print_json(_as_json(found, patch))
    else:
        click.echo(_as_text(found) + "\n\n" + patch, nl=False)
    if queue:
        _put_in_queue(repo, found, _for_queue(champion, changed), task)


def _applies(found: Proposal, champion: Tree, size: str) -> None:
    candidate_tree(found, champion, size, [])


def _task(repo: git.Repo, idea: str | None, paper: str | None) -> Task | None:
    """What the person asked for. Raises UsageError for what cannot be written, or for both at once."""
    if idea and paper:
        raise UsageError("give --idea or --paper, not both; an idea may name papers itself")
    notes = library.read_notes(repo.root)[0]
    if paper:
        note = library.find_note(notes, paper)
        return Task("paper", note.front.title, notes=(note,))
    if not idea:
        return None
    wanted = find_idea(read_queue(repo)[0], idea)
    if wanted.runnable:
        raise UsageError(f"{wanted.title!r} carries its own edits already: `nightshift run` tries it as it stands")
    return arms.for_idea(wanted, notes)


def _as_text(found: Proposal) -> str:
    authored = found.authored
    assert authored
    usage = authored.usage
    return "\n".join(
        (
            found.title,
            f"  why       {found.hypothesis}",
            f"  expected  {authored.expected}",
            f"  lane      {found.lane}",
            f"  notes     {', '.join(found.notes) or 'none'}",
            f"  cost      ${authored.usd:.4f}: {usage.all_input:,} tokens in, {usage.output_tokens:,} out",
        )
    )


def _as_json(found: Proposal, patch: str) -> dict[str, object]:
    authored = found.authored
    assert authored
    return {
        "title": found.title,
        "hypothesis": found.hypothesis,
        "lane": found.lane,
        "idea": found.idea,
        "notes": list(found.notes),
        "authored": authored.model_dump(mode="json"),
        "patch": patch,
    }


def _for_queue(champion: Tree, changed: Tree) -> str:
    """The change as a diff whose hunks fit in one place only. Raises UsageError where the queue cannot hold it."""
    for context in CONTEXTS:
        patch = unified(champion, changed, context)
        with suppress(ProposalError):
            if edits.apply(champion, edits.parse_diff(patch)) == changed:
                return patch
    raise UsageError("no diff of the queue can make this change: it deletes a file")


def _put_in_queue(repo: git.Repo, found: Proposal, patch: str, task: Task) -> None:
    title = f"{task.idea.title}, written out" if task.idea else found.title
    assert found.authored
    body = "\n\n".join(_prose(one) for one in (found.hypothesis, f"Expected: {found.authored.expected}"))
    papers = [one for one in found.notes if arxiv.identifier(one)]
    add_idea(repo, title, body, diff=patch, papers=papers, lane=found.lane)
    again = f"; delete {task.idea.title!r} there, or it is written once more" if task.idea else ""
    click.echo(f"added to {IDEAS}: {title}{again}", err=True)


def _prose(text: str) -> str:
    """Text that opens no heading, block or key of the queue."""
    return re.sub(r"^(?=[#`~]|(paper|lane|priority|after):)", " ", text)


COMMANDS = (propose,)
