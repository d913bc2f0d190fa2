"""The one place that writes files which anything later depends on."""

import contextlib
import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

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


def open_plain(path: Path) -> BinaryIO | None:
    """A regular file with one name, opened for reading; None for anything else, such as a link, which is not followed.

    Raises FileNotFoundError.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise
    except OSError:
        return None
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode) and found.st_nlink == 1:
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    return None


def plain_files(root: Path, most: int) -> Iterator[tuple[Path, bytes]]:
    """Path below `root` and content of each regular file of at most `most` bytes; follows no link."""
    for folder, _, names in os.walk(root) if not root.is_symlink() else ():
        for path in (Path(folder) / name for name in sorted(names)):
            with contextlib.suppress(FileNotFoundError), open_plain(path) or contextlib.nullcontext() as file:
                if file and os.fstat(file.fileno()).st_size <= most:
                    yield path.relative_to(root), file.read(most)


def disk_use(roots: Iterable[Path]) -> tuple[int, int]:
    """Bytes that all below `roots` takes on disk, and how many files and folders that is; follows no link."""
    size = count = 0
    for root in roots:
        for folder, folders, names in os.walk(root):
            for name in (*folders, *names):
                count += 1
                with contextlib.suppress(OSError):
                    size += (Path(folder) / name).lstat().st_blocks * 512
    return size, count


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
