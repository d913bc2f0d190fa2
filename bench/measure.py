"""One run: lay the candidate's tree out, train it, take its artifact in, score it, and say what it cost."""

import contextlib
import hashlib
import os
import statistics
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Event

import numpy as np

from bench import clock, files, kernels, machine, sandbox, twins
from bench.data import Dataset, SplitName
from bench.errors import Paused, RunFailed
from bench.job import Cost, Job, Measurement, Progress
from bench.process import Process
from bench.sandbox import View
from bench.score import Score, Text, audit, rehearse, score
from bench.shards import write_shard
from bench.supervise import Account, watch
from bench.tokenizer import ByteCounts

PROGRESS = "progress.jsonl"
"""What a training said of its steps, in its run's folder."""
MOST_PAUSES = 5
MADE_UP_WINDOWS = 1024
"""More than any batch holds."""


def measure(job: Job, data: Dataset, folder: Path, show: Callable[[Progress], None], stop: Event) -> Measurement:
    """Train and score `job` in `folder`, which is made afresh; where the profile says so, compare its twins first.

    A training that stopped short of its steps is repeated once, and the whole where the machine slept meanwhile. Raises
    RunFailed with a stable reason, and Interrupted where `stop` was set from outside.
    """
    return undisturbed(lambda: _measure(job, data, folder, show, stop))


def undisturbed(work: Callable[[], Measurement]) -> Measurement:
    """What `work` measures, done again where the machine slept meanwhile. Raises Paused where it always does."""
    for _ in range(MOST_PAUSES):
        with contextlib.suppress(Paused):
            return work()
    raise Paused(f"the bench stood still {MOST_PAUSES} times while one run was under way")


def _measure(job: Job, data: Dataset, folder: Path, show: Callable[[Progress], None], stop: Event) -> Measurement:
    start = clock.monotonic()
    tree = files.fresh_folder(folder) / "tree"
    files.lay_out(job.tree, tree)
    trainer_home, server_home, audit_home = (folder / f"{name}-home" for name in ("trainer", "server", "audit"))
    text, checks = _text(data, job.profile.split), {}
    try:
        if job.profile.check_twins and twins.TWINS in job.tree:
            show(Progress(phase="twins"))
            checks["twins"] = _check_twins(job, data.train_dir, folder, trainer_home, stop)
        if not kernels.known(files.tree_key(job.tree), _machine()):
            show(Progress(phase="warm"))
            checks["warm"] = _warm_up(job, data, text, folder, stop)
        account = _train(job, data.train_dir, folder, trainer_home, show, stop)
        if account.steps < job.profile.steps:
            account = _train(job, data.train_dir, folder, trainer_home, show, stop)
        if account.steps < job.profile.steps:
            raise RunFailed("too_slow", f"{account.steps} of {job.profile.steps} steps within the time, twice")
        artifact, digest = take_in(folder / "out" / "artifact.bin", folder / "artifact.bin", job)
        show(Progress(phase="score"))
        profile = job.profile
        scored = score(
            tree,
            artifact,
            text,
            home=_furnish(job, server_home),
            length=profile.window,
            targets=profile.val_tokens,
            limits=profile.limits,
            stop=stop,
        )
        if profile.check_prefixes:
            show(Progress(phase="audit"))
            home = _furnish(job, audit_home)
            checks["audit"] = audit(tree, artifact, text, scored, home=home, limits=profile.limits, stop=stop)
    finally:
        for used in (folder / "out", trainer_home, server_home, audit_home):
            files.remove(used)
    return _measurement(job, checks, account, scored, artifact, digest, clock.monotonic() - start)


def take_in(source: Path, target: Path, job: Job) -> tuple[Path, str]:
    """Copy the artifact out of the trainer's reach: a regular file with one name and within the cap.

    Returns the copy and its sha256. Raises RunFailed (`no_artifact`, `bad_artifact`, `artifact_too_large`).
    """
    try:
        file = files.open_plain(source)
    except FileNotFoundError:
        raise RunFailed("no_artifact", "the trainer ended well and left no artifact.bin in RUN_DIR") from None
    if file is None:
        raise RunFailed("bad_artifact", "artifact.bin is not a regular file with one name")
    with file:
        total, cap = os.fstat(file.fileno()).st_size + code_bytes(job), job.profile.max_bytes
        if total > cap:
            raise RunFailed(
                "artifact_too_large", f"artifact and code take {total:,} bytes; {job.profile.name} allows {cap:,}"
            )
        content = file.read(cap)
    files.write(target, content)
    return target, hashlib.sha256(content).hexdigest()


def code_bytes(job: Job) -> int:
    """Bytes of every file of the candidate's tree."""
    return sum(len(content) for content in job.tree.values())


def _furnish(job: Job, home: Path) -> Path:
    """A fresh folder for HOME and TMPDIR, with compiled kernels and nothing else in it."""
    kernels.lend([files.tree_key(job.tree), job.parent], _machine(), files.fresh_folder(home))
    return home


