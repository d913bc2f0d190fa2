"""A short night, begun or gone on with: all that `nightshift run` and `nightshift finish` do, on the quick bench.

Whatever would differ from one time to the next is fixed: the night's seed, the clock that records are stamped by, and
the dates of commits.
"""

import itertools
import secrets
from collections.abc import Callable
from pathlib import Path

from agent import git, opening
from agent.cli_finish import finished
from agent.history import HISTORY
from agent.lab import Lab
from agent.limits import Limits
from agent.lock import alone
from agent.night import Night, run
from agent.queue import IDEAS
from agent.researchers import Queue
from agent.screen import verdict_line
from bench import clock
from bench.data import Dataset
from bench.machine import Fingerprint
from tests.chaos.quick import QuickBench
from tests.fakes import git as person

HERE = Path(__file__).parent
NAME = "n"
SEED = 20_261_123
EPOCH_MS = 1_793_000_000_000
QUEUE = """# The queue

## Better quality

```knobs
QUALITY = 0.9
```

## Worse quality

```knobs
QUALITY = 0.2
```

## It raises

```knobs
BEHAVIOUR = "raise"
```

## A knob that does not exist

```knobs
QALITY = 0.5
```
"""
EARLIER = """\
{"type":"config","name":"earlier","metricName":"val_bpb","metricUnit":"","bestDirection":"lower"}
{"run":1,"id":"earlier-0001","commit":"0000000","metric":2.5,"metrics":{},"status":"keep","description":"baseline","timestamp":1,"segment":0}
{"run":2,"id":"earlier-0002","commit":"0000001","metric":2.4,"metrics":{},"status":"keep","description":"older","timestamp":2,"segment":0}
"""
"""The committed history of a night before this one, to which `finish` adds."""
VERDICTS = [
    ("baseline", "keep"),
    ("Better quality", "keep"),
    ("Worse quality", "discard"),
    ("It raises", "crash"),
    ("A knob that does not exist", "checks_failed"),
]
FINGERPRINT = Fingerprint(processor="any", blas="none", threads=1, mlx="0", device="cpu")
DATA = Dataset(Path("nowhere"), "made up", 1024, "0" * 64, "0" * 64, {})


def make_repo(folder: Path) -> Path:
    """A person's repository with the quick trainer and a queue, and work of the person's own in every state."""
    for path in sorted((HERE / "trainer").glob("*.py")):
        target = folder / "trainer" / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    (folder / IDEAS).parent.mkdir()
    (folder / IDEAS).write_text(QUEUE)
    (folder / HISTORY).write_text(EARLIER)
    (folder / "README.md").write_text("a person's own file\n")
    person(folder, "init", "--quiet", "--initial-branch=main", "--template=")
    person(folder, "add", ".")
    person(folder, "commit", "--quiet", "--message=the start")
    (folder / "README.md").write_text("a person's own file, half changed\n")
    (folder / "staged.txt").write_text("staged\n")
    person(folder, "add", "staged.txt")
    (folder / "untracked.txt").write_text("untracked\n")
    return folder


def fix() -> None:
    """Fix what differs from one time to the next, in this process, which is a night's and nothing else's."""
    moments, environment = itertools.count(EPOCH_MS), git._environment
    date = {"GIT_AUTHOR_DATE": "1793000000 +0000", "GIT_COMMITTER_DATE": "1793000000 +0000"}
    clock.now_ms = lambda: next(moments)
    git._environment = lambda: environment() | date
    secrets.randbits = lambda k: SEED


def pass_night(root: Path, say: Callable[[str], None], *, finish: bool) -> str:
    """Run the night in `root` until it ends, and perhaps finish it; returns why it ended."""
    repo = git.here(root)
    folder = opening.journal_path(repo, NAME).parent
    with alone(repo, f"night {NAME}"):
        journal, header = opening.open_night(
            repo, NAME, start=None, profiles="short-", data=DATA, fingerprint=FINGERPRINT, slots=1, say=say
        )
        lab = Lab(QuickBench(folder / opening.RUNS), journal, header)
        if not journal.in_segment():
            journal.append(opening.baseline(NAME, journal, lab, journal.champion or header.base, repo))
        limits = Limits(clock.through_sleep() + 600, 100)
        researchers = [Queue(repo, say)]
        ended = run(Night(repo, journal, lab, researchers, limits, lambda one: say(verdict_line(one)), say))
    if finish:
        finished(root, journal)
    return ended


def lacking(root: Path) -> list[str]:
    """What the committed history lacks of this night, once it is finished, and of the one before it."""
    path = root / HISTORY
    text = path.read_text(errors="replace") if path.is_file() else ""
    whole = text.startswith(EARLIER) and text.count('"run":') == 2 + len(VERDICTS)
    return [] if whole else [f"the history lacks something: it has {len(text.splitlines())} lines"]
