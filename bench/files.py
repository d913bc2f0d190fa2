"""The one place that writes files which anything later depends on."""

import hashlib
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

from bench.errors import ProposalError

LONGEST_PATH = 200


def user_cache() -> Path:
    """The folder for what can always be fetched or made again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nightshift"


def append_line(path: Path, line: str) -> None:
    """Append one line to `path` and force it to disk before returning."""
    if "\n" in line:
        raise ValueError("a line holds no line break")
    path.parent.mkdir(parents=True, exist_ok=True)
    new = not path.exists()
    with path.open("ab") as file:
        file.write(line.encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    if new:
        sync_folder(path.parent)


def write_atomic(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Put `content` at `path`: a reader sees the old file or the new one, never half of either."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{secrets.token_hex(8)}")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.chmod(mode)
    draft.replace(path)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Force a folder's own entries to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_plain(name: str) -> bool:
    """Whether a path of a tree names a file below the tree's top and nothing else, on every system."""
    plain = name.isprintable() and "\\" not in name and len(name) <= LONGEST_PATH
    return plain and all(part not in ("", ".", "..") for part in name.split("/"))


def lay_out(tree: Mapping[str, bytes], root: Path) -> None:
    """Write a tree of files below `root`, a fresh folder.

    Raises ProposalError(`not_a_trainer_file`), with nothing written, where a path could lead out of it.
    """
    for name in tree:
        if not is_plain(name):
            raise ProposalError("not_a_trainer_file", f"{name[:LONGEST_PATH]!r} is no plain path below the tree's top")
    for name, content in tree.items():
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def fresh_folder(path: Path) -> Path:
    """An empty folder at `path`; what stood there before is gone."""
    remove(path)
    path.mkdir(parents=True)
    return path


def remove(path: Path) -> None:
    """Delete a folder and all below it, if it is there."""
    shutil.rmtree(path, ignore_errors=True)


def tree_key(tree: Mapping[str, bytes]) -> str:
    """A name for the content of a tree: the sha256 over its sorted paths and bytes, in hexadecimal."""
    digest = hashlib.sha256()
    for name in sorted(tree):
        content = tree[name]
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()
