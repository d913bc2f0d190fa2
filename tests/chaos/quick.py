"""A bench whose runs are real processes in the real sandbox, and take as long as starting one takes.

What it leaves out of the real one is serving: the artifact of tests/chaos/trainer holds its own score. Runs come one
after the other, so that the points of a night are the same ones each time.
"""

import sys
from concurrent.futures import Future
from pathlib import Path
from threading import Event

from bench import files
from bench.job import Cost, Job, Measurement
from bench.measure import PROGRESS, code_bytes, take_in
from bench.process import Process
from bench.sandbox import View
from bench.supervise import watch

PYTHON = (sys.executable, "-I", "-S", "-B")


class QuickBench:
    """One slot, whose runs have their folders below `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.stop, self.capacity = folder, Event(), 1

    def submit(self, job: Job) -> "Future[Measurement]":
        """Run `job` before returning."""
        future: Future[Measurement] = Future()
        try:
            future.set_result(self._measure(job))
        except Exception as error:  # whoever takes the result gets it, as from a slot's thread
            future.set_exception(error)
        return future

    def _measure(self, job: Job) -> Measurement:
        folder = files.fresh_folder(self.folder / f"{files.tree_key(job.tree)[:12]}-{job.profile.name}-{job.seed}")
        tree, out = folder / "tree", files.fresh_folder(folder / "out")
        files.lay_out(job.tree, tree)
        environment = {"RUN_DIR": str(out), "SEED": str(job.seed), "PATH": "/usr/bin:/bin"}
        command = [*PYTHON, str(tree / "trainer" / "train.py")]
        limits = job.profile.limits
        process = Process(command, environment, out, folder / "stderr.txt", View([tree], [out]), limits)
        account = watch(process, limits, folder / PROGRESS, lambda word: None, self.stop)
        artifact, digest = take_in(out / "artifact.bin", folder / "artifact.bin", job)
        return Measurement(
            val_bpb=float(artifact.read_text()),
            scored_tokens=1000,
            scored_bytes=2900,
            artifact_bytes=artifact.stat().st_size,
            artifact_sha256=digest,
            code_bytes=code_bytes(job),
            steps=account.steps,
            train_tokens=account.tokens,
            tokens_per_s=100.0,
            train_loss=7.0,
            phases={"train": Cost(wall_s=0.1, cpu_s=0.1)},
            cpu_s=0.1,
            wall_s=0.1,
            overhead_s=0.0,
            peak_memory_bytes=1 << 20,
            sandbox="none",
        )
