"""What a night's keeps are worth once it is over: its whole gain on text that nothing else reads, and each a size up.

Nothing is decided here, so there is one look at a fixed number of pairs and no prior: the interval is Student's. It
speaks of seeds alone; the text that is scored is one sample, the same for every pair.
"""

import math
from collections.abc import Sequence

from agent import lab
from agent.git import Repo
from agent.journal import Journal
from agent.lab import Lab, Subject
from agent.records import Audited, Estimate, Experiment, Pair, Transferred
from bench import clock, files
from bench.errors import MachineError, NightshiftError, RunFailed, UsageError
from bench.profiles import profile

CONFIDENCE = 0.95
PARENT_FAILS = "parent_fails"


def interval(differences: Sequence[float]) -> tuple[float, float, float]:
    """The mean of `differences` and the ends of its 95 % confidence interval, in their unit: (mean, low, high).

    By the t distribution ("Student", The probable error of a mean, Biometrika 6(1), 1908). Raises NightshiftError
    where there are fewer than two: one difference says nothing of its own scatter.
    """
    from scipy.special import stdtrit  # half a second that commands which only read need not wait

    count = len(differences)
    if count < 2:
        raise NightshiftError(f"an interval needs at least two pairs, not {count}")
    mean = math.fsum(differences) / count
    variance = math.fsum((one - mean) ** 2 for one in differences) / (count - 1)
    reach = float(stdtrit(count - 1, (1 + CONFIDENCE) / 2)) * math.sqrt(variance / count)
    return mean, mean - reach, mean + reach


def estimate(profile: str, pairs: Sequence[Pair]) -> Estimate:
    """What `pairs` under `profile` show, in bits per byte."""
    mean, low, high = interval([pair.difference for pair in pairs])
    return Estimate(profile=profile, pairs=tuple(pairs), mean=mean, low=low, high=high)


def champions(journal: Journal, repo: Repo) -> tuple[str, str]:
    """Full hashes of the open segment's first champion and of its last. Raises UsageError where both are the same."""
    first, last = journal.header.base if journal.header else None, journal.champion
    if first is None or last is None or repo.trainer(first) == repo.trainer(last):
        raise UsageError("nothing was kept, so there is nothing to audit")
    return first, last


def standing(journal: Journal) -> list[Experiment]:
    """The keeps of the open segment that were not taken out again. Raises UsageError where there are none."""
    kept = [one for one in journal.in_segment() if one.status == "keep" and one.source != "baseline"]
    found = [one for one in kept if one.id not in journal.reverted]
    if not found:
        raise UsageError("nothing was kept that still stands, so there is nothing to transfer")
    return found


def audit(first: str, last: str, laboratory: Lab, repo: Repo, count: int) -> Audited:
    """Measure both champions under `count` seeds that had no part in the night, on the sealed split.

    Raises RunFailed and MachineError where a champion fails there, and Interrupted.
    """
    budget, before, after = laboratory.profile("audit"), repo.trainer(first), repo.trainer(last)
    subjects = [
        Subject("candidate", after, f"audit of the last champion {last[:7]}", parent=files.tree_key(before)),
        Subject("champion", before, f"audit of the first champion {first[:7]}"),
    ]
    runs = laboratory.run(subjects, budget, laboratory.seeds(after, budget, count))
    return Audited(timestamp=clock.now_ms(), first=first, last=last, evidence=estimate(budget.name, lab.pairs(runs)))


def transfer(kept: Experiment, laboratory: Lab, repo: Repo, count: int) -> Transferred:
    """Measure a kept change against the parent it replaced, one size class up, under `count` seeds.

    The seeds are the same for all keeps of a segment, so that a tree that is one's change and the next one's parent is
    measured once. Raises Interrupted.
    """
    budget, parent = laboratory.profile("transfer"), repo.trainer(kept.parent)
    label = f"{kept.id} at {budget.size}"
    subjects = [
        Subject("candidate", repo.trainer(kept.sha), label, parent=files.tree_key(parent)),
        Subject("champion", parent, f"{label}, its parent {kept.parent[:7]}"),
    ]
    start = repo.trainer(laboratory.header.base)
    runs = laboratory.run(subjects, budget, laboratory.seeds(start, budget, count))
    now = clock.now_ms()
    try:
        return Transferred(timestamp=now, id=kept.id, evidence=estimate(budget.name, lab.pairs(runs)))
    except RunFailed as failure:
        return Transferred(timestamp=now, id=kept.id, reason=failure.reason, detail=failure.detail)
    except MachineError as failure:
        return Transferred(timestamp=now, id=kept.id, reason=PARENT_FAILS, detail=str(failure))


def verdict(found: Estimate) -> str:
    """Whether what was kept is a gain where it was measured again, by the interval alone."""
    if all(pair.difference == 0 for pair in found.pairs):
        return "changes nothing"
    if found.high < 0:
        return "holds"
    return "does not hold" if found.low > 0 else "not resolved"


def in_words(found: Estimate) -> str:
    """A mean difference and its interval, in thousandths of a bit per byte."""
    mean, low, high = (f"{1000 * value:+.1f}".replace("-", "−") for value in (found.mean, found.low, found.high))
    return f"{mean} thousandths of a bit per byte (95 % interval {low} to {high})"


def audited_in_words(found: Audited) -> str:
    """An audit as one line; the bits per byte of both champions are means over its seeds."""
    evidence = found.evidence
    return (
        f"audited on {len(evidence.pairs)} fresh seeds and the sealed split{_length(evidence.profile)}:"
        f" {in_words(evidence)},"
        f" first champion {found.first[:7]} {evidence.champion_bpb:.4f}"
        f" → last {found.last[:7]} {evidence.candidate_bpb:.4f}"
    )


def transferred_in_words(kept: Experiment, found: Transferred) -> str:
    """What became of one kept change, as one line."""
    name, evidence = f"{kept.id} {kept.description}", found.evidence
    if evidence is None:
        return f"{name}: fails there: {found.reason}: {found.detail}"
    where = f"{profile(evidence.profile).size}{_length(evidence.profile)}"
    return f"{name}: {verdict(evidence)} at {where}: {in_words(evidence)} over {len(evidence.pairs)} seeds"


def _length(name: str) -> str:
    """What names a profile that is not of the usual length."""
    return f" ({name})" if "-" in name else ""


def audited_as_json(found: Audited) -> dict[str, object]:
    """An audit under stable keys, in bits per byte; `champion` is the first one, `candidate` the last."""
    return {
        "first": found.first,
        "last": found.last,
        "timestamp": found.timestamp,
        **_as_json(found.evidence),
    }


def transferred_as_json(kept: Experiment, found: Transferred) -> dict[str, object]:
    """One kept change under stable keys, in bits per byte; what was not measured is null."""
    return {
        "id": kept.id,
        "description": kept.description,
        "sha": kept.sha,
        "parent": kept.parent,
        "timestamp": found.timestamp,
        "verdict": verdict(found.evidence) if found.evidence else "fails",
        "reason": found.reason,
        "detail": found.detail,
        **_as_json(found.evidence),
    }


def _as_json(found: Estimate | None) -> dict[str, object]:
    if found is None:
        return dict.fromkeys(("profile", "mean", "low", "high", "champion_bpb", "candidate_bpb"), None) | {"pairs": []}
    return {
        "profile": found.profile,
        "mean": found.mean,
        "low": found.low,
        "high": found.high,
        "champion_bpb": found.champion_bpb,
        "candidate_bpb": found.candidate_bpb,
        "pairs": [pair.model_dump() | {"difference": pair.difference} for pair in found.pairs],
    }
