"""Kills real nights at random moments, again and again, and checks after each kill and each night that all is whole.

    python -m tests.chaos.kills --kills 200 --seed 1 --real 10

A repository's night is begun, killed, and begun again by the same command until it ends by itself; while kills are
left, the next repository follows. Fast nights are those of the fake trainer, two repositories side by side; with
`--real`, so many kills more fall on a night of this repository's own trainer. Every night has the same seed, and is
compared with one that nobody disturbed. Draws follow from the seed; at which line of the program a kill falls does not.
A repository in which something was violated is kept; no other is begun then, and the exit code is 1.
"""

import argparse
import itertools
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from agent.cli_bench import working_tree
from agent.journal import read_journal
from bench import clock
from bench.corpus import prepare
from tests.agent.test_night import a_persons_own
from tests.chaos.intact import (
    Violation,
    check_after_a_kill,
    check_ended,
    content,
    demand,
    facts,
    locks,
    path_of,
    quiet,
)
from tests.chaos.moments import FAST, REAL, Moment, Pace, Running, draw, errors_of, lock, reached, start, strike, tear
from tests.conftest import write_text_folder
from tests.fakes import git, make_repo

ROOT = Path(__file__).parents[2]
NIGHT_SEED = 20_261_123
FAST_IDEAS = """# The queue

## Some quality

```knobs
QUALITY = 0.7
```

## Worse quality

```knobs
QUALITY = 0.2
```

## More quality

```knobs
QUALITY = 0.9
```

## Write NaN

```knobs
BEHAVIOUR = "nan"
```

## A knob that does not exist

```knobs
QALITY = 0.5
```

## No effect

```knobs
NUDGE = 0.5
```

## Some quality again

```knobs
QUALITY = 0.70
```
"""
SLICE_IDEAS = FAST_IDEAS[: FAST_IDEAS.index("## Worse quality")]
REAL_IDEAS = """# The queue

## A lower rate for the embedding

```knobs
TIED_EMBED_LR = 0.03
```

## Another memory for Adam

```knobs
BETA2 = 0.99
```
"""


@dataclass(frozen=True)
class Kind:
    """A kind of nights."""

    name: str
    ideas: str
    pace: Pace
    data: Path
    longest_s: float
    """A start that has not ended by itself after so long hangs."""

    def make(self, workplace: Path) -> Path:
        """A person's repository, with half an idea of theirs in it."""
        repo = make_repo(workplace / "person", self.data, self.ideas)
        if self.name == "real":
            shutil.rmtree(repo / "trainer")
            for name, text in working_tree(ROOT).items():
                (repo / name).parent.mkdir(parents=True, exist_ok=True)
                (repo / name).write_bytes(text)
            git(repo, "add", ".")
            git(repo, "commit", "--quiet", "--amend", "--no-edit")
        settings = repo / "trainer" / "settings.py"
        settings.write_text(f"{settings.read_text()}# half an idea\n")
        (repo / "README.md").write_text("half a sentence\n")
        git(repo, "add", "README.md")
        return repo


