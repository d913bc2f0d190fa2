"""A night of many made-up experiments, as far as a page is concerned like a real one: every kind of everything."""

import random
from collections.abc import Iterator
from pathlib import Path

from agent.audit import estimate
from agent.calls import Authored, Reserved, Spent, Usage
from agent.curves import Curve
from agent.journal import Journal
from agent.records import AnyRecord, Audited, Evidence, Experiment, Measured, Pair, Regained, Reverted, Run
from bench.job import Cost, Measurement
from bench.slots import folder_name
from tests.agent.builders import BASE, header, sha

LANES = ("training", "optimizer", "export", "shared-depth", "papers")
PAPERS = ("2505.08823", "1909.11942", "1308.3432", "2410.20672")
WORDS = "rotary warmup of the value embeddings scaled by depth with half its heads shared and rounded late in training"
ARMS = ("exploit", "paper", "combine", "remove")


def night(count: int, *more: AnyRecord, seed: int = 1) -> Journal:
    """The journal of a night with so many experiments beside its baseline, on no disk."""
    return Journal(
        Path("made") / "autoresearch.jsonl", [header(profiles=""), *_records(random.Random(seed), count), *more]
    )


def curves(journal: Journal, points: int = 32) -> dict[str, Curve]:
    """Loss curves of every run in it, by the names of their folders."""
    dice, trees = random.Random(2), {one.sha: one.tree for one in journal.experiments}
    found: dict[str, Curve] = {}
    for one in journal.experiments:
        for run in one.runs:
            tree = one.tree if run.role == "candidate" or one.source == "baseline" else trees.get(one.parent, "")
            steep = dice.uniform(0.5, 0.7)
            found[folder_name(tree, run.profile, run.seed)] = tuple(
                (2 * step, 7.0 - 3.5 * (step / points) ** steep + dice.gauss(0, 0.03)) for step in range(1, points + 1)
            )
    return found


def _records(dice: random.Random, count: int) -> Iterator[AnyRecord]:
    champion, runs = BASE, _runs(dice, "confirm", 2, "champion")
    yield from (_measured("tree-base", run) for run in runs)
    yield _experiment(dice, 1, BASE, "keep", source="baseline", description="baseline", reason="baseline", sha=BASE,
                      tree="tree-base", metric=1.98, runs=runs)  # fmt: skip
    for run in range(2, count + 2):
        fate = dice.random()
        status, reason, pairs = "discard", dice.choice(("worse_at_breadth", "unpromising", "no_effect")), 0
        if fate < 0.02 or run in (5, 9):
            status, reason, pairs = "keep", "improved", dice.choice((3, 4, 6))
        elif fate < 0.12:
            reason, pairs = "not_resolved", dice.choice((2, 3, 8))
        elif fate < 0.18:
            status, reason = "crash", dice.choice(("diverged", "stalled", "not_finite"))
        elif fate < 0.24:
            status, reason = "checks_failed", dice.choice(("over_budget", "no_match", "artifact_too_large"))
        effect = dice.gauss(-0.012, 0.003) if status == "keep" else dice.gauss(0.004, 0.006)
        made = () if reason == "no_match" else _runs(dice, "smoke", 1)
        breadth = confirm = None
        if status in ("keep", "discard"):
            breadth = _evidence(dice, "breadth", 1, effect * 2)
            made += _runs(dice, "breadth", 1) + _runs(dice, "breadth", 1, "champion")
        if pairs:
            confirm = _evidence(dice, "confirm", pairs, effect)
            made += _runs(dice, "confirm", pairs) + _runs(dice, "confirm", pairs, "champion")
        tree = f"{dice.getrandbits(48):012x}"
        yield from (_measured(tree, one) for one in made)
        authored = _authored(dice, run)
        if authored:
            yield from _call(run, authored)
        one = _experiment(dice, run, champion, status, reason=reason, breadth=breadth, confirm=confirm, tree=tree,
                          metric=confirm.candidate_bpb if confirm else 0.0, runs=made, authored=authored,
                          source="claude" if authored else "queue")  # fmt: skip
        yield one
        if status == "keep":
            champion = one.sha
            if run != 9:
                yield Regained(timestamp=2, id=one.id, evidence=_evidence(dice, "confirm", 2, effect * 0.8))
            if run == 5:
                champion = sha(99_999)
                yield Reverted(timestamp=2, id=one.id, parent=one.sha, sha=champion)


