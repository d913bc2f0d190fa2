"""Runs of the fast fake trainer with a few lines of somebody else's in the middle of its training."""

import textwrap
from pathlib import Path
from threading import Event

import pytest

from bench import sandbox
from bench.data import Dataset
from bench.job import Job, Measurement
from bench.measure import measure
from bench.profiles import Limits, Profile
from tests.fakes import fake_tree

LIMITS = Limits(
    setup_s=10.0,
    train_s=20.0,
    stall_s=4.0,
    score_s=60.0,
    output_bytes=100_000,
    memory_bytes=1 << 30,
    disk_bytes=64 << 20,
    disk_files=500,
)
PROFILE = Profile("test", "tiny", steps=4, window=64, val_tokens=2_000, baseline_bytes=20_000, limits=LIMITS)
confined = pytest.mark.skipif(sandbox.chosen().name == "none", reason="no sandbox works here: nightshift doctor")


EARLY = """
def early():
    say(phase="train", step=4, loss=6.0, tokens=400, elapsed_s=0.0)
    return 0
"""


def tree_with(code: str) -> dict[str, bytes]:
    """The fake trainer with `code` in the middle of its training."""
    tree = fake_tree()
    source = tree["trainer/train.py"].decode()
    begin = source.index("def go_wrong(")
    end = source.index('if __name__ == "__main__"')
    body = 'def go_wrong(behaviour):\n    """Misbehave."""\n' + textwrap.indent(textwrap.dedent(code).strip(), "    ")
    return tree | {"trainer/train.py": f"{source[:begin]}{EARLY}\n\n{body}\n\n\n{source[end:]}".encode()}


def run(data: Dataset, folder: Path, tree: dict[str, bytes], profile: Profile = PROFILE) -> Measurement:
    return measure(Job(tree=tree, profile=profile, seed=1), data, folder / "run", lambda word: None, Event())
