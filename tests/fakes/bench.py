"""A bench whose runs are written down beforehand."""

from collections.abc import Callable
from concurrent.futures import Future

from bench.errors import Interrupted, RunFailed
from bench.job import Job, Measurement

BPB = Callable[[Job], float]


class ScriptedBench:
    """Answers every job at once with the number that `bpb` gives; a negative one is a crash, NaN an interruption."""

    def __init__(self, bpb: BPB) -> None:
        self.bpb = bpb
        self.jobs: list[Job] = []

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
            future.set_result(measurement(found))
        return future


def measurement(bpb: float) -> Measurement:
    """A measurement with that score."""
    return Measurement(
        val_bpb=bpb,
        scored_tokens=1000,
        scored_bytes=2900,
        artifact_bytes=300_000,
        artifact_sha256="0" * 64,
        code_bytes=40_000,
        steps=10,
        train_tokens=40_960,
        tokens_per_s=4000.0,
        train_loss=5.0,
        phases={},
        cpu_s=10.0,
        wall_s=10.0,
        overhead_s=0.5,
        peak_memory_bytes=500_000_000,
        sandbox="none",
    )
