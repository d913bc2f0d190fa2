"""A script that a person brings, where it stands, and one run of it.

It runs as it is, in a copy of the commit it belongs to, in the sandbox and for a bounded time. What is read off its
output is its own word.
"""

import contextlib
import math
import os
import re
import shlex
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from bench import clock, files, sandbox
from bench.errors import RunFailed, UsageError
from bench.job import Cost, Job, Measurement, Progress
from bench.kernels import SYSTEM_PATH
from bench.measure import PROGRESS, undisturbed
from bench.process import Process
from bench.profiles import SCRIPT, Limits
from bench.sandbox import View
from bench.script import Script
from bench.supervise import attend, died

OUTPUT = "output.txt"
"""What a script printed, in its run's folder; what it wrote to standard error is in `stderr.txt`."""


@dataclass(frozen=True)
class Rig:
    """A script where it stands."""

    script: Script
    root: Path
    """The repository's top: what the command and `reads` name is looked for from there."""
    rest: Mapping[str, bytes]
    """Every file of the commit that a proposal may not change."""


def run_script(job: Job, rig: Rig, folder: Path, show: Callable[[Progress], None], stop: Event) -> Measurement:
    """Run the script once in `folder`, which is made afresh, and read its metric.

    `val_bpb` of what is returned is that metric, less is better: negated where `direction` says higher. Raises
    RunFailed (`no_metric`, `not_finite`, `over_time`, `endless_output`, `exit_code`, `signal`), Interrupted, and
    UsageError where what the settings name is not there.
    """
    return undisturbed(lambda: _run(job, rig, folder, show, stop))


def _run(job: Job, rig: Rig, folder: Path, show: Callable[[Progress], None], stop: Event) -> Measurement:
    script, limits = rig.script, job.profile.limits
    tree, home = files.fresh_folder(folder) / "tree", folder / "home"
    files.lay_out({**rig.rest, **job.tree}, tree)
    files.fresh_folder(home)
    try:
        command = words_of(rig)
        program = Path(command[0])
        seen = [*(_python_of(program.parent.parent) or [program]), *_reads(rig, tree, home)]
        environment = _environment(job, script, program.parent, home)
        view = View(seen, [tree, home], network=script.network)
        process = Process(command, environment, tree, folder / "stderr.txt", view, limits)
        with files.created(folder / PROGRESS) as told:

            def tell(word: Progress) -> None:
                files.write_all(told.fileno(), word.model_dump_json().encode() + b"\n")
                show(word)

            reader = _Reader(process, script, limits, tell)
            show(Progress(phase="train"))
            attend(process, folder / OUTPUT, stop, reader.take, reader.check)
        value = reader.verdict()
    finally:
        for used in (tree, home):
            files.remove(used)
    took = Cost(wall_s=clock.monotonic() - process.started, cpu_s=process.cpu_s)
    return Measurement(
        val_bpb=0.0 - value if script.higher else value,
        scored_tokens=0,
        scored_bytes=0,
        artifact_bytes=0,
        artifact_sha256="",
        code_bytes=sum(map(len, job.tree.values())),
        steps=reader.step,
        train_tokens=0,
        tokens_per_s=0.0,
        train_loss=reader.loss,
        phases={"train": took},
        cpu_s=took.cpu_s,
        wall_s=took.wall_s,
        overhead_s=0.0,
        peak_memory_bytes=process.peak_memory_bytes,
        sandbox=sandbox.chosen().name,
    )


def words_of(rig: Rig) -> list[str]:
    """The command in words, its program by its full path. Raises UsageError where there is no such program."""
    first, *rest = shlex.split(rig.script.command)
    found = shutil.which(rig.root / first if "/" in first else first)
    if found is None:
        raise UsageError(f"there is no program {first!r}, which the command in nightshift.toml starts with: install it")
    return [os.path.abspath(found), *rest]  # noqa: PTH100  # a venv is known by its link, which resolve() would follow


