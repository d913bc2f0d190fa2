"""Git by plumbing alone: objects and refs, never the person's branch, index or working tree.

A commit is built from blobs, a tree made in a private index file, and `commit-tree`; refs move by compare-and-swap
(`git update-ref REF NEW OLD`). Hooks, fsmonitor, signing and optional locks are off, and every write is synced.
"""

import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.errors import MachineError, UsageError

FOLDER = "trainer"
"""The only folder a proposal may change, and the only one read from a commit."""

ABSENT = "0" * 40
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


@dataclass(frozen=True)
class Repo:
    """A git repository with a `trainer/` in it."""

    root: Path
    """Top of the working tree."""
    common: Path
    """The git directory that all working trees share."""

    def git(self, *words: str, stdin: bytes = b"", index: Path | None = None) -> bytes:
        """Run one git command and return what it printed. Raises MachineError with git's own last line."""
        done = subprocess.run(
            ["git", *OPTIONS, *words],
            cwd=self.root,
            env=_environment(index),
            input=stdin,
            capture_output=True,
            check=False,
            start_new_session=True,  # a Ctrl-C is for the night, which ends it cleanly
        )
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit code {done.returncode}"]
            raise MachineError(f"git {words[0]}: {said[-1]}")
        return done.stdout

    def line(self, *words: str, stdin: bytes = b"", index: Path | None = None) -> str:
        """Run one git command that prints a line."""
        return self.git(*words, stdin=stdin, index=index).decode().strip()

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
        rows = self.git("ls-tree", "-r", "-z", "--full-tree", commit, f"{FOLDER}/").split(b"\0")
        files: dict[str, bytes] = {}
        for row in filter(None, rows):
            entry, _, name = row.partition(b"\t")
            mode, kind, blob = entry.decode().split()
            if kind != "blob" or mode == "120000":
                raise UsageError(f"{name.decode()} in {commit[:7]} is not a regular file")
            files[name.decode()] = self.git("cat-file", "blob", blob)
        if not files:
            raise UsageError(f"commit {commit[:7]} has no {FOLDER}/ folder; start from one that has: --from REF")
        return files

    def write_commit(self, parent: str, trainer: Mapping[str, bytes], message: str) -> str:
        """Store a commit on top of `parent` whose `trainer/` is exactly `trainer`; returns its full hash.

        Files keep the mode they had in `parent`. No ref points to the commit yet.
        """
        before = self._modes(parent)
        with tempfile.TemporaryDirectory(prefix="nightshift-index-") as folder:
            index = Path(folder) / "index"
            self.git("read-tree", parent, index=index)
            rows = [f"0 {ABSENT}\t{name}\0" for name in before if name not in trainer]
            for name, content in trainer.items():
                mode, blob = before.get(name, ("100644", ""))
                if not blob or self.git("cat-file", "blob", blob) != content:
                    blob = self.line("hash-object", "-w", "--stdin", stdin=content)
                rows.append(f"{mode} {blob}\t{name}\0")
            self.git("update-index", "-z", "--index-info", stdin="".join(rows).encode(), index=index)
            tree = self.line("write-tree", index=index)
        return self.line("commit-tree", "--no-gpg-sign", tree, "-p", parent, "-F", "-", stdin=message.encode())

    def move(self, ref: str, new: str, old: str | None) -> None:
        """Point `ref` at `new` if it still is at `old` (None: does not exist). Raises RefMoved."""
        try:
            self.git("update-ref", "--no-deref", "-m", "nightshift", ref, new, old or ABSENT)
        except MachineError as error:
            raise RefMoved(f"{ref} is no longer at {(old or 'nothing')[:7]}: {error}") from error

    def uncommitted(self) -> list[str]:
        """Paths below `trainer/` that differ from HEAD or are not tracked."""
        rows = self.git("status", "--porcelain", "-z", "--no-renames", "--", FOLDER).split(b"\0")
        return [row[3:].decode() for row in rows if row]

    def checked_out(self) -> set[str]:
        """Full names of the branches that some working tree has checked out."""
        rows = self.git("worktree", "list", "--porcelain").decode().splitlines()
        return {row.removeprefix("branch ") for row in rows if row.startswith("branch ")}

    def _modes(self, commit: str) -> dict[str, tuple[str, str]]:
        rows = self.git("ls-tree", "-r", "-z", "--full-tree", commit, f"{FOLDER}/").decode().split("\0")
        entries = (row.partition("\t") for row in rows if row)
        return {name: (entry.split()[0], entry.split()[2]) for entry, _, name in entries}


def here(folder: Path | None = None) -> Repo:
    """The repository around `folder` (the current one). Raises MachineError where there is none."""
    start = Repo(folder or Path.cwd(), Path())
    try:
        root = Path(start.line("rev-parse", "--show-toplevel"))
        common = Path(start.line("rev-parse", "--path-format=absolute", "--git-common-dir"))
    except (MachineError, FileNotFoundError) as error:
        raise MachineError(f"not inside a git repository ({error}): cd into your clone of nightshift") from None
    return Repo(root, common)


def _environment(index: Path | None) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    private = {"GIT_INDEX_FILE": str(index)} if index else {}
    return {**kept, **WHO, **private, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C.UTF-8", "GIT_TERMINAL_PROMPT": "0"}
