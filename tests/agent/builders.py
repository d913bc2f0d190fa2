"""Records as a night would write them, with only what a test is about spelt out."""

from collections.abc import Sequence
from pathlib import Path

from agent.journal import Journal
from agent.records import AnyRecord, Evidence, Experiment, Header, Pair, Run
from bench.machine import Fingerprint

BASE = "b" * 40


def header(**changes: object) -> Header:
    """A night called `night`, on short profiles."""
    fingerprint = Fingerprint(processor="a processor", blas="openblas", threads=1, mlx="0.32.4", device="cpu")
    usual: dict[str, object] = {
        "name": "night",
        "timestamp": 1_793_000_000_000,
        "seed": 7,
        "base": BASE,
        "profiles": "short-",
        "data": "embedded 0123456789ab",
        "fingerprint": fingerprint,
        "sandbox": "process",
        "slots": 2,
    }
    return Header.model_validate(usual | changes)


def journal(*records: AnyRecord, **changes: object) -> Journal:
    """The journal of that night, on no disk."""
    return Journal(Path("nowhere"), [header(**changes), *records])


def sha(run: int) -> str:
    """A commit's hash that tells its experiment."""
    return f"{run:040x}"[::-1]


def evidence(profile: str, *differences: float, champion: float = 2.3) -> Evidence:
    """Pairs with these differences, in bits per byte."""
    pairs = tuple(
        Pair(seed=100 + number, champion=champion, candidate=champion + difference)
        for number, difference in enumerate(differences)
    )
    return Evidence(profile=profile, pairs=pairs, mean=sum(differences) / len(pairs), scale=0.005, p_value=0.004)


def runs(*profiles: str, role: str = "candidate") -> tuple[Run, ...]:
    """One run under each profile."""
    return tuple(
        Run.model_validate(
            {
                "role": role,
                "profile": profile,
                "seed": 100 + number,
                "val_bpb": 2.3,
                "wall_s": 12.5,
                "cpu_s": 11.0,
                "total_bytes": 712_345,
                "peak_memory_bytes": 5 * 2**28,
            }
        )
        for number, profile in enumerate(profiles)
    )


def experiment(run: int = 2, status: str = "discard", **changes: object) -> Experiment:
    """An experiment of the night called `night`, dropped at breadth if nothing else is said."""
    usual: dict[str, object] = {
        "run": run,
        "commit": sha(run)[:7],
        "metric": 0.0,
        "metrics": {},
        "status": status,
        "description": f"idea {run}",
        "timestamp": 1_793_000_000_000 + run,
        "segment": 0,
        "asi": {"hypothesis": "it may help"},
        "id": f"night-{run:04d}",
        "source": "queue",
        "parent": BASE,
        "sha": sha(run),
        "reason": "worse_at_breadth" if status == "discard" else "improved",
        "detail": "in words",
        "wall_s": 40.0,
    }
    return Experiment.model_validate(usual | changes)


def baseline(run: int = 1, /, **changes: object) -> Experiment:
    """The measured start of a segment."""
    usual: dict[str, object] = {
        "source": "baseline",
        "description": "baseline",
        "metric": 2.3,
        "sha": BASE,
        "commit": BASE[:7],
        "runs": runs("short-confirm", "short-confirm", role="champion"),
        "reason": "baseline",
        "wall_s": 60.0,
    }
    return experiment(run, "keep", **(usual | changes))


def dropped(run: int, /, **changes: object) -> Experiment:
    """A discard at breadth."""
    usual: dict[str, object] = {
        "breadth": evidence("short-breadth", 0.01, 0.01),
        "runs": runs("short-smoke", "short-breadth", "short-breadth"),
    }
    return experiment(run, "discard", **(usual | changes))


def confirmed(run: int, status: str, differences: Sequence[float], **changes: object) -> Experiment:
    """A keep, or a discard at confirm."""
    weighed = evidence("short-confirm", *differences)
    usual: dict[str, object] = {
        "metric": weighed.candidate_bpb,
        "breadth": evidence("short-breadth", -0.01, -0.012),
        "confirm": weighed,
        "confidence": 1 - weighed.p_value,
        "runs": runs("short-smoke", "short-breadth", "short-breadth", *["short-confirm"] * len(differences)),
        "wall_s": 100.0,
    }
    return experiment(run, status, **(usual | changes))


def knob(name: str, before: object, after: object) -> dict[str, object]:
    """What an experiment that changed one knob holds of it."""
    patch = (
        "diff --git a/trainer/settings.py b/trainer/settings.py\n"
        "--- a/trainer/settings.py\n+++ b/trainer/settings.py\n@@ -1,3 +1,3 @@\n"
        f" # The optimizer.\n-{name} = {before!r}\n+{name} = {after!r}\n BETA1 = 0.9\n"
    )
    return {
        "knobs": {name: repr(after)},
        "asi": {"hypothesis": "it may help", "from": repr(before)},
        "patch": patch,
        "description": f"{name} {after!r}",
    }


KEPT = confirmed(3, "keep", [-0.02, -0.018], **knob("MATRIX_LR", 0.04, 0.06))
NIGHT = (
    baseline(),
    dropped(2, description="GRAD_CLIP_NORM 1.0"),
    KEPT,
    experiment(4, "crash", reason="diverged", runs=runs("short-smoke")),
    experiment(5, "checks_failed", reason="no_match", commit="", sha=""),
    confirmed(6, "discard", [0.001, -0.001], parent=KEPT.sha),
)
"""One of everything: a baseline, a drop, a keep, a crash, a refusal and a discard at confirm."""
