"""A slice of `python -m tests.chaos.sweep`: in a process of its own, as it forks for every case."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_night_that_is_cut_starved_or_disturbed_at_some_of_its_points_comes_to_the_same() -> None:
    command = [sys.executable, "-m", "tests.chaos.sweep", "--every", "250"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ": 0 with violations" in done.stdout
