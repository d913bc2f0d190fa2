"""What must hold of a person's repository however often its night is killed: after each kill, and at its end."""

import time
from pathlib import Path

import psutil

from agent import git as plumbing
from agent.attempt import CANDIDATES, REPEATS
from agent.branch import branch_of
from agent.journal import Journal, read_journal
from agent.opening import journal_path
from agent.records import Experiment, Measured, Regained
from bench import files
from bench.errors import JournalError
from tests.agent.test_night import a_persons_own
from tests.fakes import git

NAME = "n"
DEATH_S = 10.0
"""So long after a kill no process of the night's may be alive."""
SAID = {
    *("id", "run", "segment", "description", "status", "reason", "detail", "source", "idea", "lane", "notes"),
    *("tree", "syntax", "knobs", "patch", "metric", "confidence", "breadth", "confirm"),
}
"""What an experiment's line says that does not depend on when it was measured, or how fast."""


class Violation(Exception):
    """Something that a kill must never do was done."""


def demand(condition: bool, what: str) -> None:
    """Raises Violation, with `what`, where the condition does not hold."""
    if not condition:
        raise Violation(what)


def path_of(repo: Path) -> Path:
    """Where the night's journal lies."""
    return journal_path(plumbing.Repo(repo, repo / ".git"), NAME)


def content(repo: Path) -> bytes:
    """The journal's bytes as they are now."""
    path = path_of(repo)
    return path.read_bytes() if path.exists() else b""


def whole_lines(journal: bytes) -> bytes:
    """All but a torn last line."""
    return journal[: journal.rfind(b"\n") + 1]


def locks(repo: Path) -> set[Path]:
    """Files with which git keeps others out."""
    return set((repo / ".git").rglob("*.lock"))


def at_work(workplace: Path) -> list[str]:
    """Every living process that works below that folder, or names a path there: git, runs, the sandbox's trial."""
    return [found for process in psutil.process_iter() if (found := _in(process, str(workplace)))]


def asleep(words: str) -> bool:
    """Whether that is a sandbox whose maker was killed before it could begin: the next start of the night ends it."""
    return words.split()[2].endswith("/bwrap")


def _in(process: psutil.Process, folder: str) -> str:
    try:
        words = process.cmdline()
        there = any(f"{folder}/" in f"{word}/" for word in [process.cwd(), *words])
        return f"{process.pid} {process.status()} {words[0]} … {' '.join(words)[-200:]}" if there and words else ""
    except (psutil.Error, OSError):
        return ""


def quiet(workplace: Path, patience_s: float = DEATH_S, *, but_asleep: bool = False) -> float:
    """Seconds until no process was at work there. Raises Violation where one still is when patience ends."""
    started = time.monotonic()
    while alive := [one for one in at_work(workplace) if not (but_asleep and asleep(one))]:
        demand(time.monotonic() - started < patience_s, f"alive {patience_s:.0f} s after the kill: {alive}")
        time.sleep(0.02)
    return time.monotonic() - started


def check_after_a_kill(repo: Path, before: bytes, own: dict[str, object], allowed: set[Path]) -> None:
    """The journal still holds what it held, and nothing of the person's was touched. Raises Violation.

    `allowed` are the locks that a git that was itself killed may have left.
    """
    after = content(repo)
    demand(after.startswith(whole_lines(before)), "the journal lost a line that it held")
    try:
        read_journal(path_of(repo))
    except JournalError as error:
        raise Violation(f"the journal cannot be read: {error}") from error
    demand(not (left := locks(repo) - allowed), f"locks were left: {left}")
    _check_own(repo, own)


def _check_own(repo: Path, own: dict[str, object]) -> None:
    now = a_persons_own(repo)
    changed = [name for name in own if own[name] != now[name]]
    demand(not changed, f"the person's own changed: {changed}")


def check_ended(repo: Path, reference: dict[str, object], own: dict[str, object]) -> None:
    """The night is whole, and what an undisturbed one with the same seed is. Raises Violation."""
    journal = read_journal(path_of(repo))
    records = journal.records
    keeps = [one for one in journal.experiments if one.status == "keep" and one.source != "baseline"]
    keys = [record.key for record in records if isinstance(record, Measured)]
    demand(len(journal.headers) == 1, f"{len(journal.headers)} segments")
    demand(len(keys) == len(set(keys)), f"measured twice: {sorted({key for key in keys if keys.count(key) > 1})}")
    gained = [record.id for record in records if isinstance(record, Regained)]
    demand(gained == [one.id for one in keeps], f"regained {gained}")
    _compare(reference, facts(journal))
    _check_git(repo, journal, keeps)
    _check_own(repo, own)
    demand(not (left := locks(repo)), f"locks were left: {left}")


def _check_git(repo: Path, journal: Journal, keeps: list[Experiment]) -> None:
    """Branch, candidates and objects are what the journal says."""
    there = plumbing.Repo(repo, repo / ".git")
    champion = (keeps or journal.experiments)[-1 if keeps else 0].sha
    tip = there.tip(branch_of(NAME))
    demand(tip == champion == journal.champion, f"the branch is at {tip}, the journal at {journal.champion}")
    count = git(repo, "rev-list", "--count", f"{journal.headers[0].base}..nightshift/{NAME}")
    demand(count == str(len(keeps)), f"{count} commits on the branch and {len(keeps)} keeps")
    for one in journal.experiments:
        if one.sha and one.source != "baseline":
            demand(there.tip(f"{CANDIDATES}/{one.id}") == one.sha, f"the ref of {one.id} is not at its commit")
            demand(files.tree_key(there.trainer(one.sha)) == one.tree, f"the commit of {one.id} holds other files")
    said = git(repo, "fsck", "--strict", "--no-dangling", "--no-progress")
    demand(not said, f"git fsck: {said}")


def facts(journal: Journal) -> dict[str, object]:
    """All that two nights with one seed must agree on."""
    names = {one.sha: one.id for one in journal.experiments if one.sha}
    found: dict[str, object] = {"order": [one.id for one in journal.experiments]}
    for one in journal.experiments:
        found[one.id] = one.model_dump(mode="json", include=SAID) | {
            "parent": names.get(one.parent),
            "runs": [
                (run.role, run.profile, run.seed, run.val_bpb, run.reason, run.artifact_sha256, run.total_bytes)
                for run in one.runs
            ],
        }
    found["regained"] = {name: evidence.model_dump(mode="json") for name, evidence in journal.regained.items()}
    found["measured"] = {
        key: one.measurement.val_bpb if one.measurement else one.reason
        for key, one in journal.measured.items()
        if one.repeat < REPEATS  # a second look at what a run costs depends on how long it took
    }
    return found


def _compare(reference: dict[str, object], found: dict[str, object]) -> None:
    """Raises Violation, naming what differs, where two nights' facts do."""
    differ = [name for name in {**reference, **found} if reference.get(name) != found.get(name)]
    lines = []
    for name in differ:
        here, there = found.get(name), reference.get(name)
        if isinstance(here, dict) and isinstance(there, dict):
            keys = [key for key in {**here, **there} if here.get(key) != there.get(key)][:4]
            lines.append(f"{name}: " + "; ".join(f"{key} {here.get(key)!r}, not {there.get(key)!r}" for key in keys))
        else:
            lines.append(f"{name}: {here!r}, not {there!r}")
    demand(not differ, "other than the undisturbed night: " + " | ".join(lines)[:3000])
