"""Power cuts: what each would leave of a repository, as a case to try."""

import hashlib
import pickle
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tests.chaos.disk import Fault, Image, Recorder


class Case(NamedTuple):
    """What goes wrong, and where."""

    fault: Fault
    at: int
    image: Image | None = None
    """What the power cut left; None where the night itself is run up to there."""
    acknowledged: tuple[str, ...] = ()
    """Lines that the night had been told were on disk."""


@dataclass
class Cuts(Recorder):
    """Makes a case of what a power cut would leave before every point, where that is new."""

    acknowledged: Path = Path()
    cases: list[Case] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)

    def cut(self) -> None:
        """Both images of now. Folders of runs tell nothing apart: each run makes its own afresh."""
        lines = tuple(self.acknowledged.read_text().splitlines()) if self.acknowledged.is_file() else ()
        for image in (self.lost(), self.torn()):
            kept = {name: content for name, content in sorted(image.items()) if "/runs/" not in name}
            key = hashlib.sha256(pickle.dumps((kept, len(lines)))).hexdigest()
            if key not in self.seen:
                self.seen.add(key)
                self.cases.append(Case("kill", len(self.points), image, lines))


def lay_image(root: Path, image: Image) -> None:
    """Put what a power cut left in the place of a repository."""
    shutil.rmtree(root)
    for name, content in image.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    for folder in ("objects", "refs/heads", "refs/tags"):  # without which git does not see a repository
        (root / ".git" / folder).mkdir(parents=True, exist_ok=True)