@dataclass
class Campaign:
    """So many kills of nights of one kind, and what came of them."""

    kind: Kind
    seed: int
    kills: int
    folder: Path
    numbers: "itertools.count[int]" = field(default_factory=itertools.count)
    lock: Lock = field(default_factory=Lock)
    done: int = 0
    nights: int = 0
    violations: list[str] = field(default_factory=list)
    struck: Counter[str] = field(default_factory=Counter)
    slowest_death_s: float = 0.0

    def run(self, side_by_side: int) -> None:
        """Kill until the kills are spent and every night that was begun has ended."""
        with ThreadPoolExecutor(side_by_side + 1) as pool:
            reference = pool.submit(self._undisturbed)
            for worker in [pool.submit(self._work, reference) for _ in range(side_by_side)]:
                worker.result()

    def _work(self, reference: "Future[dict[str, object]]") -> None:
        while self.done < self.kills and not self.violations:
            number = next(self.numbers)
            workplace = self.folder / f"{self.kind.name}-{number}"
            try:
                self._night(number, workplace, reference)
            except Violation as violation:
                with self.lock:
                    self.violations.append(f"{workplace / 'person'}: {violation}")
                print(f"VIOLATION in {workplace / 'person'}, seed {self.seed}: {violation}", flush=True)
            else:
                shutil.rmtree(workplace)

    def _undisturbed(self) -> dict[str, object]:
        """The facts of a night that nobody disturbs."""
        repo = self.kind.make(self.folder / f"{self.kind.name}-reference")
        running = start(repo, NIGHT_SEED)
        self._end_by_itself(running)
        return facts(read_journal(path_of(repo)))

    def _end_by_itself(self, running: Running) -> None:
        try:
            running.process.wait(self.kind.longest_s)
        except Exception:
            running.process.kill()
            raise
        demand(running.process.returncode == 0, f"the night ended with an error: {errors_of(running)}")

    def _night(self, number: int, workplace: Path, reference: "Future[dict[str, object]]") -> None:
        """One repository from its first start to the end of its night. Raises Violation."""
        rng = random.Random(f"{self.seed}/{self.kind.name}/{number}")
        repo = self.kind.make(workplace)
        own, allowed = a_persons_own(repo), set[Path]()
        while True:
            running = start(repo, NIGHT_SEED)
            moment = draw(rng, self.kind.pace) if self._one_more() else None
            if moment and reached(moment, running):
                allowed = self._kill(number, moment, running, rng, own, allowed)
                continue
            if moment:
                self._give_back()
            self._end_by_itself(running)
            break
        quiet(workplace)
        check_ended(repo, reference.result(), own)
        with self.lock:
            self.nights += 1
        print(f"repository {number}: the night ended whole, {len(content(repo).splitlines())} lines", flush=True)

    def _one_more(self) -> bool:
        """Take one of the kills that are left."""
        with self.lock:
            if self.done >= self.kills or self.violations:
                return False
            self.done += 1
            return True

    def _give_back(self) -> None:
        with self.lock:
            self.done -= 1

    def _kill(
        self,
        number: int,
        moment: Moment,
        running: Running,
        rng: random.Random,
        own: dict[str, object],
        allowed: set[Path],
    ) -> set[Path]:
        """Kill, say so, and check; returns the locks that git, itself killed, may have left. Raises Violation."""
        repo = running.repo
        before, since = content(repo), time.monotonic() - running.started
        strike(moment, running, rng)
        took = quiet(repo.parent, but_asleep=True)
        if moment.locked:
            lock(repo, rng)
        if moment.what in ("git", "all"):
            allowed = locks(repo)
        if moment.torn:
            tear(repo, rng)
        with self.lock:
            self.struck[moment.what] += 1
            self.slowest_death_s = max(self.slowest_death_s, took)
            count = self.struck.total()
        what = f"{moment.what}{' and a torn line' * moment.torn}{' and a lock' * moment.locked}"
        print(f"kill {count}: repository {number}, {what} at {since:.3f} s; {under_way(content(repo))}", flush=True)
        said = errors_of(running)
        demand("Traceback" not in said, f"a night ended with a traceback: {said[-1000:]}")
        check_after_a_kill(repo, before, own, allowed)
        return allowed

    def summary(self) -> str:
        """One line on all of it."""
        struck = ", ".join(f"{count} {what}" for what, count in self.struck.most_common())
        return (
            f"{self.kind.name}: {self.struck.total()} kills ({struck}), {self.nights} nights,"
            f" {len(self.violations)} violations; the last process died within {self.slowest_death_s:.2f} s of a kill"
        )


def under_way(journal: bytes) -> str:
    """The experiment that was under way, as far as the journal tells, and its last line."""
    lines = journal.split(b"\n")[:-1]
    if not lines:
        return "nothing journalled"
    decided = sum(line.startswith(b'{"run":') for line in lines)
    try:
        last = json.loads(lines[-1])
        name = last["id"] if "run" in last else f"{last['type']} {last.get('profile', '')}".strip()
    except (ValueError, KeyError):
        name = "cannot be read"
    return f"n-{decided + 1:04d} under way, line {len(lines)}: {name}"


def fast(data: Path, ideas: str = FAST_IDEAS) -> Kind:
    """Nights of the fake trainer."""
    return Kind("fast", ideas, FAST, data, longest_s=240)


def real(data: Path) -> Kind:
    """Nights of this repository's own trainer."""
    return Kind("real", REAL_IDEAS, REAL, data, longest_s=1500)


def main() -> None:
    """Kill, print, and say whether all held."""
    parser = argparse.ArgumentParser(description="Kills nights at random moments and checks that nothing is lost.")
    parser.add_argument("--kills", type=int, default=200, help="of nights of the fake trainer (%(default)s)")
    parser.add_argument("--real", type=int, default=10, help="of nights of the real one (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="all draws follow from it (%(default)s)")
    asked = parser.parse_args()
    started, folder = clock.monotonic(), Path(tempfile.mkdtemp(prefix="nightshift-kills-"))
    print(f"seed {asked.seed}, in {folder}", flush=True)
    data = prepare(str(write_text_folder(folder / "text")), folder / "data", lambda stage, share: None).root
    plans = [(fast(data), asked.kills, 2), (real(data), asked.real, 1)]
    campaigns: list[Campaign] = []
    for kind, kills, side_by_side in plans:
        if kills and not any(campaign.violations for campaign in campaigns):
            campaign = Campaign(kind, asked.seed, kills, folder)
            campaign.run(side_by_side)
            campaigns.append(campaign)
            print(campaign.summary(), flush=True)
    count = sum(campaign.struck.total() for campaign in campaigns)
    nights = sum(campaign.nights for campaign in campaigns)
    violations = [violation for campaign in campaigns for violation in campaign.violations]
    took = clock.monotonic() - started
    print(f"{count} kills, {nights} nights, {len(violations)} violations, seed {asked.seed}, {took:.0f} s", flush=True)
    if violations:
        sys.exit(1)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