def _machine() -> str:
    return machine.fingerprint().model_dump_json()


def _warm_up(job: Job, data: Dataset, text: Text, folder: Path, stop: Event) -> Cost:
    """Train a step on made-up text and answer empty questions, to compile; what that leaves is kept for this tree.

    How it ends is no matter: a candidate that fails here fails again in its run, under a name.
    """
    began, spent = clock.monotonic(), 0.0
    shards, home, artifact = files.fresh_folder(folder / "made-up"), folder / "warm-home", folder / "warm.bin"
    profile = replace(job.profile, steps=1)
    ids = np.random.default_rng(0).integers(0, data.vocab_size, profile.window * MADE_UP_WINDOWS)
    write_shard(shards / "made_up_train_000000.bin", ids.astype(np.uint16))
    files.write(shards / data.tokenizer.name, data.tokenizer.read_bytes())
    with contextlib.suppress(RunFailed):
        spent += _train(replace(job, profile=profile), shards, folder, home, lambda word: None, stop).cpu_s
        take_in(folder / "out" / "artifact.bin", artifact, job)
        served = rehearse(
            folder / "tree", artifact, text, home=home, length=profile.window, limits=profile.limits, stop=stop
        )
        spent += served.cpu_s
    kernels.keep(files.tree_key(job.tree), _machine(), home)
    for used in (shards, home):
        files.remove(used)
    return Cost(wall_s=clock.monotonic() - began, cpu_s=spent)


def _check_twins(job: Job, shards: Path, folder: Path, home: Path, stop: Event) -> Cost:
    """Compare the hand-written gradients with the plain ones under the run's settings, and say what that took."""
    said = folder / "twins.jsonl"
    try:
        account = watch(_start("twins", job, shards, folder, home), job.profile.limits, said, lambda word: None, stop)
    except RunFailed as error:
        raise RunFailed(error.reason, f"while its twins were compared: {error.detail}", error.log) from None
    twins.judge(said.read_bytes())
    return Cost(wall_s=account.wall_s, cpu_s=account.cpu_s)


def _train(job: Job, shards: Path, folder: Path, home: Path, show: Callable[[Progress], None], stop: Event) -> Account:
    process = _start("train", job, shards, folder, home)
    return watch(process, job.profile.limits, folder / PROGRESS, show, stop)


def _start(launcher: str, job: Job, shards: Path, folder: Path, home: Path) -> Process:
    """A process of the candidate's in a fresh RUN_DIR, with all that the contract says in its environment."""
    out, tree = files.fresh_folder(folder / "out"), folder / "tree"
    _furnish(job, home)
    view = View([tree, shards, *machine.tools()], [out, home])
    environment = machine.environment() | {
        "HOME": str(home),
        "TMPDIR": str(home),
        "DATA_DIR": str(shards),
        "RUN_DIR": str(out),
        "SEED": str(job.seed),
        "ITERATIONS": str(job.profile.steps),
        "SIZE": job.profile.size,
        "MAX_WALLCLOCK_SECONDS": str(job.profile.max_wallclock_seconds),
        **job.knobs,
    }
    command = [*machine.launcher(launcher), str(tree)]
    return Process(command, environment, out, folder / "stderr.txt", view, job.profile.limits)


def _text(data: Dataset, split: SplitName) -> Text:
    return Text(
        tokens=data.stream(split),
        counts=ByteCounts.load(data.tokenizer),
        document_start=data.document_start,
        vocab_size=data.vocab_size,
    )


def _measurement(
    job: Job, checks: dict[str, Cost], account: Account, scored: Score, artifact: Path, digest: str, wall_s: float
) -> Measurement:
    phases = checks | account.phases | {"load": scored.load, "score": scored.cost}
    worked = sum(phases[name].wall_s for name in ("compile", "train", "export") if name in phases)
    last_third = [loss for step, loss in account.losses.items() if step > job.profile.steps * 2 / 3]
    train = phases.get("train", Cost(wall_s=0.0, cpu_s=0.0))
    return Measurement(
        val_bpb=scored.bpb,
        scored_tokens=scored.tokens,
        scored_bytes=scored.bytes,
        artifact_bytes=artifact.stat().st_size,
        artifact_sha256=digest,
        code_bytes=code_bytes(job),
        steps=account.steps,
        train_tokens=account.tokens,
        tokens_per_s=(account.tokens - account.tokens_before_train) / train.wall_s if train.wall_s else 0.0,
        train_loss=statistics.fmean(last_third) if last_third else None,
        phases=phases,
        cpu_s=account.cpu_s + scored.cost.cpu_s,
        wall_s=wall_s,
        overhead_s=wall_s - worked - scored.forward_s,
        peak_memory_bytes=max(account.peak_memory_bytes, scored.peak_memory_bytes),
        sandbox=sandbox.chosen().name,
    )
