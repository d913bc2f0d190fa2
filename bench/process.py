"""One process of a candidate: started in the sandbox, bounded, looked at, and killed with all that it has started.

Every process of a run carries a mark of its own in its environment, so that without a sandbox what has left the process
group (a daemon, a double fork) is still found when the run ends.
"""

import contextlib
import os
import resource
import secrets
import select
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from bench import clock, files, sandbox
from bench.errors import MachineError, Paused, RunFailed
from bench.profiles import Limits
from bench.sandbox import View

MARK = "NIGHTSHIFT_RUN"
TICK_S = 0.2
"""How long a wait for a process lasts before its limits are looked at."""
LOOK_S = 1.0
DEATH_S = 60.0
"""A thousand processes take their time to die on a busy machine; a run has not ended before they have."""
STILL_S = 10.0
"""No tick takes so long, however busy the machine is."""
MOST_TAIL = 3000
RSS_UNIT = 1 if sys.platform == "darwin" else 1024


class Process:
    """A child in the chosen sandbox and in a process group of its own, whose whole tree dies with `end()`."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        errors: Path,
        view: View,
        limits: Limits,
    ) -> None:
        self.mark = secrets.token_hex(8)
        self.started = self.looked = clock.monotonic()
        self.errors, self.view, self.limits = errors, view, limits
        self.sandbox = sandbox.chosen()
        with files.created(errors) as stderr:
            self.child = self.sandbox.start(
                [*bounded(limits), *command], view, {**environment, MARK: self.mark}, folder, stderr
            )
        self.popen = self.child.popen
        self.exit_code: int | None = None
        self.ended = False
        self.cpu_s = self.waited_s = 0.0
        self.peak_memory_bytes = 0

    @property
    def alive(self) -> bool:
        """Whether the child still runs; takes its exit code and its account when it has ended."""
        if self.exit_code is None:
            self._reap(os.WNOHANG)
        return self.exit_code is None

    def cpu_so_far(self) -> float:
        """CPU seconds of all processes of the run, living and dead, so far."""
        spent = 0.0
        for process in self._tree():
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                spent += times.user + times.system + times.children_user + times.children_system
        self.cpu_s = max(self.cpu_s, spent)
        return self.cpu_s

    def look(self) -> None:
        """See what the run takes, once a second. Raises RunFailed: `over_memory`, `too_many_processes`, `disk_full`."""
        if clock.monotonic() - self.looked < LOOK_S:
            return
        tree, limits = self._tree(), self.limits
        memory = 0
        for process in tree:
            with contextlib.suppress(psutil.Error):
                memory += process.memory_info().rss
        self.peak_memory_bytes = max(self.peak_memory_bytes, memory)
        self.cpu_so_far()
        disk, count = files.disk_use(self.view.writable)
        if len(tree) > limits.processes:
            raise RunFailed("too_many_processes", f"{len(tree)} processes, more than {limits.processes}; killed")
        if memory > limits.memory_bytes:
            raise RunFailed("over_memory", f"{memory:,} bytes of memory, more than {limits.memory_bytes:,}; killed")
        if disk > limits.disk_bytes or count > limits.disk_files:
            raise RunFailed("disk_full", f"{disk:,} bytes in {count:,} files written; killed")
        self.looked = clock.monotonic()

    def _tree(self) -> list[psutil.Process]:
        try:
            root = psutil.Process(self.popen.pid)
            return [root, *root.children(recursive=True)]
        except psutil.Error:
            return []

    def last_words(self) -> str:
        """The last line of standard error, cut to a readable length, with a colon before it; or nothing."""
        with self.errors.open("rb") as file:
            file.seek(max(self.errors.stat().st_size - 4096, 0))
            lines = file.read().decode(errors="replace").split("\n")
        words = ["".join(c for c in line if c.isprintable()).strip() for line in lines]
        return next((f": {line[:300]}" for line in reversed(words) if line), "")

    def last_lines(self) -> str:
        """The end of standard error, as a rule a traceback: at most MOST_TAIL bytes, without this machine's paths."""
        with self.errors.open("rb") as file:
            file.seek(max(self.errors.stat().st_size - MOST_TAIL, 0))
            text = file.read().decode(errors="replace")
        for path in (f"{self.errors.parent / 'tree'}/", f"{sys.prefix}/", f"{sys.base_prefix}/"):
            text = text.replace(path, "")
        return "".join(c for c in text if c.isprintable() or c == "\n").strip()

    def end(self) -> None:
        """Kill whatever of the tree is alive, see it dead, and take the account."""
        if self.ended:
            return
        self.ended = True
        self._end_root()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        if self.exit_code is None:
            self._reap(0)
        if self.child.root is None:
            self._end_strays()
        for pipe in (self.popen.stdin, self.popen.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        if usage := self.child.let_go():
            self._count(usage)

    def _end_root(self) -> None:
        """Kill the first process of the sandbox, and wait until it, and with it all others, are dead."""
        root = self.child.root
        if root is None:
            return
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(root.descriptor, signal.SIGKILL)
        dying = select.poll()
        dying.register(root.descriptor, select.POLLIN)
        if not dying.poll(DEATH_S * 1000):
            raise MachineError(f"the processes of a run did not die within {DEATH_S:.0f} s of their kill: see ps")

    def _end_strays(self) -> None:
        """Where no process takes all others with it: kill what bears the run's mark until there is none."""
        while strays := [process for process in psutil.process_iter() if self._is_ours(process)]:
            for stray in strays:
                with contextlib.suppress(psutil.Error):
                    stray.kill()
            psutil.wait_procs(strays, timeout=1.0)

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return bool(process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARK) == self.mark)
        except (psutil.Error, OSError):
            return False

    def _reap(self, flags: int) -> None:
        pid, status, usage = os.wait4(self.popen.pid, flags)
        if pid:
            self.popen.returncode = os.waitstatus_to_exitcode(status)
            self.exit_code = self.sandbox.exit_code(self.popen.returncode)
            self._count(usage)

    def _count(self, usage: resource.struct_rusage) -> None:
        """Add what a process that was waited for took, with all that it had waited for."""
        self.waited_s += usage.ru_utime + usage.ru_stime
        self.cpu_s = max(self.cpu_s, self.waited_s)
        self.peak_memory_bytes = max(self.peak_memory_bytes, usage.ru_maxrss * RSS_UNIT)


def bounded(limits: Limits) -> list[str]:
    """The command's beginning that bounds each process: data segment, size of a file, no core dump (POSIX ulimit)."""
    bounds = (
        f"ulimit -c 0 && ulimit -f {limits.disk_bytes // 512} && {{ ulimit -d {limits.memory_bytes // 1024} || :; }}"
    )
    return ["/bin/sh", "-c", f'{bounds} && exec "$@"', "sh"]


class Pulse:
    """Notices that this process stood still for a while: the machine slept, or somebody stopped it."""

    def __init__(self) -> None:
        self.last = clock.through_sleep()

    def beat(self) -> None:
        """To be called several times a second. Raises Paused."""
        now = clock.through_sleep()
        if now - self.last > STILL_S:
            raise Paused(f"the bench stood still for {now - self.last:.0f} s")
        self.last = now
