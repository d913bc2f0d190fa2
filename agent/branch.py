"""The research branch: it follows the champion that the journal names, and never drops a commit of anybody else's."""

from collections.abc import Collection
from typing import Literal

from agent.git import RefMoved, Repo
from agent.journal import Journal
from agent.records import Experiment, Header, Repaired, Reverted
from bench import clock
from bench.errors import UsageError

TRIES = 5


def branch_of(name: str) -> str:
    """The research branch's full ref name."""
    return f"refs/heads/nightshift/{name}"


def step(
    tip: str | None, champion: str, own: Collection[str], *, checked_out: bool
) -> Literal["there", "move", "checked out", "theirs"]:
    """What there is to do for a branch at `tip` (None: there is none) to be at `champion`.

    `own` are the commits where this night has stood. `theirs`: it is at another, and stays there.
    """
    if tip == champion:
        return "there"
    if tip is not None and tip not in own:
        return "theirs"
    return "checked out" if checked_out else "move"


def follow(repo: Repo, name: str, journal: Journal) -> str | None:
    """Bring the branch to where the journal says that the night stands; a line on why not, where it has to stay.

    By compare-and-swap: where somebody moves it meanwhile, it is looked at again.
    """
    ref, champion = branch_of(name), _champion(journal)
    for _ in range(TRIES):
        tip = repo.tip(ref)
        match step(tip, champion, _own(journal), checked_out=ref in repo.checked_out()):
            case "there":
                return None
            case "checked out":
                return f"branch nightshift/{name} is checked out, and stays at {(tip or 'nothing')[:7]}: git switch -"
            case "theirs":
                return (
                    f"branch nightshift/{name} is at {(tip or '')[:7]}, which is not this night's, and stays there; the"
                    f" night stands at {champion[:7]}: git branch mine nightshift/{name} &&"
                    f" git branch --force nightshift/{name} {champion[:12]}"
                )
            case "move":
                try:
                    repo.move(ref, champion, tip)
                except RefMoved:
                    continue
    raise UsageError(f"branch nightshift/{name} is being moved all the time; choose another --name")


def repair(repo: Repo, name: str, journal: Journal) -> None:
    """As `follow`, at a start: what was put right is journalled. Raises UsageError where the branch has to stay."""
    for left in repo.unlock("refs/heads/nightshift", "refs/nightshift"):
        journal.append(Repaired(timestamp=clock.now_ms(), what=f"removed {left}, which an interrupted git left behind"))
    before = repo.tip(branch_of(name))
    if problem := follow(repo, name, journal):
        raise UsageError(problem)
    champion = _champion(journal)
    if before != champion and journal.experiments:
        what = f"branch nightshift/{name} moved from {(before or 'nothing')[:7]} to {champion[:7]}, as journalled"
        journal.append(Repaired(timestamp=clock.now_ms(), what=what))


def _champion(journal: Journal) -> str:
    header = journal.header
    assert header is not None
    return journal.champion or header.base


def _own(journal: Journal) -> set[str]:
    """Every commit that the night has stood at."""
    own: set[str] = set()
    for record in journal.records:
        match record:
            case Header():
                own.add(record.base)
            case Experiment(status="keep") | Reverted():
                own.add(record.sha)
    return own
