"""A short night, with something going wrong at each of its points in turn: `python -m tests.chaos.sweep`.

At every point the night is killed (SIGKILL, in a process of its own) and everything written so far is kept; the power
is cut, with what was not synced dropped; a write is short; the disk is full from there on; an input/output error is
met. Then the night is gone on with, and what must hold is checked.
"""

import argparse
import contextlib
import functools
import os
import pickle
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from agent.history import HISTORY
from agent.journal import Journal, encode, read_journal
from agent.library import CHRONOLOGY
from bench import sandbox
from bench.errors import NightshiftError
from tests.agent.test_night import a_persons_own
from tests.chaos import night
from tests.chaos.cuts import Case, Cuts, lay_image
from tests.chaos.disk import Fault, Layer, Point
from tests.chaos.intact import Violation, check_ended, facts, path_of, quiet

WORKERS = 3
"""Runs wait for one another's ends: two cores have room for a third."""
FINISHED = "finished"
"""Acknowledged after the journal's lines, once `finish` says that the history is written."""
ENDED, REFUSED, BROKEN = 0, 1, 3


class Result(NamedTuple):
    """What became of a case."""

    case: Case
    violations: list[str]


def begin(template: Path) -> tuple[Path, Path]:
    """A copy of the person's repository, in a folder of its own."""
    folder = Path(tempfile.mkdtemp(prefix="nightshift-chaos-"))
    return folder, Path(shutil.copytree(template, folder / "person", symlinks=True))


def in_a_process(work: Callable[[], object], said: Path) -> int:
    """Do `work` in a process of its own; returns its exit code, negative for a signal, with its words in `said`."""
    pid = os.fork()
    if pid == 0:
        code = BROKEN
        try:
            with said.open("w") as file:
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
            work()
            code = ENDED
        except (NightshiftError, OSError) as error:
            os.write(2, f"nightshift: {error}\n".encode())
            code = REFUSED
        except BaseException:
            os.write(2, traceback.format_exc().encode())
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def run_night(root: Path, layer: Layer | None = None, acknowledged: Path | None = None, *, finish: bool = True) -> None:
    """Pass the night, through `layer`, with every line that its journal took acknowledged in a file."""
    night.fix()
    say = functools.partial(print, flush=True)
    append = Journal.append
    if acknowledged:
        file = acknowledged.open("ab", buffering=0)

        def noted(journal: Journal, record: object) -> None:
            append(journal, record)  # type: ignore[arg-type]
            file.write(encode(record).encode() + b"\n")  # type: ignore[arg-type]

        Journal.append = noted  # type: ignore[assignment, method-assign]
    with layer.under() if layer else contextlib.nullcontext():
        night.pass_night(root, say, finish=finish)
    if acknowledged and finish:
        file.write(f"{FINISHED}\n".encode())


def after_a_cut(root: Path, acknowledged: Sequence[str]) -> list[str]:
    """What is wrong with what was left, before anything is mended."""
    journal = path_of(root)
    lines = journal.read_text(errors="replace").split("\n")[:-1] if journal.exists() else []
    told = [line for line in acknowledged if line != FINISHED]
    if lines[: len(told)] != told:
        return [f"{len(told)} lines were on disk, and {len(lines)} are left"]
    return night.lacking(root) if FINISHED in acknowledged else []


def left_alive(root: Path) -> list[str]:
    """Processes of the night's that live on."""
    try:
        quiet(root, but_asleep=True)
    except Violation as violation:
        return [str(violation)]
    return []


# Cases.


