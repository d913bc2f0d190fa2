"""What night and worker write to each other: who one is, what to run, how it ended. Plain JSON, no pickled object."""

import base64
from collections.abc import Mapping
from typing import Self

from pydantic import BaseModel, ConfigDict

from bench.errors import RunFailed
from bench.ground import Ground
from bench.job import Job, Measurement
from bench.profiles import profile


class Message(BaseModel):
    """One message; what it does not name is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Card(Message):
    """Who a worker is, and what its runs rest on."""

    host: str
    pid: int
    ground: Ground

    def __str__(self) -> str:
        return f"worker {self.pid} on {self.host}"


class Order(Message):
    """A job, the ground it is to be run on, and where its progress is to be told.

    The profile goes by its name: limits are those of the bench that runs it.
    """

    ground: Ground
    topic: str
    tree: Mapping[str, str]
    """Each file in base64."""
    profile: str
    seed: int
    knobs: Mapping[str, str]
    parent: str
    label: str

    @classmethod
    def of(cls, job: Job, ground: Ground, topic: str) -> Self:
        """The job as it is sent."""
        return cls(
            ground=ground,
            topic=topic,
            tree={name: base64.b64encode(content).decode() for name, content in job.tree.items()},
            profile=job.profile.name,
            seed=job.seed,
            knobs=job.knobs,
            parent=job.parent,
            label=job.label,
        )

    def job(self) -> Job:
        """The job as the bench takes it. Raises UsageError where no profile is called so."""
        return Job(
            tree={name: base64.b64decode(content, validate=True) for name, content in self.tree.items()},
            profile=profile(self.profile),
            seed=self.seed,
            knobs=self.knobs,
            parent=self.parent,
            label=self.label,
        )


class Outcome(Message):
    """How a run ended: measured, failed under a name, or not made at all."""

    measurement: Measurement | None = None
    reason: str = ""
    detail: str = ""
    log: str = ""
    unfit: str = ""
    """Why this worker makes no run for whoever ordered it."""

    def result(self) -> Measurement | None:
        """The measurement, or None where nothing came of it. Raises RunFailed as the run did."""
        if self.reason:
            raise RunFailed(self.reason, self.detail, self.log)
        return self.measurement
