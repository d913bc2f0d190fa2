"""Git by plumbing alone: objects and refs, never the person's branch, index or working tree.

A commit is built by `hash-object`, `mktree` and `commit-tree`, without an index; refs move by compare-and-swap
(`git update-ref REF NEW OLD`). Hooks, fsmonitor, signing and optional locks are off. Git forces what it writes to disk,
but not the names of it (git-config(1), core.fsync): that is done here, before anything depends on an object or a ref.
"""

import os
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bench import clock, files
from bench.errors import MachineError, UsageError

FOLDER = "trainer"
"""The only folder a proposal may change, and the only one read from a commit."""

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
    """A git repository with a `trainer/` in it."""

    root: Path
    """Top of the working tree."""
    common: Path
    """The git directory that all working trees share."""

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
        """Every file below `trainer/` in `commit`, by path. Raises UsageError for links, submodules or no folder."""
        entries = self._entries(commit)
        return dict(zip(entries, self._blobs(entries), strict=True))

    def write_commit(self, parent: str, trainer: Mapping[str, bytes], message: str) -> str:
        """Store a commit on top of `parent` whose `trainer/` is exactly `trainer`; returns its full hash.

        Files keep the mode they had in `parent`. All that it is made of is on disk; no ref points to it yet.
        """
        before = self._entries(parent)
        held = dict(zip(before, self._blobs(before), strict=True))
        made: list[str] = []
        rows: dict[str, str] = {}
        for name, content in trainer.items():
            entry = before.get(name, Entry("100644", ""))
            if held.get(name) != content:
                entry = Entry(entry.mode, self.line("hash-object", "-w", "--stdin", stdin=content))
                made.append(entry.blob)
            rows[name.removeprefix(f"{FOLDER}/")] = f"{entry.mode} blob {entry.blob}"
        made.append(self._write_tree(rows, made))
        top = self.git("ls-tree", "-z", "--full-tree", parent).decode(errors="surrogateescape").split("\0")
        others = (row for row in top if row and row.partition("\t")[2] != FOLDER)
        made.append(self._mktree([*others, f"040000 tree {made[-1]}\t{FOLDER}"]))
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
        """Paths below `trainer/` that differ from HEAD or are not tracked."""
        rows = self.git("status", "--porcelain", "-z", "--no-renames", "--", FOLDER).split(b"\0")
        return [row[3:].decode() for row in rows if row]

    def checked_out(self) -> set[str]:
        """Full names of the branches that some working tree has checked out."""
        rows = self.git("worktree", "list", "--porcelain").decode().splitlines()
        return {row.removeprefix("branch ") for row in rows if row.startswith("branch ")}

    def _entries(self, commit: str) -> dict[str, Entry]:
        rows = self.git("ls-tree", "-r", "-z", "--full-tree", commit, f"{FOLDER}/").decode().split("\0")
        entries: dict[str, Entry] = {}
        for row in filter(None, rows):
            facts, _, name = row.partition("\t")
            mode, kind, blob = facts.split()
            if kind != "blob" or mode == "120000":
                raise UsageError(f"{name} in {commit[:7]} is not a regular file")
            entries[name] = Entry(mode, blob)
        if not entries:
            raise UsageError(f"commit {commit[:7]} has no {FOLDER}/ folder; start from one that has: --from REF")
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

    def _write_tree(self, rows: Mapping[str, str], made: list[str]) -> str:
        """A tree of `rows`, by path; the trees below it go to `made`."""
        here = [f"{row}\t{name}" for name, row in rows.items() if "/" not in name]
        for folder in sorted({name.split("/")[0] for name in rows if "/" in name}):
            below = {name.partition("/")[2]: row for name, row in rows.items() if name.startswith(f"{folder}/")}
            made.append(self._write_tree(below, made))
            here.append(f"040000 tree {made[-1]}\t{folder}")
        return self._mktree(here)

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
