"""How a night opens, for the first time or again: its journal, branch, segment and baseline."""

import re
import secrets
from collections.abc import Callable
from pathlib import Path
from statistics import fmean

from agent import branch
from agent.branch import branch_of
from agent.experience import Experience, of_baseline
from agent.git import Repo
from agent.journal import Journal, open_journal, read_journal
from agent.lab import Lab, check
from agent.leftovers import end_leftovers
from agent.plan import SHORT
from agent.promotion import BREADTH_PAIRS
from agent.records import Experiment, Header, Repaired
from agent.tree import syntax_key
from agent.verdict import LOOKS
from agent.yardstick import BITS, UNJUDGED, of_script
from bench import clock, files, machine, sandbox
from bench.data import Dataset, read_manifest
from bench.errors import MachineError, UsageError
from bench.machine import Fingerprint
from bench.rig import Rig, words_of
from bench.script import Script

SCRIPT_RUNS = 4
"""Of a script as it stands, to begin with: nothing else tells of its noise."""
RUNS = "runs"
"""Folder of a night's runs, beside its journal: what they leave serves a person to look at, and nothing else."""
Say = Callable[[str], None]


def home(repo: Repo) -> Path:
    """The folder of all nights, where checkout, stash and clean cannot touch it."""
    return repo.common / "nightshift"


def journal_path(repo: Repo, name: str) -> Path:
    """Where the journal of the night `name` lies."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", name):
        raise UsageError(f"{name!r} cannot name a night: letters, digits, - and _ only")
    return home(repo) / name / "autoresearch.jsonl"


def night_path(repo: Repo, name: str | None) -> Path:
    """Where the journal of that night lies, or of the one written to last. Raises UsageError where there is none."""
    if name is not None:
        path = journal_path(repo, name)
    else:
        path = max(home(repo).glob("*/autoresearch.jsonl"), key=lambda path: path.stat().st_mtime, default=Path())
    if not path.is_file():
        raise UsageError(f"no night {name!r} here" if name else "no night here yet: type `nightshift run`")
    return path


def experience_path(repo: Repo) -> Path:
    """Where this machine's experience is kept; `nightshift calibrate` makes it afresh from its journal."""
    return home(repo) / "experience.json"


def data_key(data: Dataset | Rig) -> str:
    """What is trained and scored on: the source and the start of the digest; of a script the files around it."""
    if isinstance(data, Rig):
        return f"script {files.tree_key(data.rest)[:16]}"
    return data.key


def rig(repo: Repo, script: Script, name: str, start: str | None) -> Rig:
    """The script that a night of that name runs, among the files of the commit where it begins, or where it stands.

    Raises UsageError where it cannot be started.
    """
    found = Rig(script, repo.root, repo.rest(_base(repo, read_journal(journal_path(repo, name)), start)))
    words_of(found)
    return found


def _base(repo: Repo, journal: Journal, start: str | None) -> str:
    """The commit that the next segment begins from."""
    last = journal.header
    return repo.commit_of(start or "HEAD") if last is None else journal.champion or last.base


def new_header(
    name: str, base: str, *, seed: int, profiles: str, data: Dataset | Rig, fingerprint: Fingerprint, slots: int
) -> Header:
    """The header of a segment that begins now."""
    script = data.script if isinstance(data, Rig) else None
    yardstick = of_script(script) if script else BITS
    return Header(
        metricName=yardstick.name,
        metricUnit="" if yardstick.judged else " unjudged",
        bestDirection="higher" if yardstick.higher else "lower",
        script=script,
        name=name,
        timestamp=clock.now_ms(),
        seed=seed,
        base=base,
        profiles=profiles,
        data=data_key(data),
        fingerprint=fingerprint,
        sandbox=sandbox.chosen().name,
        slots=slots,
    )


def open_night(
    repo: Repo,
    name: str,
    *,
    start: str | None,
    profiles: str,
    data: Dataset | Rig,
    fingerprint: Fingerprint,
    slots: int,
    say: Say,
) -> tuple[Journal, Header]:
    """The journal with its open segment, and the branch where the journal says it is.

    `start` is the ref to begin from, or None for HEAD, or to go on. Raises UsageError and JournalError.
    """
    journal = open_journal(journal_path(repo, name))
    left, last = end_leftovers(journal.path.parent / RUNS), journal.header
    if left and last:
        journal.append(Repaired(timestamp=clock.now_ms(), what=f"ended {left} processes that a killed night had left"))
    if last is None:
        if repo.tip(branch_of(name)):
            raise UsageError(f"branch nightshift/{name} exists without a journal; choose another --name")
        base, seed = _base(repo, journal, start), secrets.randbits(31)
    else:
        if start and repo.commit_of(start) != journal.headers[0].base:
            raise UsageError(
                f"night {name} began from {journal.headers[0].base[:7]}; choose another --name to begin anew"
            )
        base, seed = _base(repo, journal, start), last.seed
        branch.repair(repo, name, journal)
    repo.trainer(base)
    header = new_header(name, base, seed=seed, profiles=profiles, data=data, fingerprint=fingerprint, slots=slots)
    if last is None or not last.comparable(header):
        if last is not None:
            say(f"{' and '.join(last.differences(header))} changed since: a new segment begins, with its own baseline")
        journal.append(header)
        branch.repair(repo, name, journal)
    if journal.repairs:
        say(f"repaired: {'; '.join(journal.repairs)}")
    opened = journal.header
    assert opened is not None
    return journal, opened


