"""Measures pairs: what was measured before serves again, and what was not is run side by side in the slots.

Runs are known by all that their number depends on. They are journalled in the order they were asked for, which is seed
order, whichever slot finished first.
"""

import contextlib
import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from threading import Lock
from typing import Literal, Protocol

from agent.experience import Experience, before, of_baseline
from agent.journal import Journal
from agent.records import Experiment, Header, Measured, Pair, Run
from bench import clock, files
from bench.errors import ChampionFails, Interrupted, RunFailed
from bench.job import Job, Measurement
from bench.profiles import Profile, profile

Role = Literal["champion", "candidate"]


class Bench(Protocol):
    """Where jobs are run: the slots of this machine, or a scripted one in tests."""

    @property
    def capacity(self) -> int:
        """How many jobs it runs at a time now; it may change."""

    def submit(self, job: Job) -> Future[Measurement]:
        """Run `job` some time; the future raises what the run raised."""


@dataclass(frozen=True)
class Subject:
    """A tree that is measured, and what it is to the experiment."""

    role: Role
    tree: Mapping[str, bytes]
    label: str
    repeat: int = 0
    """Tells apart measurements that are wanted afresh."""
    parent: str = ""
    """Key of the tree it was made from."""


@dataclass(frozen=True)
class Want:
    """One run that is asked for."""

    subject: Subject
    profile: Profile
    seed: int

    def job(self, pair: str) -> Job:
        """The run as the bench takes it."""
        one = self.subject
        return Job(one.tree, self.profile, self.seed, parent=one.parent, label=one.label, pair=pair)


