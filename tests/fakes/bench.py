"""A bench whose runs are written down beforehand."""

import hashlib
from collections.abc import Callable
from concurrent.futures import Future

from bench.errors import Interrupted, RunFailed
from bench.files import tree_key
from bench.job import Cost, Job, Measurement

BPB = Callable[[Job], float]


class ScriptedBench:
    """Answers every job at once with the number that `bpb` gives; a negative one is a crash, NaN an interruption.

    `cost` gives the CPU seconds of its training, `artifact` what its artifact is a hash of, `memory` its peak in bytes.
    """

    def __init__(
        self,
        bpb: BPB,
        cost: Callable[[Job], float] = lambda job: 10.0,
        artifact: Callable[[Job], str] = lambda job: f"{tree_key(job.tree)} {job.seed}",
        memory: Callable[[Job], int] = lambda job: 500_000_000,
    ) -> None:
        self.bpb, self.cost, self.artifact, self.memory = bpb, cost, artifact, memory
        self.jobs: list[Job] = []

    @property
    def capacity(self) -> int:
        """One after another."""
        return 1

    def submit(self, job: Job) -> Future[Measurement]:
        """Run `job` in no time."""
        self.jobs.append(job)
        future: Future[Measurement] = Future()
        found = self.bpb(job)
        if found != found:
            future.set_exception(Interrupted("stopped"))
        elif found < 0:
            future.set_exception(RunFailed("exit_code", "as scripted"))
        else:
            future.set_result(measurement(found, self.cost(job), self.artifact(job), self.memory(job)))
        return future


def measurement(bpb: float, cpu_s: float, artifact: str, peak_memory_bytes: int = 0) -> Measurement:
    """A measurement with that score, that cost of training, that artifact and that much memory."""
    return Measurement(
        val_bpb=bpb,
        scored_tokens=1000,
        scored_bytes=2900,
        artifact_bytes=300_000,
        artifact_sha256=hashlib.sha256(artifact.encode()).hexdigest(),
        code_bytes=40_000,
        steps=10,
        train_tokens=40_960,
        tokens_per_s=4000.0,
        train_loss=5.0,
        phases={"train": Cost(wall_s=cpu_s, cpu_s=cpu_s)},
        cpu_s=10.0,
        wall_s=10.0,
        overhead_s=0.5,
        peak_memory_bytes=peak_memory_bytes,
        sandbox="none",
    )
