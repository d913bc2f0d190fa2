"""A night as runs of Weights & Biases, by its own library in its offline mode: nothing is sent, no key is asked for.

One run an experiment, in one group a night. Differences are candidate minus champion in bits per byte, with their 95 %
interval: below zero is better. The library is an extra, `nightshift[wandb]`.
"""

import importlib
import os
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from agent import report
from agent.curves import read_curve
from agent.journal import Journal
from agent.opening import RUNS
from agent.records import Evidence, Experiment, Header
from bench import files
from bench.errors import MachineError, UsageError
from bench.slots import folder_name

PROJECT = "nightshift"
LONGEST_NAME = 128
QUIET = {
    "silent": True,
    "console": "off",
    "disable_git": True,
    "disable_code": True,
    "disable_job_creation": True,
    "x_disable_machine_info": True,
    "x_disable_meta": True,
    "x_disable_stats": True,
}
"""Nothing of this machine or of this process goes into a run: neither measured it."""


def write(journal: Journal, folder: Path) -> int:
    """Write the night's experiments into `folder`, as far as their runs' folders are there with loss curves.

    Returns how many. Raises MachineError where the library is not installed, and UsageError where `folder` holds runs.
    """
    os.environ["WANDB_ERROR_REPORTING"] = "false"  # before it is imported: it would tell its makers of its own errors
    try:
        wandb = importlib.import_module("wandb")
    except ImportError as error:
        raise MachineError("wandb is not installed here: pip install 'nightshift[wandb]'") from error
    if (folder / "wandb").exists():
        raise UsageError(f"{folder} holds runs already: name an empty folder, as each would be there twice")
    files.make_folders(folder)
    try:
        for one in journal.experiments:
            _write(wandb, journal, one, folder)
    finally:
        wandb.teardown()  # only then is the last run on disk
    return len(journal.experiments)


def _write(wandb: ModuleType, journal: Journal, one: Experiment, folder: Path) -> None:
    header = journal.headers[one.segment]
    run = wandb.init(
        mode="offline",
        dir=str(folder.resolve()),
        project=PROJECT,
        group=header.name,
        job_type=one.lane or one.source,
        id=one.id,
        name=f"{one.id} {one.description}"[:LONGEST_NAME],
        tags=[one.status] if one.yardstick.judged else [one.status, "unjudged"],
        config=config(header, one),
        settings=wandb.Settings(**QUIET),
    )
    for step, losses in sorted(curves(journal.path.parent / RUNS, one).items()):
        run.log(losses, step=step)
    run.summary.update(summary(journal, one))
    run.finish(exit_code=int(one.status == "crash"))


def config(header: Header, one: Experiment) -> dict[str, Any]:
    """What an experiment was: its change, where that is from, and what it was measured under."""
    return {
        "knobs": one.knobs,
        "lane": one.lane,
        "source": one.source,
        "idea": one.idea,
        "hypothesis": one.asi.get("hypothesis", ""),
        "notes": list(one.notes),
        "commit": one.sha,
        "parent": one.parent,
        "patch": one.patch,
        "seeds": sorted({run.seed for run in one.runs if run.role == _mine(one)}),
        "night": header.name,
        "segment": one.segment,
        "profiles": header.profiles,
        "data": header.data,
        "machine": header.fingerprint.model_dump(),
        "timestamp": one.timestamp,
    }


def summary(journal: Journal, one: Experiment) -> dict[str, Any]:
    """What came of it. What was not measured is left out; the cost is in seconds and dollars."""
    stages = {"breadth": one.breadth, "confirm": one.confirm, "regained": journal.regained.get(one.id)}
    told: dict[str, Any] = {
        "verdict": one.status,
        "reason": one.reason,
        "detail": one.detail,
        "reverted": one.id in journal.reverted,
        "wall_s": one.wall_s,
        "cpu_s": sum(run.cpu_s for run in one.runs if run.fresh),
    }
    if one.metric:
        told[one.yardstick.name] = one.metric
    if sizes := [run.total_bytes for run in one.runs if run.role == _mine(one) and run.total_bytes]:
        told["total_bytes"] = max(sizes)
    if one.authored:
        told["usd"] = one.authored.usd
    return told | {name: difference(found) for name, found in stages.items() if found and one.source != "baseline"}


def difference(found: Evidence) -> dict[str, Any]:
    """A mean difference with its 95 % interval, in bits per byte."""
    half = report.WIDTH * report.standard_error(found)
    return {
        "difference": found.mean,
        "low": found.mean - half,
        "high": found.mean + half,
        "pairs": len(found.pairs),
        "p_value": found.p_value,
        "profile": found.profile,
    }


def curves(runs: Path, one: Experiment) -> Mapping[int, dict[str, float]]:
    """Training losses (nats a token) by step, under a name for each of its runs whose folder is there."""
    found: dict[int, dict[str, float]] = {}
    for run in one.runs:
        if run.role == _mine(one):
            for step, loss in read_curve(runs / folder_name(one.tree, run.profile, run.seed)):
                found.setdefault(step, {})[f"loss/{run.profile}/{run.seed}"] = loss
    return found


def _mine(one: Experiment) -> str:
    """The role that its own runs have."""
    return "champion" if one.source == "baseline" else "candidate"
