"""Git by plumbing alone: objects and refs, never the person's branch, index or working tree.

A commit is built by `hash-object`, `mktree` and `commit-tree`, without an index; refs move by compare-and-swap
(`git update-ref REF NEW OLD`). Hooks, fsmonitor, signing and optional locks are off. Git forces what it writes to disk,
but not the names of it (git-config(1), core.fsync): that is done here, before anything depends on an object or a ref.
"""

import os
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from agent.scope import TRAINER, Scope, within
from agent.settings import OWN, read_script
from bench import clock, files
from bench.errors import MachineError, UsageError
from bench.script import Script

REGULAR = ("100644", "100755")
ABSENT = "0" * 40
LOCKED_S = 1.0
"""Far longer than git holds a ref's lock."""
OPTIONS = (
    *("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "core.fsync=all"),
    *("-c", "core.quotePath=false", "-c", "gc.auto=0"),
)
WHO = {
    "GIT_AUTHOR_NAME": "Nightshift",
    "GIT_AUTHOR_EMAIL": "nightshift@localhost",
    "GIT_COMMITTER_NAME": "Nightshift",
    "GIT_COMMITTER_EMAIL": "nightshift@localhost",
}


class RefMoved(MachineError):
    """A ref was not where it was expected: somebody else moved it meanwhile."""


class Entry(NamedTuple):
    """A file in a commit."""

    mode: str
    blob: str


@dataclass(frozen=True)
class Repo:
    """A git repository with a `trainer/` in it, or with a script that is researched in its place."""

    root: Path
    """Top of the working tree."""
    common: Path
    """The git directory that all working trees share."""

    @cached_property
    def script(self) -> Script | None:
        """What is researched in place of `trainer/`, if that is settled: as it was when first asked for.

        Raises UsageError.
        """
        return read_script(self.root)

    @property
    def scope(self) -> Scope:
        """What a proposal may change here."""
        return self.script.files if self.script else TRAINER

    def must_have_trainer(self, what: str) -> None:
        """Raises UsageError where a script is researched: `what` is nothing that can be done with one."""
        if self.script:
            raise UsageError(f"{what} is for trainer/ alone: this repository's {OWN} names a script to research")

    def git(self, *words: str, stdin: bytes = b"") -> bytes:
        """Run one git command and return what it printed. Raises MachineError with git's own last line."""
        done = subprocess.run(
            ["git", *OPTIONS, *words],
            cwd=self.root,
            env=_environment(),
            input=stdin,
            capture_output=True,
            check=False,
            start_new_session=True,  # a Ctrl-C is for the night, which ends it cleanly
        )
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit code {done.returncode}"]
            raise MachineError(f"git {words[0]}: {said[-1]}")
        return done.stdout

    def line(self, *words: str, stdin: bytes = b"") -> str:
        """Run one git command that prints a line."""
        return self.git(*words, stdin=stdin).decode().strip()

    def commit_of(self, ref: str) -> str:
        """Full hash of the commit that `ref` names. Raises UsageError where there is none."""
        try:
            return self.line("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
        except MachineError:
            raise UsageError(f"no commit {ref!r} in this repository; `git log --oneline` lists some") from None

    def tip(self, ref: str) -> str | None:
        """Full hash that a full ref name points to, or None where it does not exist."""
        found = self.line("for-each-ref", "--format=%(objectname) %(refname)", ref)
        return next((row.split()[0] for row in found.splitlines() if row.split()[1] == ref), None)

    def trainer(self, commit: str) -> dict[str, bytes]:
        """Every file in `commit` that a proposal may change, by path: as a rule those below `trainer/`.

        Raises UsageError for links and submodules, and where the scope names what is not there.
        """
        entries = self._scoped(commit)
        return dict(zip(entries, self._blobs(entries), strict=True))

    def rest(self, commit: str) -> dict[str, bytes]:
        """Every regular file in `commit` that a proposal may not change, by path."""
        entries = {
            name: entry
            for name, entry in self._entries(commit).items()
            if entry.mode in REGULAR and not within(name, self.scope)
        }
        return dict(zip(entries, self._blobs(entries), strict=True))

    def write_commit(self, parent: str, trainer: Mapping[str, bytes], message: str) -> str:
        """Store a commit on top of `parent` which in scope holds exactly the files `trainer`; returns its full hash.

        Files keep the mode they had in `parent`. All that it is made of is on disk; no ref points to it yet.
        """
        before = self._scoped(parent)
        held = dict(zip(before, self._blobs(before), strict=True))
        made: list[str] = []
        rows = dict.fromkeys(before, "")
        for name, content in trainer.items():
            entry = before.get(name, Entry("100644", ""))
            if held.get(name) != content:
                entry = Entry(entry.mode, self.line("hash-object", "-w", "--stdin", stdin=content))
                made.append(entry.blob)
            rows[name] = f"{entry.mode} blob {entry.blob}"
        self._graft(f"{parent}^{{tree}}", rows, made)
        made.append(
            self.line("commit-tree", "--no-gpg-sign", made[-1], "-p", parent, "-F", "-", stdin=message.encode())
        )
        self._settle(self.common / "objects" / one[:2] / one for one in made)
        return made[-1]

    def move(self, ref: str, new: str, old: str | None) -> None:
        """Point `ref` at `new`, on disk, if it still is at `old` (None: does not exist). Raises RefMoved."""
        try:
            self.git("update-ref", "--no-deref", "-m", "nightshift", ref, new, old or ABSENT)
        except MachineError as error:
            if self.tip(ref) == old:
                raise
            raise RefMoved(f"{ref} is no longer at {(old or 'nothing')[:7]}: {error}") from error
        self._settle([self.common / ref])

    def point(self, ref: str, new: str) -> None:
        """Point `ref`, which is the caller's alone, at `new`."""
        self.move(ref, new, self.tip(ref))

    def unlock(self, *folders: str) -> list[str]:
        """Remove what git commands that were killed left locked in these folders of refs; returns the files' names.

        A lock that lasts for LOCKED_S belongs to no command that lives: git holds one for the time of a write.
        """
        found = []
        for path in (path for folder in folders for path in sorted((self.common / folder).rglob("*.lock"))):
            until = clock.monotonic() + LOCKED_S
            while path.exists() and clock.monotonic() < until:
                clock.sleep(LOCKED_S / 20)
            if path.exists():
                path.unlink()
                found.append(str(path.relative_to(self.common)))
        return found

    def uncommitted(self) -> list[str]:
        """Paths in scope that differ from HEAD or are not tracked."""
        rows = self.git("status", "--porcelain", "-z", "--no-renames", "--", *self.scope).split(b"\0")
        return [row[3:].decode() for row in rows if row]

    def checked_out(self) -> set[str]:
        """Full names of the branches that some working tree has checked out."""
        rows = self.git("worktree", "list", "--porcelain").decode().splitlines()
        return {row.removeprefix("branch ") for row in rows if row.startswith("branch ")}

    def _scoped(self, commit: str) -> dict[str, Entry]:
        """The files in scope; there are some for each of its paths."""
        entries = self._entries(commit, *self.scope)
        for name, entry in entries.items():
            if entry.mode not in REGULAR:
                raise UsageError(f"{name} in {commit[:7]} is not a regular file")
        for one in self.scope:
            if not any(within(name, (one,)) for name in entries):
                what = f"{one} folder" if one.endswith("/") else one
                raise UsageError(f"commit {commit[:7]} has no {what}; start from one that has: --from REF")
        return entries

    def _entries(self, commit: str, *paths: str) -> dict[str, Entry]:
        rows = self.git("ls-tree", "-r", "-z", "--full-tree", commit, *paths).decode().split("\0")
        entries: dict[str, Entry] = {}
        for row in filter(None, rows):
            facts, _, name = row.partition("\t")
            mode, _, blob = facts.split()
            entries[name] = Entry(mode, blob)
        return entries

    def _blobs(self, entries: Mapping[str, Entry]) -> list[bytes]:
        """What the files hold, in their order."""
        names = [entry.blob for entry in entries.values()]
        said, found = self.git("cat-file", "--batch", stdin="".join(f"{name}\n" for name in names).encode()), []
        for name in names:
            head, _, rest = said.partition(b"\n")
            if head.endswith(b" missing"):
                raise MachineError(f"git has lost {name}: `git fsck` says what else")
            size = int(head.split()[2])
            found.append(rest[:size])
            said = rest[size + 1 :]
        return found

    def _graft(self, tree: str, rows: Mapping[str, str], made: list[str]) -> str:
        """That tree (none where it is empty) with `rows`, by path, in place of what it has there, or gone where empty.

        It and those below it that are new go to `made`; returns its hash, or nothing where no file is left.
        """
        said = self.git("ls-tree", "-z", tree).decode(errors="surrogateescape").split("\0") if tree else []
        here = {name: facts for facts, _, name in (row.partition("\t") for row in said if row)}
        here |= {name: row for name, row in rows.items() if "/" not in name}
        for folder in sorted({name.split("/")[0] for name in rows if "/" in name}):
            below = {name.partition("/")[2]: row for name, row in rows.items() if name.startswith(f"{folder}/")}
            kind, _, before = here.get(folder, "").rpartition(" ")
            grafted = self._graft(before if kind == "040000 tree" else "", below, made)
            here[folder] = f"040000 tree {grafted}" if grafted else ""
        if not any(here.values()):
            return ""
        made.append(self._mktree(f"{facts}\t{name}" for name, facts in here.items() if facts))
        return made[-1]

    def _mktree(self, rows: Iterable[str]) -> str:
        return self.line("mktree", "-z", stdin="".join(f"{row}\0" for row in rows).encode(errors="surrogateescape"))

    def _settle(self, paths: Iterable[Path]) -> None:
        """Force the names that lead to `paths`, in the git directory, to disk; what is packed away has none."""
        folders = {folder for path in paths for folder in path.parents if folder.is_relative_to(self.common)}
        for folder in sorted(folders - {self.common}, reverse=True):
            if folder.is_dir():
                files.sync_folder(folder)


def here(folder: Path | None = None) -> Repo:
    """The repository around `folder` (the current one). Raises MachineError where there is none."""
    start = Repo(folder or Path.cwd(), Path())
    try:
        root = Path(start.line("rev-parse", "--show-toplevel"))
        common = Path(start.line("rev-parse", "--path-format=absolute", "--git-common-dir"))
    except (MachineError, FileNotFoundError) as error:
        raise MachineError(f"not inside a git repository ({error}): cd into your clone of nightshift") from None
    return Repo(root, common)


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return {**kept, **WHO, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C.UTF-8", "GIT_TERMINAL_PROMPT": "0"}
