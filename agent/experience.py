"""What is known of noise and of breadth before a verdict: this machine's calibration, and what the night has decided.

Where no calibration was made here, a committed one of another machine stands in, and the night says `provisional`.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median, stdev

from pydantic import BaseModel, ConfigDict

from agent import noise, promotion
from agent.journal import Journal
from agent.noise import Noise, Scatter
from agent.promotion import Point, Promotion
from agent.records import Evidence, Experiment, Header, Measured
from bench.errors import UsageError
from bench.job import Measurement
from bench.profiles import SCRIPT

COMMITTED = Path(__file__).with_name("experience.json")
"""One line a class of profiles, as `nightshift calibrate` writes them."""

Conditions = tuple[str, str, str]
"""Machine, data and what stands before the names of the profiles: where they agree, noise is alike."""


class Sample(BaseModel):
    """Differences of one change under one profile, in bits per byte; pairs without any difference are left out."""

    model_config = ConfigDict(frozen=True)

    mean: float
    squares: float
    """Sum of squared residuals."""
    pairs: int
    differences: tuple[float, ...] = ()
    """Of every pair, in seed order, noughts included; empty where an older version wrote it."""


class Change(BaseModel):
    """What one change showed."""

    model_config = ConfigDict(frozen=True)

    name: str
    lane: str
    breadth: Sample | None = None
    confirm: Sample | None = None


class Experience(BaseModel):
    """Everything that verdicts rest on beside the pairs themselves."""

    model_config = ConfigDict(frozen=True)

    machine: str
    data: str
    profiles: str
    """What stands before `breadth` and `confirm` in the names of the profiles."""
    scores: dict[str, tuple[float, ...]]
    """val_bpb of one champion under seed after seed, by stage."""
    changes: tuple[Change, ...]
    provisional: bool = False
    seconds: dict[str, float] = {}
    """Median CPU seconds of a run of the champion, by stage; empty where an older version wrote it."""

    paired: bool = True
    """Whether champion and candidate can be run under one seed; where not, repeats stand in for seeds."""

    def run_scale(self, stage: str) -> float:
        """Standard deviation of a run of one trainer over seeds, in bits per byte; of a script the most it may be."""
        scores = self.scores[stage]
        return noise.at_most(scores) if self.profiles == SCRIPT else stdev(scores)

    def noise(self, stage: str, lane: str) -> Noise:
        """What is known of the scatter of the next change of `lane`."""
        if not self.paired:
            return noise.unpaired(self.scores[stage])
        return noise.learn(self._seen(stage), self.run_scale(stage), lane)

    def spread(self, stage: str) -> Noise:
        """How the scatters of the changes seen so far are spread, and nothing presumed beside."""
        return noise.fit(self._seen(stage), self.run_scale(stage))

    def _seen(self, stage: str) -> list[Scatter]:
        samples = [(change.lane, getattr(change, stage)) for change in self.changes]
        return [Scatter(of, one.squares, one.pairs - 1) for of, one in samples if one and one.pairs > 1]

    def promotion(self) -> Promotion:
        """What breadth foretells of confirm."""
        both = [(change.breadth, change.confirm) for change in self.changes]
        points = [Point(breadth.mean, confirm.mean) for breadth, confirm in both if breadth and confirm]
        return promotion.learn(points, self.run_scale("breadth") if self.profiles == SCRIPT else promotion.ONE_RUN)

    def after(self, experiments: Iterable[Experiment]) -> "Experience":
        """The same, with what was decided since."""
        found = [
            Change(
                name=experiment.id,
                lane=experiment.lane,
                breadth=_of_evidence(experiment.breadth),
                confirm=_of_evidence(experiment.confirm),
            )
            for experiment in experiments
        ]
        measured = tuple(change for change in found if change.breadth or change.confirm)
        return self.model_copy(update={"changes": self.changes + measured})


def read(path: Path) -> list[Experience]:
    """The experiences in a file, one a line; none where there is no file."""
    return [Experience.model_validate_json(line) for line in path.read_text().splitlines()] if path.exists() else []


def calibrated(own: Sequence[Experience], machine: str, data: str) -> str:
    """What stands before the names of the profiles calibrated last on that machine and data, short ones aside.

    "", those as shipped, where nothing was calibrated.
    """
    fitting = [one.profiles for one in own if (one.machine, one.data) == (machine, data) and one.profiles != "short-"]
    return fitting[-1] if fitting else ""


def conditions(header: Header) -> Conditions:
    """Those that a night's numbers were measured under."""
    return header.fingerprint.processor, header.data, header.profiles