def audited(journal: Journal) -> Audited:
    """An audit of that night's champion."""
    assert journal.champion
    pairs = _evidence(random.Random(3), "audit", 6, -0.02).pairs
    return Audited(timestamp=3, first=BASE, last=journal.champion, evidence=estimate("audit", pairs))


def _experiment(dice: random.Random, run: int, parent: str, status: str, **changes: object) -> Experiment:
    title = " ".join(dice.sample(WORDS.split(), dice.randint(3, 9))).capitalize()
    usual: dict[str, object] = {
        "run": run,
        "commit": sha(run)[:7],
        "metric": 0.0,
        "metrics": {},
        "status": status,
        "description": title,
        "timestamp": 1_793_000_000_000 + run * 40_000,
        "segment": 0,
        "asi": {"hypothesis": f"{title}: " + " ".join(dice.choices(WORDS.split(), k=40)), "expected_effect": "-0.004"},
        "id": f"made-{run:04d}",
        "idea": f"idea-{run}",
        "lane": dice.choice(LANES),
        "notes": tuple(dice.sample(PAPERS, dice.choice((0, 0, 1, 2)))),
        "parent": parent,
        "sha": sha(run),
        "patch": _patch(dice),
        "detail": "so many thousandths of a bit per byte, in words",
        "wall_s": dice.uniform(8, 220),
    }
    return Experiment.model_validate(usual | changes)


def _patch(dice: random.Random) -> str:
    lines = [
        f"     {dice.choice(WORDS.split())} = {dice.choice(WORDS.split())}({dice.random():.4f})" for _ in range(14)
    ]
    for at in dice.sample(range(14), 6):
        lines[at] = dice.choice("+-") + lines[at][1:]
    return "--- a/trainer/model.py\n+++ b/trainer/model.py\n@@ -40,14 +40,14 @@\n" + "\n".join(lines) + "\n"


def _authored(dice: random.Random, run: int) -> Authored | None:
    if run % 3:
        return None
    usd = dice.uniform(0.01, 0.2)
    return Authored(draft=f"draft-{run:04d}", arm=dice.choice(ARMS), expected="-0.004", model="a model", usd=usd)


def _call(run: int, authored: Authored) -> Iterator[AnyRecord]:
    told = {"timestamp": 1, "call": run, "draft": authored.draft, "model": authored.model}
    yield Reserved.model_validate(told | {"usd": 0.2})
    usage, error = Usage(output_tokens=900), None if run % 11 else "overloaded"
    yield Spent.model_validate(told | {"usage": usage, "usd": authored.usd, "at_most": authored.usd, "error": error})


def _evidence(dice: random.Random, profile: str, count: int, effect: float) -> Evidence:
    champions = [dice.gauss(1.98, 0.008) for _ in range(count)]
    pairs = tuple(
        Pair(seed=dice.getrandbits(31), champion=one, candidate=one + dice.gauss(effect, 0.002)) for one in champions
    )
    mean = sum(pair.difference for pair in pairs) / count
    return Evidence(profile=profile, pairs=pairs, mean=mean, scale=0.003, p_value=dice.random())


def _runs(dice: random.Random, profile: str, count: int, role: str = "candidate") -> tuple[Run, ...]:
    return tuple(
        Run.model_validate(
            {
                "role": role,
                "profile": profile,
                "seed": 1000 + number,
                "val_bpb": dice.gauss(1.98, 0.01),
                "wall_s": dice.uniform(5, 60),
                "cpu_s": dice.uniform(5, 60),
                "total_bytes": dice.randint(400_000, 500_000),
                "peak_memory_bytes": dice.randint(2**28, 2**29),
                "artifact_sha256": f"{dice.getrandbits(256):064x}",
            }
        )
        for number in range(count)
    )


def _measured(tree: str, run: Run) -> Measured:
    cost = Cost(wall_s=run.wall_s, cpu_s=run.cpu_s)
    measurement = Measurement(
        val_bpb=run.val_bpb or 0.0,
        scored_tokens=1000,
        scored_bytes=2900,
        artifact_bytes=run.total_bytes,
        artifact_sha256=run.artifact_sha256,
        code_bytes=0,
        steps=72,
        train_tokens=1000,
        tokens_per_s=100.0,
        train_loss=4.0,
        phases={"train": cost},
        cpu_s=run.cpu_s,
        wall_s=run.wall_s,
        overhead_s=0.0,
        peak_memory_bytes=run.peak_memory_bytes,
        sandbox="none",
    )
    return Measured(key=f"{tree}{run.profile}{run.seed}{run.role}", timestamp=1, tree=tree, profile=run.profile,
                    seed=run.seed, measurement=measurement)  # fmt: skip
