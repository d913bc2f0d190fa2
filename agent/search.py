"""The knob search: what to try when the queue is empty and there is no language model.

One knob is changed at a time. A direction that has just won is stepped on in; otherwise a knob is drawn, and a
tree-structured Parzen estimator (Bergstra et al., Algorithms for Hyper-Parameter Optimization, NeurIPS 2011; optuna's
`TPESampler`), told of every experiment of the segment that changed this knob alone, draws its value. Nothing is
remembered between calls: the journal's experiments and the night's seed decide, so a resumed night goes on with the
same proposal.
"""

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from agent.knobs import Knobs, Range
from agent.proposal import Proposal
from agent.records import Experiment

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

ASKS = 32
"""Draws of a knob's value before the knob counts as exhausted."""
STARTUP = 3
"""Experiments with a knob before the sampler draws by them."""
LANES = {
    "optimizer": ("*_LR", "BETA*", "ADAM_*", "MUON_*", "GRAD_CLIP_*"),
    "export": ("INT8_*", "KEEP_*", "ZSTD_*"),
}


class Setting(NamedTuple):
    """A knob and a value of it."""

    knob: str
    value: float


def propose(
    knobs: Knobs,
    size: str,
    experiments: Sequence[Experiment],
    seed: int,
    champion: str = "",
    under_way: Sequence[Proposal] = (),
) -> Proposal | None:
    """The next single-knob change to the champion, or None where nothing new was found within the declared ranges.

    `knobs` are the champion's; `experiments` the night's decided ones, in order; `seed` the night's own. `champion` is
    its commit, which the last experiment tells where none is `under_way`; those count as tried, with nothing known.
    """
    if not knobs.ranges:
        return None
    segment = [experiment for experiment in experiments if experiment.segment == experiments[-1].segment]
    in_force = {name: float(knobs.in_force(name, size)) for name in knobs.ranges}
    spent = (
        tried(segment, champion) | set(map(Setting._make, in_force.items())) | set(filter(None, map(_asked, under_way)))
    )
    kept = last_keep(segment)
    step = step_on(kept, knobs.ranges, in_force) if kept else None
    if kept and step and step not in spent:
        why = f"{kept.id} won by moving {step.knob} this way; the same step again may win again."
        return _proposal(step, in_force[step.knob], knobs.ranges[step.knob], why)
    drawn = sample(knobs.ranges, spent, segment, f"{seed}/{len(experiments) + len(under_way)}")
    if drawn is None:
        return None
    before = sum(setting.knob == drawn.knob for setting in map(_single, segment) if setting)
    why = f"Drawn from {drawn.knob}'s range" + (
        f" after {before} experiments with it." if before else ": not tried yet."
    )
    return _proposal(drawn, in_force[drawn.knob], knobs.ranges[drawn.knob], why)


def last_keep(experiments: Sequence[Experiment]) -> Experiment | None:
    """The latest kept experiment."""
    return next((experiment for experiment in reversed(experiments) if experiment.status == "keep"), None)


def tried(experiments: Sequence[Experiment], champion: str = "") -> set[Setting]:
    """What cannot be tried anew on the present champion: what was, and what its own last change came from."""
    if not experiments:
        return set()
    last = experiments[-1]
    champion = champion or (last.sha if last.status == "keep" else last.parent)
    settings = {_single(experiment) for experiment in experiments if experiment.parent == champion}
    kept = last_keep(experiments)
    if kept and (setting := _single(kept)) and (before := _number(kept.asi.get("from", ""))) is not None:
        settings.add(Setting(setting.knob, before))
    return {setting for setting in settings if setting}


def step_on(kept: Experiment, ranges: Mapping[str, Range], in_force: Mapping[str, float]) -> Setting | None:
    """The step of a keep once more, if that keep changed one declared knob and is still in force.

    The same factor on a logarithmic range, the same distance on others; cut off at the range's end. Where the knob
    came from is read from the experiment's `asi["from"]`.
    """
    setting = _single(kept)
    if setting is None or in_force.get(setting.knob) != setting.value:
        return None
    before, after = _number(kept.asi.get("from", "")), setting.value
    span = ranges[setting.knob]
    if before is None or (span.kind == "log" and min(before, after) <= 0):
        return None
    return Setting(setting.knob, _readable(after * after / before if span.kind == "log" else 2 * after - before, span))


