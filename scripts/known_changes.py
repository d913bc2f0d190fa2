"""Changes whose worth is known beforehand, end to end through real nights: what is kept of them.

    python -m scripts.known_changes null     six changes that alter nothing but the random stream: none is to be kept
    python -m scripts.known_changes faults   what each of ten faults costs at confirm, under two seeds
    python -m scripts.known_changes good     those faults put into the champion, one a night, and each fix proposed

Every night runs in a clone under build/, with the full profiles, the committed queue replaced by the change, and all
that a person's night goes through: gate, sandbox, smoke, breadth, confirm, regained. Cut off and started again, it goes
on where it was. The share that is kept is printed with its 95 % interval (Clopper and Pearson, Biometrika 26(4), 1934).
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from agent import git, proposal
from agent.ideas import slug_of
from agent.knobs import read_knobs
from agent.proposal import Proposal
from agent.proxy import share
from agent.tree import unified

ROOT = Path(__file__).parents[1]
CLONE = ROOT / "build" / "known-changes"
SIZE = "tiny"


class Edit(NamedTuple):
    """A passage of a file written otherwise."""

    path: str
    old: str
    new: str


INITIAL, ORDER = "trainer/model.py", "trainer/data.py"
KEY, GENERATOR = "(seed << 32) | zlib.crc32(name.encode())", "rng = np.random.default_rng(seed)"
NULLS = {
    "Other first values by the name reversed": Edit(INITIAL, KEY, KEY.replace("encode()", "encode()[::-1]")),
    "Other first values by the next seed": Edit(INITIAL, KEY, KEY.replace("(seed <<", "((seed + 1) <<")),
    "Other first values by a split key": Edit(
        INITIAL, f"mx.random.key({KEY})", f"mx.random.split(mx.random.key({KEY}))[0]"
    ),
    "Another order by a spawned seed": Edit(ORDER, GENERATOR, GENERATOR.replace("(seed)", "([seed, 1])")),
    "Another order by a number drawn in vain": Edit(ORDER, GENERATOR, f"{GENERATOR}\n    rng.random()"),
    "Another order by another generator": Edit(
        ORDER, GENERATOR, "rng = np.random.Generator(np.random.PCG64DXSM(seed))"
    ),
}
FAULTS = (
    ("MATRIX_LR", "0.015"),
    ("TIED_EMBED_LR", "0.01"),
    ("TIED_EMBED_LR", "0.003"),
    ("MUON_BACKEND_STEPS", "2"),
    ("LOGIT_SOFTCAP", "6.0"),
    ("QK_GAIN_INIT", "0.1"),
    ("INT8_SCALE_FLOOR", "0.06"),
    ("INT8_SCALE_FLOOR", "0.1"),
    ("EMA_DECAY", "0.96"),
    ("EMA_DECAY", "0.98"),
)
"""What a knob is set to in the champion; the fix is the value as shipped. Each costs two of a run's standard deviations
or more at confirm: a champion that looks worse on paper need not be, and then there is nothing to detect."""
SEEDS = (901, 902)
"""Of the runs that show what a fault costs; a night draws its own."""


def null_nights() -> list[dict[str, Any]]:
    """One night over all changes that alter the random stream alone."""
    repo = clone()
    tree = repo.trainer("HEAD")
    ideas: list[str] = []
    for title, (path, old, new) in NULLS.items():
        text = tree[path].decode()
        assert text.count(old) == 1, f"{path} has changed: mend NULLS"
        diff = unified(tree, tree | {path: text.replace(old, new).encode()})
        ideas.append(f"## {title}\n\nIt alters the random stream and nothing else.\n\n```diff\n{diff}```\n")
    return night(repo, "null", "\n".join(ideas), repo.commit_of("HEAD"))


def good_nights() -> list[dict[str, Any]]:
    """One night a fault."""
    repo = clone()
    base, found = repo.commit_of("HEAD"), []
    shipped = repo.trainer(base)
    for knob, value in FAULTS:
        fault = Proposal(f"{knob} {value}", "a fault", source="queue", lane="known", knobs=((knob, value),))
        worse = proposal.apply(fault, shipped, SIZE)
        fixed = repr(read_knobs(shipped[proposal.SETTINGS]).in_force(knob, SIZE))
        champion = repo.write_commit(base, worse, f"A fault: {knob} = {value}\n")
        idea = f"## {knob} as shipped\n\nTake the fault out.\n\n```knobs\n{knob} = {fixed}\n```\n"
        found += night(repo, f"good-{slug_of(f'{knob} {value}')}", idea, champion)
    return found


def measure_faults() -> None:
    """Print what each fault costs: faults that cost nothing would make the detection rate mean nothing."""
    repo = clone()
    shipped = [confirm(repo, seed) for seed in SEEDS]
    print("val_bpb at confirm with the fault less that without it, in thousandths of a bit, seed by seed")
    for knob, value in FAULTS:
        harm = [confirm(repo, seed, f"{knob}={value}") - whole for seed, whole in zip(SEEDS, shipped, strict=True)]
        print(f"{knob + ' = ' + value:<32}" + "".join(f"{1000 * one:+10.1f}" for one in harm), flush=True)


def confirm(repo: git.Repo, seed: int, setting: str = "") -> float:
    """val_bpb of the trainer as shipped under one seed, with one knob set."""
    words = ("bench", "--json", "--profile", "confirm", "--seed", str(seed), "--commit", "HEAD")
    said = subprocess.run(
        [sys.executable, "-m", "agent.cli", *words, *(["--set", setting] if setting else [])],
        cwd=repo.root,
        check=True,
        stdout=subprocess.PIPE,
    ).stdout
    return float(json.loads(said)["val_bpb"])


def clone() -> git.Repo:
    """A clone of this repository's HEAD with its data, made once."""
    if not CLONE.exists():
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(CLONE)], check=True)
        (CLONE / "data").symlink_to(ROOT / "data")
    return git.here(CLONE)


def night(repo: git.Repo, name: str, ideas: str, start: str) -> list[dict[str, Any]]:
    """Run a night over `ideas` from the commit `start`, or go on with it; its experiments, as `log --json` tells."""
    (repo.root / "kb" / "ideas.md").write_text(ideas)
    words = ("run", "--name", name, "--researcher", "queue", "--from", start)
    subprocess.run([sys.executable, "-m", "agent.cli", *words], cwd=repo.root, check=True)
    said = subprocess.run(
        [sys.executable, "-m", "agent.cli", "log", "--name", name, "--json"],
        cwd=repo.root,
        check=True,
        capture_output=True,
    ).stdout
    return [one for one in json.loads(said)["experiments"] if one["source"] != "baseline"]


def main(kind: str = "") -> None:
    """Run the nights of that kind and print what came of each change."""
    if kind == "faults":
        measure_faults()
        return
    if kind not in ("null", "good"):
        sys.exit("say which: python -m scripts.known_changes null, faults, or good")
    found = null_nights() if kind == "null" else good_nights()
    print("differences in thousandths of a bit")
    for one in found:
        weighed = one["regained"] or one["confirm"] or one["breadth"]
        told = f"{1000 * weighed['difference']:+8.2f} at {weighed['profile']}" if weighed else "not measured"
        print(f"{one['status']:>14}  {one['description']:<44}{told:<28}{one['reason']}")
    kept = sum(one["status"] == "keep" for one in found)
    total = share(kept, len(found))
    print(f"{kept} of {len(found)} kept (95 % interval {total.low:.0%} to {total.high:.0%})")


if __name__ == "__main__":
    main(*sys.argv[1:])