def _environment(job: Job, script: Script, programs: Path, home: Path) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in script.inherit if name in os.environ}
    smoke = script.smoke if job.profile.name == f"{SCRIPT}smoke" else {}
    seed = {script.seed_env: str(job.seed)} if script.seed_env else {}
    own = {"PATH": f"{programs}:{SYSTEM_PATH}", "LANG": "C.UTF-8", "HOME": str(home), "TMPDIR": str(home)}
    return {**own, "PYTHONUNBUFFERED": "1", **inherited, **script.environment, **smoke, **seed}


def _reads(rig: Rig, tree: Path, home: Path) -> Iterator[Path]:
    """What is bound for `reads`, once it can be found from the copy, or from the home folder, as from the originals."""
    for name in rig.script.reads:
        given = Path(name).expanduser()
        source = (rig.root / given).resolve()
        if not source.exists():
            raise UsageError(f"there is no {name}, which `reads` in nightshift.toml names")
        if given.is_relative_to(Path.home()):
            link: Path | None = home / given.relative_to(Path.home())
        else:
            link = None if given.is_absolute() else tree / given
        if link and not link.exists():
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(source)
        yield source
        yield from _python_of(source)


def _python_of(venv: Path) -> list[Path]:
    """A virtual environment and the Python that it was made from; nothing where `venv` is none."""
    settings = venv / "pyvenv.cfg"
    if not settings.is_file():
        return []
    found = re.search(r"^home\s*=\s*(.+?)\s*$", settings.read_text(encoding="utf-8"), re.MULTILINE)
    bases = [base, base.resolve()] if found and (base := Path(found[1]).parent) else []
    return [venv, *dict.fromkeys(bases)]


@dataclass
class _Reader:
    """Reads what a script prints."""

    process: Process
    script: Script
    limits: Limits
    show: Callable[[Progress], None]
    taken: int = 0
    pending: str = ""
    last: str = ""
    """The last line that says anything."""
    told: str | None = None
    """The metric as it was printed last."""
    step: int = 0
    loss: float | None = None

    def take(self, chunk: bytes) -> None:
        self.taken += len(chunk)
        if self.taken > self.limits.output_bytes:
            raise RunFailed("endless_output", f"more than {self.limits.output_bytes:,} bytes of output; killed")
        *lines, self.pending = re.split(r"[\r\n]", self.pending + chunk.decode(errors="replace"))
        for line in lines:
            self.hear(line)

    def hear(self, line: str) -> None:
        self.last = line.strip() or self.last
        if found := self.script.pattern.search(line):
            self.told = found[1]
        steps = self.script.steps
        if steps and (found := steps.search(line)):
            groups = found.groupdict()
            with contextlib.suppress(TypeError, ValueError):
                self.step = int(groups["step"])
                self.loss = _finite(groups.get("loss"))
                self.show(Progress(phase="train", step=self.step, loss=self.loss))

    def check(self) -> None:
        if self.process.errors.stat().st_size > self.limits.output_bytes:
            raise RunFailed("endless_output", f"more than {self.limits.output_bytes:,} bytes of errors; killed")
        if clock.monotonic() - self.process.started > self.limits.total_s:
            after = f" after step {self.step}" if self.step else ""
            raise RunFailed("over_time", f"it took more than its {self.limits.total_s:.0f} s{after}; killed")

    def verdict(self) -> float:
        """The metric, once the script has ended."""
        self.hear(self.pending)
        if self.process.exit_code != 0:
            died(self.process, f"in phase train{self.process.last_words() or f': {self.last[:300]}'}")
        if self.told is None:  # many a script logs to standard error
            for line in self.process.errors.read_text(encoding="utf-8", errors="replace").splitlines():
                self.hear(line)
        name = self.script.name
        if self.told is None:
            raise RunFailed("no_metric", f"it ended well and printed no {name} where the pattern looks for one")
        try:
            value = float(self.told)
        except ValueError:
            raise RunFailed("no_metric", f"it printed {self.told[:40]!r} for {name}, which is no number") from None
        if not math.isfinite(value):
            raise RunFailed("not_finite", f"it printed {name} {self.told}")
        return value


def _finite(text: str | None) -> float | None:
    value = float(text) if text else math.nan
    return value if math.isfinite(value) else None
