"""The one place that writes files, by the calls of `os` alone, so that a test can record them or have them fail."""

import contextlib
import glob
import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from io import FileIO
from pathlib import Path
from typing import BinaryIO

import psutil

from bench.errors import DiskError, ProposalError

LONGEST_PATH = 200
DRAFT_NAME = 50
"""Characters of a file's name in its draft's: a compiled kernel's leaves no room for more than itself."""
LEAST_ROOM = 64 << 20
"""Bytes; a disk with less free is called full."""


def user_cache() -> Path:
    """The folder for what can always be fetched or made again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nightshift"


def append_line(path: Path, line: str) -> None:
    """Append one line to `path` and force it to disk. Raises DiskError; a part of it may stand there then."""
    if "\n" in line:
        raise ValueError("a line holds no line break")
    make_folders(path.parent)
    with _told(path):
        new = not path.exists()
        with opened(path, os.O_APPEND) as descriptor:
            write_all(descriptor, line.encode() + b"\n")
            os.fsync(descriptor)
    if new:
        sync_folder(path.parent)


def write_atomic(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Put `content` at `path`: a reader sees the old file or the new one, never half of either. Raises DiskError."""
    make_folders(path.parent)
    for left in _left_behind(path):
        left.unlink(missing_ok=True)
    draft = path.with_name(f".{path.name[:DRAFT_NAME]}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        with _told(path):
            with opened(draft, os.O_EXCL) as descriptor:
                write_all(descriptor, content)
                os.fsync(descriptor)
            draft.chmod(mode)
            draft.replace(path)
    except DiskError:
        draft.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def publish(path: Path, content: bytes) -> None:
    """Put `content` at `path`: a reader sees the old file or the new one, and nothing is forced to disk.

    For a file that one process writes: a draft that a killed one left is written over. Raises DiskError.
    """
    draft = path.with_name(f".{path.name}.draft")
    write(draft, content)
    with _told(path):
        draft.replace(path)


def _left_behind(path: Path) -> Iterator[Path]:
    """Drafts of `path` whose processes died before they took its place."""
    for draft in path.parent.glob(f".{glob.escape(path.name[:DRAFT_NAME])}.*.????????"):
        with contextlib.suppress(ValueError):
            if not psutil.pid_exists(int(draft.name.split(".")[-2])):
                yield draft


def cut(path: Path, size: int) -> None:
    """Cut `path` to its first `size` bytes, and force that to disk. Raises DiskError."""
    with _told(path), opened(path) as descriptor:
        os.ftruncate(descriptor, size)
        os.fsync(descriptor)


def write(path: Path, content: bytes) -> None:
    """Put `content` at `path` for as long as this process lives: nothing is forced to disk. Raises DiskError."""
    with created(path) as file, _told(path):
        write_all(file.fileno(), content)


@contextlib.contextmanager
def created(path: Path) -> Iterator[FileIO]:
    """A new empty file at `path`, for `write_all` or a child to write to; not forced to disk. Raises DiskError."""
    with _told(path):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    with FileIO(descriptor, "w") as file:
        yield file


def write_all(descriptor: int, content: bytes) -> None:
    """Write all of `content`, of which the system may take a part at a time. Raises OSError."""
    left = memoryview(content)
    while left:
        left = left[os.write(descriptor, left) :]


def make_folders(path: Path) -> None:
    """Make the folder `path`, and those it lies in, with their names on disk. Raises DiskError."""
    if path.is_dir():
        return
    make_folders(path.parent)
    with _told(path), contextlib.suppress(FileExistsError):
        path.mkdir()
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Force a folder's own entries to disk. Raises DiskError."""
    with _told(path):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def opened(path: Path, flags: int = 0) -> Iterator[int]:
    """A descriptor of `path` to write to, as `os.open` takes `flags`; made if it is not there. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | flags, 0o644)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """Say of what the system refuses here which file it is about, and what helps."""
    try:
        yield
    except OSError as error:
        raise DiskError(
            f"{path} cannot be written: {error.strerror}; mend that (`nightshift gc` says what may go) and type the"
            " same again: nothing is lost that was measured"
        ) from error


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
        with _told(target):
            target.parent.mkdir(parents=True, exist_ok=True)
        write(target, content)


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


def full(folders: Iterable[Path]) -> str:
    """Which disk under `folders` is full, in words with what to do; nothing where there is room."""
    for folder in folders:
        if shutil.disk_usage(folder).free < LEAST_ROOM:
            return (
                f"the disk under {folder} is full; make room (`nightshift gc` says what may go) and type the same again"
            )
    return ""


def fresh_folder(path: Path) -> Path:
    """An empty folder at `path`; what stood there before is gone."""
    remove(path)
    with _told(path):
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
