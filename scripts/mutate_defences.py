"""Take out one defence after another, and see whether the corpus of cheats notices.

    python -m scripts.mutate_defences [DEFENCE…]     all that the table has, or those

For each line of the table the project is copied, one passage of it is written otherwise, and the cheats that name the
defence go through the bench of that copy, one after another until one is not refused as it should be: it turns red. The
honest edits that name it must pass in the copy as they do here, with the same score to the last bit: that is what the
defence costs those who do not cheat. One line a mutation; the exit code is 1 where no cheat turned red or an honest
edit came out otherwise.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from bench.corpus import prepare
from tests.cheats import corpus
from tests.conftest import write_text_folder

ROOT = Path(__file__).parents[1]
AT_A_TIME = 2
COPIED = ("agent", "bench", "scripts", "tests", "trainer")


class Mutation(NamedTuple):
    """One passage of a file written so that a defence is gone."""

    defence: str
    """As the corpus names it."""
    path: str
    old: str
    """A passage that the file holds once."""
    new: str


MUTATIONS = (
    Mutation("edits.path", "agent/edits.py", " and within(path, scope)", ""),
    Mutation("edits.path", "agent/edits.py", ' and ".git" not in path.lower().split("/")', ""),
    Mutation(
        "edits.diff", "agent/edits.py", '("diff ", "index ", "new file mode ")', '("diff ", "index ", "old ", "new ")'
    ),
    Mutation("edits.diff", "agent/edits.py", 'raise ProposalError("not_text", f"{edit.path}: an', "return 0  # an"),
    Mutation("twins.compare", "bench/twins.py", "if twin.ran and not relative <= TOLERANCE", "if relative == 1e9"),
    Mutation("supervise.words", "bench/supervise.py", "if not self.spoke:", "if self.account is None:"),
    Mutation(
        "supervise.output", "bench/supervise.py", "if self.taken > self.limits.output_bytes:", "if self.taken < 0:"
    ),
    Mutation("supervise.finite", "bench/supervise.py", "if not math.isfinite(word.loss):", "if word.step < 0:"),
    Mutation(
        "supervise.hang", "bench/supervise.py", "stalled = silent > self.limits.stall_s and", "stalled = silent < 0 and"
    ),
    Mutation("supervise.exit", "bench/supervise.py", "if code is None or code != 0:", "if code is None:"),
    Mutation("measure.steps", "bench/measure.py", 'raise RunFailed("too_slow",', 'print("too_slow",'),
    Mutation(
        "measure.intake",
        "bench/files.py",
        "stat.S_ISREG(found.st_mode) and found.st_nlink == 1",
        "stat.S_ISREG(found.st_mode)",
    ),
    Mutation("measure.intake", "bench/files.py", "os.O_RDONLY | os.O_NOFOLLOW", "os.O_RDONLY"),
    Mutation("measure.intake", "bench/measure.py", "if total > cap:", "if total < 0:"),
    Mutation("gate.files", "bench/gate.py", "if not path.endswith(KINDS):", "if not path:"),
    Mutation("gate.files", "bench/gate.py", 'if b"\\0" in content or not _is_text(content):', "if content is None:"),
    Mutation("gate.size", "bench/gate.py", "if len(added) > MOST_LINES:", "if len(added) < 0:"),
    Mutation("gate.literals", "bench/gate.py", "if size > LONGEST_LITERAL:", "if size < 0:"),
    Mutation("gate.imports", "bench/reach.py", "if parts[0] not in MODULES or", "if not parts or"),
    Mutation("gate.calls", "bench/reach.py", "if name in BUILTINS and name not in names:", 'if name == "":'),
    Mutation(
        "gate.calls",
        "bench/reach.py",
        "case ast.Attribute(attr=name) if name in HIDDEN:",
        'case ast.Attribute(attr=""):',
    ),
    Mutation(
        "gate.seeds",
        "bench/seeds.py",
        "if given and not any(scope.from_seed(one) for one in given):",
        "if given is None:",
    ),
    Mutation("lab.two-seeds", "agent/lab.py", "if other != run.seed:", "if other < 0:"),
    Mutation("cost.ratio", "agent/cost.py", "if last is None or last <= most:", "if last is None or last > 0:"),
    Mutation("judge.shape", "bench/line.py", "if shape != wanted:", "if not wanted:"),
    Mutation("judge.finite", "bench/line.py", "if not np.isfinite(logits).all():", "if logits.size == 0:"),
    Mutation("judge.statelessness", "bench/probes.py", 'whole.check("stateful",', 'print("stateful",'),
    Mutation("judge.causality", "bench/probes.py", 'cut.check("non_causal",', 'print("non_causal",'),
    Mutation("judge.audit", "bench/measure.py", "if profile.check_prefixes:", "if profile.steps < 0:"),
    Mutation(
        "sandbox.view",
        "bench/measure.py",
        "[tree, shards, *machine.tools()], [out, home]",
        "[shards.parent, *machine.tools()], [folder]",
    ),
)


def main(*wanted: str) -> int:
    """Try the mutations of the table, or those of the defences named; print what became of each."""
    defences = {one.defence for one in MUTATIONS}
    if unknown := set(wanted) - defences:
        print(f"no mutation of {min(unknown)}; there are {', '.join(sorted(defences))}", file=sys.stderr)
        return 2
    failed = False
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(AT_A_TIME) as pool:
        text, data = Path(scratch) / "text", Path(scratch) / "data"
        prepare(str(write_text_folder(text)), data, lambda stage, share: None)
        as_it_is = copied(Path(scratch) / "as-it-is")

        def tried(mutation: Mutation) -> tuple[str, str]:
            changed = mutated(mutation, copied(Path(tempfile.mkdtemp(dir=scratch)) / "mutated"))
            return noticed(mutation.defence, changed, as_it_is, data)

        chosen = [one for one in MUTATIONS if not wanted or one.defence in wanted]
        for mutation, (red, complaint) in zip(chosen, pool.map(tried, chosen), strict=True):
            failed |= bool(complaint)
            print(f"{mutation.defence:<20} {complaint or red}", flush=True)
    for defence in sorted({entry.defence for entry in corpus.cheats()} - defences):
        print(f"{defence:<20} has no mutation yet")
    return int(failed)


def copied(target: Path) -> Path:
    """A copy of the project's code in `target`."""
    for folder in COPIED:
        shutil.copytree(ROOT / folder, target / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return target


def mutated(mutation: Mutation, root: Path) -> Path:
    """`root` with the mutation made. Raises ValueError where its passage is not there exactly once."""
    file = root / mutation.path
    source = file.read_text()
    if (count := source.count(mutation.old)) != 1:
        raise ValueError(f"{mutation.path} holds {mutation.old!r} {count} times: mend the table")
    file.write_text(source.replace(mutation.old, mutation.new))
    return root


def noticed(defence: str, changed: Path, as_it_is: Path, data: Path) -> tuple[str, str]:
    """What turned red, in words, and what is wrong, if anything is."""
    cheats = [entry for entry in corpus.cheats() if entry.defence == defence]
    honest = [entry.name for entry in corpus.passing() if entry.defence == defence]
    expected = {entry.name: entry.reason for entry in cheats}
    for name, found in outcomes(changed, data, list(expected)):
        if found["reason"] != expected[name]:
            red = f"{name}: {found['reason'] or 'passes'} in place of {expected[name]}"
            break
    else:
        return "", f"NOT NOTICED by any of {len(cheats)} cheats"
    before, after = (dict(outcomes(root, data, honest)) for root in (as_it_is, changed))
    if differing := [name for name in honest if before[name] != after[name] or before[name]["reason"]]:
        return red, f"{differing[0]} comes out otherwise: {before[differing[0]]} and {after[differing[0]]}"
    return f"{red}; {len(honest)} honest the same", ""


def outcomes(root: Path, data: Path, names: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Try entries of the corpus in the copy at `root`, one process each; what that prints comes back by name."""
    for name in names:
        command = [sys.executable, "-P", "-m", "tests.cheats.trial", str(data), name]
        environment = os.environ | {"PYTHONPATH": str(root)}
        done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            # A broken bench is no refusal: a run that ends so is red all the same.
            yield name, {"name": name, "reason": "no outcome", "detail": done.stderr[-300:], "val_bpb": None}
        else:
            yield name, json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