class Lab:
    """The bench as experiments see it, with the journal as its memory. It may be used from several threads."""

    def __init__(self, bench: Bench, journal: Journal, header: Header, known: Experience | None = None) -> None:
        self.bench, self.journal, self.header = bench, journal, header
        self.before = known or before(header, [])
        self.lock = Lock()
        """Over what follows, and over what is journalled of it."""
        self.known = journal.measured
        self.under_way: dict[str, Future[Measurement]] = {}
        """Runs that some thread waits for: whoever wants the same waits for them too."""
        self.untold: set[str] = set()
        """Runs that were measured ahead of the experiment that will tell of them."""
        self.closed = False
        self.undisturbed = Lock()
        """Held by whatever must not have a smoke run of the next proposal beside it, and by that run itself."""

    def profile(self, stage: str) -> Profile:
        """The night's profile for `smoke`, `breadth`, `confirm`, `audit` or `transfer`."""
        script = self.header.script
        return script.profile(stage) if script else profile(self.header.profiles + stage)

    @property
    def smokes(self) -> bool:
        """Whether there is a short first run: of a script only where it is told how to make one."""
        return self.header.script is None or bool(self.header.script.smoke)

    def close(self) -> None:
        """Begin no other run."""
        with self.lock:
            self.closed = True

    def experience(self, decided: Sequence[Experiment]) -> Experience:
        """What verdicts rest on: what was known before the night, and what it has `decided` since, from its baseline.

        Of a script nothing is known but its baseline.
        """
        known = of_baseline(self.header, decided[0]) if self.header.script else self.before
        return known.after(decided)

    def champion(self, tree: Mapping[str, bytes], experiment: int, label: str) -> Subject:
        """The champion as a subject: measured once where repeats are bit-identical, for each experiment elsewhere."""
        repeat = 0 if self.header.fingerprint.repeatable else experiment
        return Subject("champion", tree, label, repeat)

    def seeds(
        self, champion: Mapping[str, bytes], profile: Profile, count: int, beside: Mapping[str, bytes] | None = None
    ) -> list[int]:
        """The first `count` seeds for candidates against `champion`: a new champion gets new ones.

        Those under which it, or the tree `beside` it, is known to fail are passed over.
        """
        tree = files.tree_key(champion)
        both = {tree, files.tree_key(beside or champion)}
        with self.lock:
            known = list(self.known.values())
        fails = {one.seed for one in known if one.reason and one.profile == profile.name and one.tree in both}
        text = f"{self.header.seed}/{tree}/{profile.name}/"
        drawn = (int.from_bytes(hashlib.sha256(f"{text}{n}".encode()).digest()[:4]) >> 1 for n in itertools.count())
        return list(itertools.islice((seed for seed in drawn if seed not in fails), count))

    def run(
        self, subjects: Sequence[Subject], profile: Profile, seeds: Sequence[int], *, ahead: bool = False
    ) -> list[Run]:
        """Every subject under every seed, in seed order; a run that failed says why in its `reason`.

        What is measured `ahead` counts as fresh where it is asked for the first time that nothing is. Raises
        Interrupted, with what was finished journalled.
        """
        wants = [Want(subject, profile, seed) for seed in seeds for subject in subjects]
        keys = [self._key(want) for want in wants]
        # What is measured afresh is compared by more than bits that are the same everywhere.
        afresh = any(subject.repeat for subject in subjects)
        bound = [keys[place - place % len(subjects)] if afresh else "" for place in range(len(keys))]
        futures = self._futures({key: want.job(pair) for key, want, pair in zip(keys, wants, bound, strict=True)})
        try:
            for key, want in zip(keys, wants, strict=True):
                if key in futures:
                    self._record(key, want, futures.pop(key))
        finally:
            for key, want in zip(keys, wants, strict=True):
                if key in futures and not futures[key].cancel() and futures[key].done():
                    with contextlib.suppress(Interrupted):
                        self._record(key, want, futures[key])
        with self.lock:
            fresh = self.untold.intersection(keys)
            if not ahead:
                self.untold -= fresh
        return [
            self._as_run(self.known[key], want.subject.role, fresh=key in fresh)
            for key, want in zip(keys, wants, strict=True)
        ]

    def _futures(self, jobs: Mapping[str, Job]) -> dict[str, Future[Measurement]]:
        """Those of `jobs`, by their keys, that are not known: begun now, or under way for somebody else."""
        with self.lock:
            missing = [key for key in jobs if key not in self.known]
            for key in missing:
                if key not in self.under_way:
                    if self.closed:
                        raise Interrupted("stopped before a run began")
                    self.under_way[key] = self.bench.submit(jobs[key])
            return {key: self.under_way[key] for key in missing}

    def smoke_ahead(self, candidate: Subject, champion: Mapping[str, bytes]) -> None:
        """Smoke of a proposal whose turn has not come yet, from another thread: its experiment finds it measured.

        Raises RunFailed as the experiment will, and Interrupted.
        """
        if not self.smokes:
            return
        smoke = self.profile("smoke")
        with self.undisturbed:
            runs = self.run([candidate], smoke, self.seeds(champion, smoke, 1), ahead=True)
        check(runs)

    def _record(self, key: str, want: Want, future: Future[Measurement]) -> None:
        """Journal how a run ended, where nobody else did. Raises Interrupted where it did not."""
        measurement, reason, detail, log = None, None, None, ""
        try:
            measurement = future.result()
        except RunFailed as error:
            reason, detail, log = error.reason, error.detail, error.log
        except BaseException as error:
            with self.lock:
                if self.under_way.get(key) is future:
                    del self.under_way[key]
            if isinstance(error, CancelledError):
                raise Interrupted("stopped before a run began") from error
            raise
        record = Measured(
            key=key,
            timestamp=clock.now_ms(),
            tree=files.tree_key(want.subject.tree),
            profile=want.profile.name,
            seed=want.seed,
            repeat=want.subject.repeat,
            measurement=measurement,
            reason=reason,
            detail=detail,
            log=log,
        )
        with self.lock:
            if key not in self.known:
                self.journal.append(record)
                self.known[key] = record
                self.untold.add(key)
                self.under_way.pop(key, None)

    def _key(self, want: Want) -> str:
        profile = want.profile
        # Named only where they differ from what older journals' keys were made of.
        checks = ["twins"] if profile.check_twins else []
        split = [] if profile.split == "val" else [profile.split]
        facts = [
            files.tree_key(want.subject.tree),
            [
                *(profile.name, profile.size, profile.steps, profile.window, profile.val_tokens, profile.max_bytes),
                *checks,
                *split,
            ],
            want.seed,
            want.subject.repeat,
            self.header.data,
            self.header.fingerprint.model_dump(),
            self.header.sandbox,
            *([script.model_dump()] if (script := self.header.script) else []),
        ]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]

    def _as_run(self, record: Measured, role: Role, *, fresh: bool) -> Run:
        run = Run(
            role=role,
            profile=record.profile,
            seed=record.seed,
            reason=record.reason,
            detail=record.detail or "",
            log=record.log,
            fresh=fresh,
        )
        found = record.measurement
        if found is None:
            return run
        on_cpu = self.header.fingerprint.device == "cpu"
        return run.model_copy(
            update={
                "val_bpb": found.val_bpb,
                "wall_s": found.wall_s,
                "cpu_s": found.cpu_s,
                "training_s": found.training.cpu_s if on_cpu else found.training.wall_s,
                "artifact_sha256": found.artifact_sha256,
                "total_bytes": found.total_bytes,
                "peak_memory_bytes": found.peak_memory_bytes,
                "tokens_per_s": found.tokens_per_s,
            }
        )


def check(runs: Sequence[Run]) -> None:
    """Raises RunFailed where a candidate failed, ChampionFails where the champion did: nothing can be compared then."""
    for run in runs:
        if run.reason is not None:
            where = f"{run.detail} ({run.profile}, seed {run.seed})"
            if run.role == "champion":
                raise ChampionFails(f"the champion itself fails here: {run.reason}: {where}")
            raise RunFailed(run.reason, where, run.log)


def pairs(runs: Sequence[Run]) -> list[Pair]:
    """Champion and candidate of each seed, in seed order; raises what `check` raises."""
    check(runs)
    scores = {(run.role, run.seed): run.val_bpb for run in runs if run.val_bpb is not None}
    seeds = dict.fromkeys(run.seed for run in runs)
    return [Pair(seed=seed, champion=scores["champion", seed], candidate=scores["candidate", seed]) for seed in seeds]


def check_seeds(runs: Sequence[Run]) -> None:
    """Raises RunFailed (`ignores_seed`) where a candidate left the same artifact, to the last bit, under two seeds."""
    seeds: dict[str, int] = {}
    for run in runs:
        if run.role == "candidate" and run.artifact_sha256:
            other = seeds.setdefault(run.artifact_sha256, run.seed)
            if other != run.seed:
                where = f"seeds {other} and {run.seed} ({run.profile})"
                raise RunFailed("ignores_seed", f"the same artifact under {where}; derive all randomness from SEED")