class Sweep:
    """A template repository, an uninterrupted night of it, and cases to try."""

    def __init__(self) -> None:
        sandbox.chosen()
        self.folder = Path(tempfile.mkdtemp(prefix="nightshift-chaos-"))
        self.template = night.make_repo(self.folder / "person")
        self.mine = a_persons_own(self.template)
        folder, root = begin(self.template)
        run_night(root)  # here, so that what is imported and compiled on first use is so for every case
        shutil.rmtree(folder)
        folder, root = begin(self.template)
        layer = Layer(root)

        def record() -> None:
            run_night(root, layer)
            (folder / "points").write_bytes(pickle.dumps((layer.points, layer.behind)))

        code = in_a_process(record, folder / "said")
        assert code == ENDED, (folder / "said").read_text()
        self.points, behind = pickle.loads((folder / "points").read_bytes())
        assert not behind, f"not written through the layer: {behind}"
        journal = read_journal(path_of(root))
        self.reference = facts(journal)
        verdicts = [(one.description, one.status) for one in journal.experiments]
        assert verdicts == night.VERDICTS, verdicts
        shutil.rmtree(folder)

    def close(self) -> None:
        """Remove the template."""
        shutil.rmtree(self.folder)

    def cuts(self, unsynced: str = "") -> list[Case]:
        """Power cuts before every point and after the last, less those that leave the very same bytes."""
        folder, root = begin(self.template)

        def record() -> None:
            layer = Cuts(root, unsynced=unsynced, acknowledged=folder / "acknowledged")
            run_night(root, layer, layer.acknowledged)
            layer.cut()
            (folder / "cases").write_bytes(pickle.dumps(layer.cases))

        code = in_a_process(record, folder / "said")
        assert code == ENDED, (folder / "said").read_text()
        cases: list[Case] = pickle.loads((folder / "cases").read_bytes())
        shutil.rmtree(folder)
        return cases

    def sites(self) -> list[str]:
        """The lines that call fsync."""
        return sorted({point.site for point in self.points if point.kind == "fsync"})

    def try_case(self, case: Case) -> list[str]:
        """Let it happen, go on with the night, and say what does not hold."""
        folder, root = begin(self.template)
        acknowledged = folder / "acknowledged"
        acknowledged.touch()
        violations: list[str] = []
        if case.image is not None:
            lay_image(root, case.image)
            violations += after_a_cut(root, case.acknowledged)
        else:
            layer = Layer(root, case.fault, case.at)
            code = in_a_process(lambda: run_night(root, layer, acknowledged), folder / "said")
            violations += self._first_end(case, code, (folder / "said").read_text())
            violations += left_alive(root)
            violations += after_a_cut(root, acknowledged.read_text().splitlines())
        for left in range(2):  # after a power cut: a second start finds nothing to put right
            code = in_a_process(lambda: run_night(root), folder / "said")
            said = (folder / "said").read_text()
            if code != ENDED:
                violations.append(f"start {left + 2} ended with {code}: {said[-2000:]}")
                break
            if "repaired" in said and (left or said.count("repaired") > 1):
                violations.append(f"start {left + 2} says: {said}")
            if case.image is None:
                break
        if not violations:
            violations = self._at_the_end(root)
        if violations:
            return [*violations, f"kept in {root}"]
        shutil.rmtree(folder)
        return []

    def _at_the_end(self, root: Path) -> list[str]:
        """What is wrong with a night that has ended, and was finished."""
        if violations := night.lacking(root):
            return violations
        (root / HISTORY).write_text(night.EARLIER)
        (root / CHRONOLOGY).unlink()
        try:
            quiet(root)
            check_ended(root, self.reference, self.mine)
        except Violation as violation:
            return [str(violation)]
        return []

    @staticmethod
    def _first_end(case: Case, code: int, said: str) -> list[str]:
        wanted = {"kill": (-signal.SIGKILL,), "short": (ENDED,)}.get(case.fault, (ENDED, REFUSED))
        if code not in wanted:
            return [f"it ended with {code}: {said[-2000:]}"]
        if code == REFUSED and len([line for line in said.splitlines() if line.startswith("nightshift: ")]) != 1:
            return [f"not one line: {said[-2000:]}"]
        return []

    def cases(self) -> list[Case]:
        """Everything that can go wrong."""
        every = range(1, len(self.points) + 1)
        writes = [number for number, point in enumerate(self.points, 1) if point.kind == "write"]
        faults: list[tuple[Fault, Iterable[int]]] = [
            ("kill", every),
            ("short", writes),
            ("ENOSPC", every),
            ("EIO", every),
        ]
        return [*self.cuts(), *(Case(fault, at) for fault, numbers in faults for at in numbers)]


