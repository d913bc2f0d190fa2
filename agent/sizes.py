"""What each part of an artifact and each file of its code takes of the bytes that count: `nightshift bench --sizes`.

The bench knows the artifact's size and nothing of its format. Which tensor costs what is in the last line that the
trainer printed, and serves as a hint: it is shown where it adds up to the file, and is evidence of nothing.
"""

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from bench.errors import UsageError


class Part(BaseModel):
    """A tensor of an artifact, its header and index, or a file of the code."""

    model_config = ConfigDict(frozen=True)

    name: str
    storage: str
    shape: tuple[int, ...] = ()
    raw_bytes: int
    """Before compression."""
    bytes: int
    """Of those that count against the cap."""


class _LastLine(BaseModel):
    parts: list[Part]


def parts_of(progress: Path, artifact_bytes: int, tree: Mapping[str, bytes]) -> list[Part]:
    """All parts of a finished run, the largest first.

    Raises UsageError where the last line of `progress` names no parts, or parts that are not the artifact's.
    """
    lines = progress.read_bytes().splitlines()
    try:
        parts = _LastLine.model_validate_json(lines[-1] if lines else b"").parts
    except ValidationError:
        raise UsageError("this trainer's last line of progress has no `parts`: see the contract in AGENTS.md") from None
    if (told := sum(part.bytes for part in parts)) != artifact_bytes:
        raise UsageError(f"this trainer says that its parts take {told:,} bytes; the artifact has {artifact_bytes:,}")
    code = [Part(name=path, storage="code", raw_bytes=len(file), bytes=len(file)) for path, file in tree.items()]
    return sorted(parts + code, key=lambda part: (-part.bytes, part.name))


def table(parts: list[Part]) -> str:
    """One line a part: name, shape, storage, bytes before compression, bytes that count, per cent of all that count."""
    total = sum(part.bytes for part in parts)
    wide = max(len(part.name) for part in parts)
    rows = [("part", "shape", "storage", "raw bytes", "bytes", "%")]
    for part in parts:
        shape = " × ".join(map(str, part.shape))
        numbers = (f"{part.raw_bytes:,}", f"{part.bytes:,}", f"{100 * part.bytes / total:.1f}")
        rows.append((part.name, shape, part.storage, *numbers))
    return "\n".join(
        f"{name:<{wide}}  {shape:>11}  {storage:<8}{raw:>13}{size:>13}{share:>6}"
        for name, shape, storage, raw, size, share in rows
    )
