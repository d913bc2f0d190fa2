"""What slots are worth on this machine: the same short night with one and with several, and whether scores agree.

`python -m scripts.measure_slots [--slots 2] [--data data]` passes the night twice, with one seed, the shipped trainer,
the `short-` profiles and the same queue of knob changes; each time in a clone of its own and with no kernels compiled.
It prints the experiments decided an hour after the baseline, their ratio, and how many runs that both measured agree to
the last bit.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from agent.journal import Journal, read_journal
from bench import machine
from tests.fakes import git

ROOT = Path(__file__).parents[1]
SEED = 20_261_128
CHANGES = (
    ("BETA2", 0.99),
    ("MATRIX_LR", 0.03),
    ("TIED_EMBED_LR", 0.06),
    ("SCALAR_LR", 0.03),
    ("LOGIT_SOFTCAP", 20.0),
    ("QK_GAIN_INIT", 1.2),
    ("MUON_MOMENTUM", 0.9),
    ("BETA1", 0.8),
)


def night(folder: Path, data: Path, slots: int, changes: int) -> Journal:
    """The journal of that night."""
    repo, name = folder / f"slots-{slots}", "slots"
    git(folder, "clone", "--quiet", str(ROOT), str(repo))
    queue = "\n".join(f"## {knob} {value}\n\n```knobs\n{knob} = {value}\n```\n" for knob, value in CHANGES[:changes])
    (repo / "kb" / "ideas.md").write_text(queue)
    (repo / "data").symlink_to(data.resolve())
    words = ["run", "--short", "--researcher", "queue", "--name", name, "--slots", str(slots)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(folder / f"cache-{slots}")}
    command = [sys.executable, "-m", "tests.chaos.seeded", str(SEED), *words]
    subprocess.run(command, cwd=repo, env=environment, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=True)
    return read_journal(repo / ".git" / "nightshift" / name / "autoresearch.jsonl")


def main() -> None:
    """Print one line a night, and what they show together."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--changes", type=int, default=len(CHANGES))
    parser.add_argument("--data", type=Path, default=ROOT / "data")
    asked = parser.parse_args()
    if not asked.data.is_dir():
        sys.exit(f"there is no data in {asked.data}: type `make data`")
    here = machine.fingerprint()
    print(f"python {' '.join(sys.argv)}")
    print(f"{here.processor}, {os.cpu_count()} cores, {platform.platform()}, Python {platform.python_version()}")
    print(f"MLX {here.mlx} on {here.device}, {here.blas}, nightshift {version('nightshift')}", flush=True)
    hourly, found = {}, []
    with tempfile.TemporaryDirectory(prefix="nightshift-slots-") as folder:
        for slots in (1, asked.slots):
            before = os.getloadavg()[0]
            journal = night(Path(folder), asked.data, slots, asked.changes)
            first, *tried = journal.experiments
            hourly[slots] = len(tried) / ((tried[-1].timestamp - first.timestamp) / 3.6e6)
            told = ", ".join(f"{one.id[-4:]} {one.reason}" for one in tried)
            print(
                f"{slots} slots: {hourly[slots]:.1f} experiments an hour, load {before:.1f} before ({told})", flush=True
            )
            found.append({key: run.measurement.val_bpb for key, run in journal.measured.items() if run.measurement})
    one, several = found
    both = one.keys() & several.keys()
    same = sum(one[key] == several[key] for key in both)
    print(f"{asked.slots} slots decide {hourly[asked.slots] / hourly[1]:.2f} times the experiments of one")
    print(f"{same} of {len(both)} runs that both measured agree to the last bit; {len(one)} and {len(several)} in all")
    sys.exit(same != len(both))


if __name__ == "__main__":
    main()
