"""What nights leave behind that nothing reads again: folders of runs, and refs that hold candidates long decided.

Pure but for the functions that look, measure and remove. Of a journal, a log, a conversation, an experience or a branch
nothing here is about: a folder of runs gives up what has a run's name, and a ref goes only where a journal that reads
tells its experiment's verdict.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from agent.attempt import CANDIDATES
from agent.git import Repo
from agent.journal import Journal, read_journal
from agent.opening import RUNS, home, journal_path
from agent.records import Experiment
from bench import files
from bench.errors import JournalError, UsageError

BY_HAND = ("bench", "replay")
"""Folders of runs of no night, beside the nights; a night may bear the same name."""
RUN = re.compile(r"[0-9a-f]{12}-.+-\d+")
"""What `Slots.folder_of` calls the folder of a run."""


class Runs(NamedTuple):
    """A folder of runs."""

    folder: Path
    runs: tuple[Path, ...]
    """The folder of each, in it."""
    bytes: int
    """What they take on disk."""


class Ref(NamedTuple):
    """What holds a candidate."""

    id: str
    """Of its experiment."""
    sha: str
    """Full hash of the commit it points to."""

    @property
    def night(self) -> str:
        """Name of the night whose experiment it is, if it is one's."""
        return self.id.rpartition("-")[0]


@dataclass(frozen=True)
class Garbage:
    """What may go, and why the other refs stay."""

    runs: tuple[Runs, ...] = ()
    refs: tuple[Ref, ...] = ()
    stay: tuple[tuple[Ref, str], ...] = ()
    """Each with its reason in words."""

    @property
    def bytes(self) -> int:
        """What the runs take on disk."""
        return sum(one.bytes for one in self.runs)

    @property
    def count(self) -> int:
        """How many runs there are."""
        return sum(len(one.runs) for one in self.runs)

    def __bool__(self) -> bool:
        return bool(self.runs or self.refs)


def plan(runs: Iterable[Runs], refs: Iterable[Ref], journals: Mapping[str, Journal | None], before: int) -> Garbage:
    """What may go of `runs` and `refs`: of these, what was decided before `before` (epoch milliseconds) and not kept.

    `journals` are those of the nights by name, None where one does not read.
    """
    told = {
        name: {experiment.id: experiment for experiment in journal.experiments} if journal else None
        for name, journal in journals.items()
    }
    judged = [(ref, _stays(ref, told, before)) for ref in refs]
    return Garbage(
        tuple(one for one in runs if one.runs),
        tuple(ref for ref, why in judged if why is None),
        tuple((ref, why) for ref, why in judged if why is not None),
    )


def _stays(ref: Ref, told: Mapping[str, Mapping[str, Experiment] | None], before: int) -> str | None:
    """Why `ref` has to stay, if it has to, by what the journals have `told` of each night."""
    if ref.night not in told:
        return "there is no journal of it here"
    decided = told[ref.night]
    if decided is None:
        return "its journal cannot be read"
    experiment = decided.get(ref.id)
    if experiment is None:
        return "not decided yet"
    if experiment.sha != ref.sha:
        return "not where its journal says"
    if experiment.status == "keep":
        return "kept"
    return "decided of late" if experiment.timestamp >= before else None


def runs_in(repo: Repo) -> list[Runs]:
    """The folders of runs of every night and of none, and what is in them; follows no link."""
    top = home(repo)
    nights = sorted(path / RUNS for path in top.iterdir() if path.is_dir()) if top.is_dir() else []
    return [_runs(folder) for folder in (*(top / name for name in BY_HAND), *nights)]


def _runs(folder: Path) -> Runs:
    linked = any(path.is_symlink() for path in (folder, folder.parent))
    inside = sorted(folder.iterdir()) if folder.is_dir() and not linked else []
    runs = tuple(path for path in inside if RUN.fullmatch(path.name) and path.is_dir() and not path.is_symlink())
    return Runs(folder, runs, files.disk_use(runs)[0])


def refs_in(repo: Repo) -> list[Ref]:
    """The refs that hold candidates."""
    rows = repo.git("for-each-ref", "--format=%(objectname) %(refname)", CANDIDATES).decode().splitlines()
    found = (row.partition(" ") for row in rows)
    return [Ref(name.removeprefix(f"{CANDIDATES}/"), sha) for sha, _, name in found]


def journals_of(repo: Repo, refs: Iterable[Ref]) -> dict[str, Journal | None]:
    """The journals, by name, of the nights that `refs` are of, where there is one; None where it does not read."""
    found = dict[str, Journal | None]()
    for name in sorted({ref.night for ref in refs}):
        try:
            path = journal_path(repo, name)
            if path.exists():
                found[name] = read_journal(path)
        except UsageError:
            continue  # nothing that a night can be called
        except (JournalError, OSError):
            found[name] = None
    return found


def look(repo: Repo, before: int) -> Garbage:
    """What may go in `repo` now, where candidates decided before `before` (epoch milliseconds) are old."""
    refs = refs_in(repo)
    return plan(runs_in(repo), refs, journals_of(repo, refs), before)


def remove(repo: Repo, garbage: Garbage) -> Garbage:
    """Remove what is in `garbage`, for whoever has the lock; returns what of it is gone.

    Runs first: where the disk is full, git cannot write what it has to write to forget a ref. Raises MachineError
    where a ref was moved meanwhile, and then every ref stays.
    """
    gone = tuple(map(_clear, garbage.runs))
    words = "".join(f"delete {CANDIDATES}/{ref.id} {ref.sha}\n" for ref in garbage.refs)
    repo.git("update-ref", "--no-deref", "--stdin", stdin=words.encode())
    return replace(garbage, runs=gone)


def _clear(one: Runs) -> Runs:
    """Remove the runs; returns those that are gone."""
    for run in one.runs:
        files.remove(run)
    left = [run for run in one.runs if run.exists()]
    return Runs(one.folder, tuple(run for run in one.runs if run not in left), one.bytes - files.disk_use(left)[0])


def by_night(refs: Sequence[Ref]) -> dict[str, list[str]]:
    """The ids of `refs`, by night."""
    found: dict[str, list[str]] = {}
    for ref in refs:
        found.setdefault(ref.night, []).append(ref.id)
    return found
