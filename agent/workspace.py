"""Workspaces: repositories in which a night can run, made afresh or out of one that holds a training script."""

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent import git
from agent.git import Repo
from agent.queue import IDEAS
from agent.settings import OWN
from bench import files
from bench.errors import MachineError, UsageError

HERE = Path(__file__).parent
SHIPPED = HERE / "shipped" if (HERE / "shipped").is_dir() else HERE.parent
"""Where the shipped trainer, rules and prompts lie: in the package, or, in a clone, at its top."""
RULES = "AGENTS.md"
VENV = ".venv"
GITIGNORE = "__pycache__/\n# prepared by `nightshift data prepare`\n/data/\n/.data.*\n"


def make(folder: Path) -> list[str]:
    """Make a repository in `folder` with the shipped trainer, and commit it; returns the paths of its files.

    Raises UsageError, with nothing written, where something is there already.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(
            f"{folder} is not empty, and nothing is overwritten: name a new folder, or, to research a script that is"
            " there, type --script COMMAND"
        )
    trainer = sorted((SHIPPED / "trainer").glob("*.py"))
    content = {f"trainer/{path.name}": path.read_bytes() for path in trainer}
    content |= {RULES: (SHIPPED / RULES).read_bytes(), ".gitignore": GITIGNORE.encode()}
    content[str(IDEAS)] = (HERE / "first_ideas.md").read_bytes()
    for name, text in content.items():
        files.write_atomic(folder / name, text)
    made = Repo(folder, folder / ".git")
    made.git("init", "--quiet", "--initial-branch=main")
    made.git("add", "--", *content)
    made.git("commit", "--quiet", "--no-gpg-sign", "--message=The trainer as Nightshift ships it")
    return sorted(content)


def adopt(folder: Path, table: Mapping[str, Any]) -> list[str]:
    """Have the script that `table` describes, as in `nightshift.toml`, researched in the repository at `folder`.

    Where it names no `files`, those count that its command names; a virtual environment at the top is always read.
    Returns the paths of what was written: the settings, and a queue where there was none. Nothing that is there is
    changed, and nothing committed. Raises UsageError and MachineError, with nothing written.
    """
    repo = _repository(folder)
    if (repo.root / OWN).exists():
        raise UsageError(f"{repo.root / OWN} is there already: put a table [script] into it, or move it away")
    table = {
        **table,
        "files": table["files"] or _files_in(repo, table["command"]),
        "reads": [*table["reads"], *([VENV] if VENV not in table["reads"] and (repo.root / VENV).is_dir() else [])],
    }
    text = _as_toml({name: value for name, value in table.items() if value})
    made = [OWN]
    files.write_atomic(repo.root / OWN, text.encode())
    try:
        Repo(repo.root, repo.common).trainer("HEAD")
    except (UsageError, MachineError):
        (repo.root / OWN).unlink()
        raise
    if not (repo.root / IDEAS).exists():
        files.write_atomic(repo.root / IDEAS, (HERE / "script_ideas.md").read_bytes())
        made.append(str(IDEAS))
    return made


def _repository(folder: Path) -> Repo:
    """The repository whose top `folder` is, with a commit in it."""
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}: --script researches a script that is there")
    try:
        repo = git.here(folder)
        repo.commit_of("HEAD")
    except (MachineError, UsageError):
        raise UsageError(
            f"{folder} is no git repository with a commit, which a night starts from: cd {shlex.quote(str(folder))} &&"
            " git init && git add --all && git commit"
        ) from None
    if repo.root.resolve() != folder.resolve():
        raise UsageError(f"{folder} is not the repository's top: nightshift init {shlex.quote(str(repo.root))} …")
    return repo


def _files_in(repo: Repo, command: str) -> list[str]:
    """The committed files that a command names."""
    try:
        words = [word.removeprefix("./") for word in shlex.split(command)]
    except ValueError as error:
        raise UsageError(f"{command!r} cannot be split into words: {error}") from error
    known = repo.git("ls-tree", "-r", "-z", "--name-only", "--full-tree", "HEAD").decode().split("\0")
    found = [word for word in words if word in known]
    if not found:
        raise UsageError(f"no file that is committed stands in {command!r}: name what may change, as --file train.py")
    return found


def _as_toml(table: Mapping[str, object]) -> str:
    """The table as it is written; strings, numbers, and lists and tables of strings are all that it holds."""
    head = "# What `nightshift run` researches here: docs/bring-your-own.md has all that may stand in this table.\n"
    return f"{head}[script]\n" + "".join(f"{name} = {_value(value)}\n" for name, value in table.items())


def _value(value: object) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{name} = {json.dumps(text)}" for name, text in value.items()) + " }"
    return json.dumps(value)