def before(header: Header, own: Sequence[Experience]) -> Experience:
    """What is known before the night of that header: of `own`, made on this machine, or of what is committed."""
    return under(conditions(header), own)


def under(here: Conditions, own: Sequence[Experience]) -> Experience:
    """What is known under those conditions: the last of `own` that was made there, or what is committed."""
    fitting = [one for one in own if (one.machine, one.data, one.profiles) == here]
    if fitting:
        return fitting[-1]
    committed = read(COMMITTED)
    stand_in = next((one for one in committed if one.profiles == here[2]), committed[0])
    return stand_in.model_copy(update={"provisional": True})


def of_baseline(header: Header, baseline: Experiment) -> Experience:
    """What the first runs of a script show: all that is known of its noise, whatever the stage.

    Raises UsageError where it gives one number only: then no difference could be told from noise.
    """
    script = header.script
    assert script is not None
    scores = tuple(
        run.val_bpb for run in baseline.runs if run.val_bpb is not None and not run.profile.endswith("smoke")
    )
    if len(set(scores)) < 2:
        raise UsageError(
            f"the script gives {header.yardstick.own(scores[0])} every time, so its noise cannot be seen: "
            + (
                f"have it take its seed from {script.seed_env}"
                if script.seed_env
                else "let its seed be set, by seed_env"
            )
        )
    return Experience(
        machine=header.fingerprint.processor,
        data=header.data,
        profiles=header.profiles,
        scores=dict.fromkeys(("breadth", "confirm"), scores),
        changes=(),
        paired=bool(script.seed_env),
    )


def sample(differences: Sequence[float]) -> Sample | None:
    """What `differences` show; None where there is none."""
    found = [one for one in differences if one != 0]
    if not found:
        return None
    mean = math.fsum(found) / len(found)
    squares = math.fsum((one - mean) ** 2 for one in found)
    return Sample(mean=mean, squares=squares, pairs=len(found), differences=tuple(differences))


def of_calibration(journal: Journal, names: dict[str, tuple[str, str]], champion: str) -> Experience:
    """What a calibration's journal shows. `names` gives the name and lane of each measured tree, by its key."""
    header = journal.header
    assert header is not None
    stages = {header.profiles + stage: stage for stage in ("breadth", "confirm")}
    found: dict[tuple[str, str], dict[int, Measurement]] = defaultdict(dict)
    opened = header
    for record in journal.records:
        if isinstance(record, Header):
            opened = record
        elif (
            isinstance(record, Measured)
            and record.measurement
            and record.profile in stages
            and opened.comparable(header)
        ):
            found[record.tree, stages[record.profile]][record.seed] = record.measurement

    def of(tree: str, stage: str) -> Sample | None:
        beside, runs = found[champion, stage], found[tree, stage]
        return sample([runs[seed].val_bpb - beside[seed].val_bpb for seed in sorted(runs) if seed in beside])

    changes = [
        Change(name=name, lane=lane, breadth=of(tree, "breadth"), confirm=of(tree, "confirm"))
        for tree, (name, lane) in names.items()
    ]
    own = {stage: list(found[champion, stage].values()) for stage in stages.values()}
    return Experience(
        machine=header.fingerprint.processor,
        data=header.data,
        profiles=header.profiles,
        scores={stage: tuple(run.val_bpb for run in runs) for stage, runs in own.items()},
        changes=tuple(change for change in changes if change.breadth or change.confirm),
        seconds={stage: median(run.cpu_s for run in runs) for stage, runs in own.items() if runs},
    )


def _of_evidence(evidence: Evidence | None) -> Sample | None:
    return sample([pair.difference for pair in evidence.pairs]) if evidence else None
