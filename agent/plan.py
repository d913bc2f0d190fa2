"""How many experiments fit into a night, from what decided ones took. Pure: the journal's records in, counts out."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median

from agent.records import Experiment, Header
from agent.yardstick import UNJUDGED, unjudged
from bench.errors import UsageError

STAGES = {
    "refused": "refused before any run",
    "smoke": "stopped at smoke",
    "breadth": "dropped at breadth",
    "confirm": "reached confirm",
}
SHORT = "short profiles: barely trained models; these numbers show that the loop works, not what an idea is worth"


def note_on(profile: str) -> str | None:
    """What is said beside every number that was measured under a profile of that name, or of that class."""
    if unjudged(profile):
        return UNJUDGED
    return SHORT if profile.startswith("short-") else None


@dataclass(frozen=True)
class Stage:
    """Experiments that came so far and no further."""

    name: str
    count: int
    median_s: float
    """Median wall seconds of one, at the slots asked for."""


@dataclass(frozen=True)
class Plan:
    """What fits into `hours`."""

    hours: float
    slots: int
    profiles: str
    baseline_s: float
    """Wall seconds that a new night first spends on its baseline."""
    stages: tuple[Stage, ...]
    expected: int
    """Experiments, if ideas get as far as they did so far."""
    most: int | None
    """Experiments, if breadth drops every one; None where it has dropped none yet."""
    fewest: int | None
    """Experiments, if every one goes through confirm; None where none did yet."""


def reached(experiment: Experiment) -> str:
    """Name of the furthest profile that an experiment's own runs came to, or "" where nothing ran."""
    names = [run.profile for run in experiment.runs if run.role == "candidate" or experiment.source == "baseline"]
    return max(names, key=lambda name: list(STAGES).index(stage_of(name)), default="")


def stage_of(profile: str) -> str:
    """The stage that a profile belongs to: `breadth` for `short-breadth`, `refused` for no profile at all."""
    return profile.rpartition("-")[2] or "refused"


def plan(hours: float, experiments: Sequence[Experiment], header: Header | None, slots: int) -> Plan:
    """Count the experiments that fit into `hours` with `slots` side by side.

    Speeds are those of the last segment. Raises UsageError where hours or slots are not above zero, and where no
    experiment but refused ones was decided yet.
    """
    if not 0 < hours < math.inf or slots < 1:
        raise UsageError(f"cannot plan {hours:g} hours on {slots} slots: both must be above zero")
    segment = [experiment for experiment in experiments if experiment.segment == experiments[-1].segment]
    baselines = [experiment for experiment in segment if experiment.source == "baseline"]
    tried = [experiment for experiment in segment if experiment.source != "baseline"]
    stages = {experiment.id: stage_of(reached(experiment)) for experiment in tried}
    if header is None or not set(stages.values()) & {"breadth", "confirm"}:
        raise UsageError("no experiment has been measured here yet; type `nightshift run --max-experiments 1` first")

    def seconds(those: Sequence[Experiment]) -> float:
        return median(_wall_s(experiment, slots) for experiment in those) if those else 0.0

    counts = Counter(stages.values())
    costs = {name: seconds([one for one in tried if stages[one.id] == name]) for name in STAGES if counts[name]}
    baseline_s = seconds(baselines)
    left = hours * 3600 - baseline_s

    def fits(each: float) -> int:
        return max(0, math.floor(left / each))

    mean = sum(costs[name] * counts[name] for name in costs) / len(tried)
    return Plan(
        hours=hours,
        slots=slots,
        profiles=header.profiles,
        baseline_s=baseline_s,
        stages=tuple(Stage(name, counts[name], costs[name]) for name in costs),
        expected=fits(mean),
        most=fits(costs["breadth"]) if "breadth" in costs else None,
        fewest=fits(costs["confirm"]) if "confirm" in costs else None,
    )


def _wall_s(experiment: Experiment, slots: int) -> float:
    """Wall seconds of a night that an experiment takes: those of its runs, which are shared out over the slots."""
    return sum(run.wall_s for run in experiment.runs if run.fresh) / slots


def as_text(plan: Plan) -> str:
    """The plan in plain lines."""
    measured = sum(stage.count for stage in plan.stages)
    lines = [
        f"{plan.hours:g} h on {plan.slots} slot{'s' * (plan.slots != 1)}: about {plan.expected} experiments",
        f"  {_or_unknown(plan.most)} if breadth drops every one",
        f"  {_or_unknown(plan.fewest)} if every one goes through confirm",
        f"a new night first spends {plan.baseline_s:.0f} s on its baseline",
        f"from {measured} decided experiments, median wall time of one:",
        *(f"  {STAGES[stage.name]:<24}{stage.count:>4} ×{stage.median_s:>7.1f} s" for stage in plan.stages),
    ]
    note = note_on(plan.profiles)
    return "\n".join([*lines, note] if note else lines)


def _or_unknown(count: int | None) -> str:
    return "not measured yet:" if count is None else str(count)


def as_json(plan: Plan) -> dict[str, object]:
    """The plan under stable keys; times in seconds."""
    return {**asdict(plan), "note": note_on(plan.profiles)}
