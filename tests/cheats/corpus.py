"""The corpus of cheats and their honest twins: one file a diff, read and checked here, never run.

A file holds some lines of `Key: text`, a blank line, and a unified diff of the shipped trainer:

- `What` and `Why`: what the edit does, and why somebody under pressure to lower a number would write it;
- `Refused as`, the name the bench gives its refusal, and `Defence`, which one gives it; or
- `Passes: yes`, for an honest edit and for a claim that the bench passes over. `Defence` is then the one it comes near;
- `Scores: as shipped`, where what passes must score like the shipped trainer, to the last bit or `to` a difference;
- `Needs: sandbox`, where a run would touch the person's machine if nothing held it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
KEYS = {"What", "Why", "Refused as", "Defence", "Passes", "Scores", "Needs"}


@dataclass(frozen=True)
class Entry:
    """One diff of the corpus and what is to become of it."""

    name: str
    """Family and file: "peeking/mask-off-by-one"."""
    what: str
    why: str
    reason: str | None
    """The name of its refusal; None where it must pass."""
    defence: str
    same_score: float | None
    """How far its score may be from the shipped trainer's; None where it may be anything."""
    needs_sandbox: bool
    diff: str

    @property
    def family(self) -> str:
        """The folder it lies in."""
        return self.name.partition("/")[0]


def read(path: Path) -> Entry:
    """One file of the corpus. Raises ValueError, in one line, where its head is not as the module says."""
    # A diff that is no UTF-8 is itself a cheat, so what cannot be read is carried along.
    head, _, diff = path.read_text(encoding="utf-8", errors="surrogateescape").partition("\n\n")
    fields = _fields(head, path)
    if unknown := fields.keys() - KEYS:
        raise ValueError(f"{path}: {min(unknown)} is not one of {', '.join(sorted(KEYS))}")
    if not {"What", "Why"} <= fields.keys() or ("Refused as" in fields) == (fields.get("Passes") == "yes"):
        raise ValueError(f"{path}: give What, Why, and either `Refused as` or `Passes: yes`")
    return Entry(
        name=path.relative_to(HERE).with_suffix("").as_posix(),
        what=fields["What"],
        why=fields["Why"],
        reason=fields.get("Refused as"),
        defence=fields.get("Defence", ""),
        same_score=_difference(fields["Scores"], path) if "Scores" in fields else None,
        needs_sandbox="Needs" in fields,
        diff=diff,
    )


def entries() -> list[Entry]:
    """The whole corpus, in the order of its names."""
    return [read(path) for path in sorted(HERE.glob("*/*.diff"))]


def cheats() -> list[Entry]:
    """Those that must be refused."""
    return [entry for entry in entries() if entry.reason]


def passing() -> list[Entry]:
    """Those that must pass."""
    return [entry for entry in entries() if not entry.reason]


def _fields(head: str, path: Path) -> Mapping[str, str]:
    fields: dict[str, str] = {}
    key = ""
    for line in head.splitlines():
        if found := re.match(r"([A-Z][a-z ]*): (.+)", line):
            key = found[1]
            fields[key] = found[2]
        elif key and line.startswith("  "):
            fields[key] += f" {line.strip()}"
        else:
            raise ValueError(f"{path}: {line!r} is no `Key: text` and no continuation of one")
    return fields


def _difference(text: str, path: Path) -> float:
    found = re.fullmatch(r"as shipped(?:, to (\S+))?", text)
    if not found:
        raise ValueError(f"{path}: Scores is `as shipped` or `as shipped, to 1e-5`, not {text!r}")
    return float(found[1] or 0)