def work_through(sweep: Sweep, cases: Sequence[Case], show: Callable[[int, Result], None]) -> list[Result]:
    """Try all cases, a few at a time, each in a process of its own; those with violations."""
    waiting, running, bad = list(enumerate(cases))[::-1], dict[int, tuple[int, Path]](), []
    done = 0
    while waiting or running:
        while waiting and len(running) < WORKERS:
            number, case = waiting.pop()
            out = sweep.folder / f"result-{number}"
            if (pid := os.fork()) == 0:
                try:
                    out.write_bytes(pickle.dumps(sweep.try_case(case)))
                except BaseException:
                    out.write_bytes(pickle.dumps([traceback.format_exc()]))
                os._exit(0)
            running[pid] = number, out
        pid, _ = os.wait()
        if pid not in running:
            continue
        number, out = running.pop(pid)
        result = Result(cases[number], pickle.loads(out.read_bytes()))
        out.unlink()
        done += 1
        show(done, result)
        if result.violations:
            bad.append(result)
    return bad


def turns_red(sweep: Sweep, site: str) -> bool:
    """Whether a power cut does harm somewhere, were the fsync at `site` not there."""
    cases = sweep.cuts(unsynced=site)
    for tried, case in enumerate(reversed(cases), 1):
        if violations := sweep.try_case(case):
            shutil.rmtree(Path(violations.pop().removeprefix("kept in ")).parent)
            print(f"without {site}: red, {violations[0][:100]} ({tried} of {len(cases)} tried)", flush=True)
            return True
    print(f"without {site}: GREEN, {len(cases)} cases", flush=True)
    return False


def name_of(case: Case, points: Sequence[Point]) -> str:
    """A case in words."""
    fault = "power cut" if case.image is not None else case.fault
    if case.at > len(points):
        return f"{fault} at the end"
    point = points[case.at - 1]
    return f"{fault} at {case.at} ({point.kind} {point.what[-60:]})"


def main() -> None:
    """Try everything that can go wrong, or one case in so many."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--every", type=int, default=1, help="one case in so many")
    parser.add_argument("--fault", choices=["power", "kill", "short", "ENOSPC", "EIO"])
    parser.add_argument("--at", type=int, help="that point alone")
    parser.add_argument("--without-fsync", action="store_true", help="take out each fsync in turn, and see it turn red")
    asked = parser.parse_args()
    began, sweep = time.monotonic(), Sweep()
    kinds = Counter(point.kind.split()[0] for point in sweep.points)
    print(
        f"{len(sweep.points)} points: {', '.join(f'{count} {kind}' for kind, count in kinds.most_common())}", flush=True
    )

    def fault_of(case: Case) -> str:
        return "power" if case.image is not None else case.fault

    cases = [case for case in sweep.cases() if asked.fault in (None, fault_of(case)) and asked.at in (None, case.at)]
    chosen = cases[:: asked.every]

    def show(done: int, result: Result) -> None:
        for violation in result.violations:
            print(f"VIOLATION, {name_of(result.case, sweep.points)}: {violation}", flush=True)
        if done % 100 == 0:
            print(f"{done} of {len(chosen)} in {time.monotonic() - began:.0f} s", flush=True)

    if asked.without_fsync:
        green = [site for site in sweep.sites() if not turns_red(sweep, site)]
        sweep.close()
        sys.exit(bool(green))
    bad = work_through(sweep, chosen, show)
    sweep.close()
    counts = Counter(map(fault_of, chosen))
    told = ", ".join(f"{count} {fault}" for fault, count in counts.items())
    print(f"{len(chosen)} cases ({told}): {len(bad)} with violations, {time.monotonic() - began:.0f} s")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
