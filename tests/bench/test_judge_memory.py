"""The judge streams: what it needs in memory has nothing to do with how much there is to score."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from bench.shards import write_shard
from tests.fakes import judge

ROOT = Path(__file__).parents[2]
MEGABYTE = 1 << 20


def peak(folder: Path, tokens: int) -> dict[str, int]:
    folder.mkdir()
    ids = np.random.default_rng(1).integers(2, judge.VOCABULARY, size=tokens).astype(np.uint16)
    write_shard(folder / "val.bin", ids)
    command = [sys.executable, "-m", "tests.fakes.judge", str(folder / "val.bin"), str(tokens - 1), str(folder)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    said: dict[str, int] = json.loads(done.stdout)
    assert said["tokens"] == tokens - 1
    return said


def test_ten_times_the_text_takes_no_more_memory(tmp_path: Path) -> None:
    few, many = peak(tmp_path / "few", 400_000), peak(tmp_path / "many", 4_000_000)
    assert many["traced"] < few["traced"] + MEGABYTE / 4
    assert many["resident"] < few["resident"] + 2 * MEGABYTE