def sample(
    ranges: Mapping[str, Range], spent: set[Setting], experiments: Sequence[Experiment], seed: str
) -> Setting | None:
    """Draw a knob, and have optuna draw a value of it that is not in `spent`; None where no knob has one left.

    Every knob is as likely as the others: a sampler that chose them by their past gains would stay with the one whose
    gain the champion already has.
    """
    import optuna  # takes a second, and a night with a full queue never needs it

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    dice = Random(seed)
    for knob in dice.sample(sorted(ranges), len(ranges)):
        kind, low, high = span = ranges[knob]
        sampler = optuna.samplers.TPESampler(seed=dice.getrandbits(32), n_startup_trials=STARTUP)
        study = optuna.create_study(sampler=sampler)
        study.add_trials(told(knob, span, experiments))
        for _ in range(ASKS):
            trial = study.ask()
            if kind == "int":
                value = float(trial.suggest_int(knob, int(low), int(high)))
            else:
                value = _readable(trial.suggest_float(knob, low, high, log=kind == "log"), span)
            if Setting(knob, value) not in spent:
                return Setting(knob, value)
    return None


def told(knob: str, span: Range, experiments: Sequence[Experiment]) -> "Iterator[FrozenTrial]":
    """The single-knob experiments with `knob`, latest first; one without a difference is a failure.

    The value is the mean difference in bits per byte, at confirm where it got so far and at breadth otherwise, less
    what the knob has won since: changes taken to add up, that is its difference from the present champion.
    """
    from optuna.distributions import FloatDistribution, IntDistribution
    from optuna.trial import TrialState, create_trial

    kind, low, high = span
    whole = kind == "int"
    values = IntDistribution(int(low), int(high)) if whole else FloatDistribution(low, high, log=kind == "log")
    won_since = 0.0
    for experiment in reversed(experiments):
        setting, evidence = _single(experiment), experiment.confirm or experiment.breadth
        if setting is None or setting.knob != knob or not _within(setting.value, span):
            continue
        if evidence and experiment.status == "keep":
            won_since += evidence.mean
        yield create_trial(
            state=TrialState.COMPLETE if evidence else TrialState.FAIL,
            value=evidence.mean - won_since if evidence else None,
            params={knob: int(setting.value) if whole else setting.value},
            distributions={knob: values},
        )


def _single(experiment: Experiment) -> Setting | None:
    """The one number that an experiment changed, if that is all it changed."""
    lines = experiment.patch.split("\n")
    marks = [line[0] for line in lines if line.startswith(("+", "-")) and not line.startswith(("+++ ", "--- "))]
    if len(experiment.knobs) != 1 or marks not in ([], ["-", "+"]):
        return None
    ((knob, text),) = experiment.knobs.items()
    value = _number(text)
    return None if value is None else Setting(knob, value)


def _asked(under_way: Proposal) -> Setting | None:
    """The one number that a proposal asks to change, if that is all it asks for."""
    if len(under_way.knobs) != 1 or under_way.diff or under_way.edits:
        return None
    ((knob, text),) = under_way.knobs
    value = _number(text)
    return None if value is None else Setting(knob, value)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _within(value: float, span: Range) -> bool:
    return span.low <= value <= span.high and (span.kind != "int" or value.is_integer())


def _readable(value: float, span: Range) -> float:
    """`value` with three significant digits, or whole, and within its range."""
    rounded = round(value) if span.kind == "int" else float(f"{value:.3g}")
    return float(min(max(rounded, span.low), span.high))


def _proposal(setting: Setting, before: float, span: Range, why: str) -> Proposal:
    knob, value = setting
    lanes = [lane for lane, patterns in LANES.items() if any(fnmatchcase(knob, pattern) for pattern in patterns)]
    return Proposal(
        title=f"{knob} {before:g} → {value:g} (knob search)",
        hypothesis=why,
        source="search",
        lane=lanes[0] if lanes else "training",
        knobs=((knob, str(int(value)) if span.kind == "int" else repr(value)),),
    )