def greeting(repo: Repo, header: Header, decided: int, known: Experience, keeper: str | None) -> list[str]:
    """What is said when a night opens: from where, on what, under which conditions."""
    here, slots = header.fingerprint, f"{header.slots} slot{'s' * (header.slots != 1)}"
    lines = [
        f"night {header.name} " + (f"goes on after {decided} experiments" if decided else "begins"),
        f"  from     {header.base[:7]}, on branch nightshift/{header.name}; your own branch and files stay as they are",
    ]
    if script := header.script:
        lines += [
            f"  script   {script.command}; {', '.join(script.files)} may change",
            f"  metric   {script.name}, {script.direction} is better; {UNJUDGED}",
            f"  machine  {here.processor}, {slots}",
            f"  sandbox  {header.sandbox}",
            f"  noise    from {SCRIPT_RUNS + BREADTH_PAIRS} runs of the script as it stands",
        ]
    else:
        lines += [
            f"  data     {header.data}",
            f"  machine  {here.processor}, {slots}, MLX {here.mlx} on {here.device}, {here.blas}",
            f"  sandbox  {header.sandbox}",
            f"  noise    as {len(known.changes)} changes showed on {known.machine}"
            + ("; provisional: `nightshift calibrate` measures it here" if known.provisional else ""),
        ]
    lines.append(
        f"  awake    kept so by {keeper}" if keeper else "  awake    nothing here keeps this machine from sleeping"
    )
    if header.profiles == "short-":
        lines.append(f"  note     {SHORT}")
    if changed := repo.uncommitted():
        names = ", ".join(changed[:3]) + (", …" if len(changed) > 3 else "")
        where = ", ".join(repo.scope)
        lines.append(f"  note     uncommitted changes in {where} are not part of this night: {names}")
    return lines


def changed(data: Dataset | Rig, header: Header) -> str | None:
    """Why nothing more can be compared with what was measured under `header`, if data or MLX were changed meanwhile.

    A script was read when the night opened, with the files around it.
    """
    if isinstance(data, Rig):
        return None
    now = header.model_copy(
        update={
            "data": data_key(read_manifest(data.root)),
            "fingerprint": header.fingerprint.model_copy(update={"mlx": machine.installed_mlx()}),
        }
    )
    if differ := header.differences(now):
        return f"{' and '.join(differ)} changed underneath; the same command goes on, in a new segment"
    return None


def baseline(name: str, journal: Journal, laboratory: Lab, sha: str, repo: Repo) -> Experiment:
    """Measure the commit a segment starts from. Raises MachineError where it does not run: then no night can start.

    So it is where a script shows no noise (UsageError).
    """
    started = clock.monotonic()
    tree = repo.trainer(sha)
    number = len(journal.experiments) + 1
    champion = laboratory.champion(tree, number, f"{name}-{number:04d} baseline {sha[:7]}")
    runs = []
    stages = {"smoke": int(laboratory.smokes), "breadth": BREADTH_PAIRS, "confirm": LOOKS[0]}
    if laboratory.header.script:
        stages["confirm"] = SCRIPT_RUNS
    for stage, count in stages.items():
        profile = laboratory.profile(stage)
        runs += laboratory.run([champion], profile, laboratory.seeds(tree, profile, count))
        try:
            check(runs)
        except MachineError as error:
            raise MachineError(f"the baseline does not run, so no night can start: {error}") from error
    confirm, last, yardstick = laboratory.profile("confirm").name, runs[-1], laboratory.header.yardstick
    scores = [run.val_bpb for run in runs if run.profile == confirm and run.val_bpb is not None]
    found = Experiment(
        run=number,
        commit=sha[:7],
        metric=yardstick.own(fmean(scores)),
        metrics={"total_bytes": last.total_bytes, "run_cpu_s": last.cpu_s, "tokens_per_second": last.tokens_per_s},
        status="keep",
        description="baseline",
        timestamp=clock.now_ms(),
        segment=journal.segment,
        asi={"hypothesis": "the trainer as it stands, to be measured against"},
        id=f"{name}-{number:04d}",
        source="baseline",
        parent=sha,
        sha=sha,
        tree=files.tree_key(tree),
        syntax=syntax_key(tree),
        reason="baseline",
        detail=f"mean of {len(scores)} {'seeds' if yardstick.judged else 'runs'} at {confirm}",
        runs=tuple(runs),
        wall_s=clock.monotonic() - started,
        unjudged=laboratory.header.unjudged,
    )
    if laboratory.header.script:
        of_baseline(laboratory.header, found)
    return found
