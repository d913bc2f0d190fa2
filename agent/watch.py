"""A night as it is seen from outside: from its journal, what it says of this moment, and the folders of its runs.

Each file is read again only where it changed, and of those that grow only what came since: watching takes no time from
what is measured.
"""

from dataclasses import dataclass
from pathlib import Path

from agent import purse
from agent.curves import Curve, Growing
from agent.git import Repo
from agent.journal import Journal, records_of
from agent.lock import holder
from agent.now import Now, Running, read_now
from agent.opening import RUNS
from agent.queue import IDEAS, wishes_path
from agent.records import Experiment
from agent.researchers import Queue
from agent.tail import Tail
from bench import clock, files
from bench.slots import folder_name

LAST = 5
"""Verdicts that are shown of those before one began to watch."""


@dataclass(frozen=True)
class Trace:
    """A run under way, and its training losses so far beside its champion's under the same profile and seed."""

    run: Running
    curve: Curve
    champion: Curve
    """None of it where the run is the champion's own, or the champion's is not there."""

    @property
    def met(self) -> tuple[int, float, float] | None:
        """The last step that both have finished, and the loss of each there."""
        champion = dict(self.champion)
        return next(((step, loss, champion[step]) for step, loss in reversed(self.curve) if step in champion), None)


@dataclass(frozen=True)
class Standing:
    """How far a night has come."""

    profiles: str
    """What stands before the names of the profiles used."""
    champion: str
    """Key of the tree that the night stands at."""
    decided: int
    """Experiments, baselines not counted."""
    usd: float
    """Dollars it can have cost at the most."""
    keeps: tuple[Experiment, ...]
    """The champions of the open segment one after the other, its baseline first."""
    reverted: frozenset[str]
    """Ids of those a person took out again."""
    experiments: tuple[Experiment, ...]
    """All that was decided, in earlier segments too."""
    waiting: tuple[str, ...]
    """Titles of what the queue has ready, and of what Claude has drafted."""


@dataclass(frozen=True)
class Seen:
    """A night at one moment."""

    name: str
    at: int
    """Epoch milliseconds."""
    running: bool
    now: Now | None
    """What it says of this moment, while it runs."""
    standing: Standing
    traces: tuple[Trace, ...]

    @property
    def runs(self) -> list[Running]:
        """Those under way."""
        return [trace.run for trace in self.traces]


class Watch:
    """Looks at the night whose journal is at `path`, again and again."""

    def __init__(self, repo: Repo, path: Path) -> None:
        self.repo, self.name, self.folder = repo, path.parent.name, path.parent
        self.journal, self.tail = Journal(path), Tail(path)
        self.queue = Queue(repo, lambda words: None)
        self.standing: Standing | None = None
        self.basis: object = None
        """What tells whether the standing is still so."""
        self.champion = ("", "")
        """A commit, and the key of its tree."""
        self.curves: dict[str, Growing] = {}

    def look(self) -> Seen:
        """What is to be seen now. Raises JournalError."""
        found = holder(self.repo)
        running = found is not None and found.what == f"night {self.name}"
        now = read_now(self.folder) if running else None
        if now and found and now.pid != found.pid:
            now = None
        standing = self._standing()
        traces = self._traces(now.runs if now else (), standing.champion)
        return Seen(self.name, clock.now_ms(), running, now, standing, traces)

    def _standing(self) -> Standing:
        before, lines = self.tail.more()
        if not before:
            self.journal.records.clear()
        self.journal.records += records_of(lines, self.journal.path, before)
        basis = (before + len(lines), self.tail.inode, _stamp(self.repo.root / IDEAS), _stamp(wishes_path(self.repo)))
        if self.standing is None or basis != self.basis:
            self.standing, self.basis = self._stand(), basis
        return self.standing

    def _stand(self) -> Standing:
        journal = self.journal
        header = journal.header
        commit = journal.champion or (header.base if header else "")
        if commit and commit != self.champion[0]:
            self.champion = commit, files.tree_key(self.repo.trainer(commit))
        queued = [idea.title for idea in self.queue.waiting(journal)]
        drafted = [str(draft.proposal.get("title", draft.draft)) for draft in journal.untried]
        return Standing(
            profiles=header.profiles if header else "",
            champion=self.champion[1],
            decided=sum(one.source != "baseline" for one in journal.experiments),
            usd=purse.held(journal.records),
            keeps=tuple(one for one in journal.in_segment() if one.status == "keep"),
            reverted=frozenset(journal.reverted),
            experiments=tuple(journal.experiments),
            waiting=(*queued, *drafted),
        )

    def _traces(self, runs: tuple[Running, ...], champion: str) -> tuple[Trace, ...]:
        pairs = [(run, folder_name(champion, run.profile, run.seed)) for run in runs]
        names = {name for run, beside in pairs for name in (run.folder, beside)}
        self.curves = {name: self.curves.get(name) or Growing(self.folder / RUNS / name) for name in names}
        return tuple(
            Trace(run, self.curves[run.folder].read(), self.curves[beside].read() if beside != run.folder else ())
            for run, beside in pairs
        )


def _stamp(path: Path) -> tuple[int, int]:
    """What changes with a file's content; noughts where there is none."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size
