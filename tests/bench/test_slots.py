"""Where runs happen: folders that no two different runs share."""

from dataclasses import replace
from pathlib import Path

from bench.data import Dataset
from bench.job import Job
from bench.profiles import profile
from bench.slots import Slots


def test_runs_that_differ_in_anything_have_folders_of_their_own(small_data: Dataset, tmp_path: Path) -> None:
    job = Job(tree={"trainer/train.py": b""}, profile=profile("smoke"), seed=1)
    others = [
        replace(job, tree={"trainer/train.py": b"#"}),
        replace(job, profile=profile("breadth")),
        replace(job, seed=2),
        replace(job, knobs={"BETA2": "0.99"}),
        replace(job, knobs={"BETA2": "0.98"}),
    ]
    with Slots(1, small_data, tmp_path, lambda job, word: None) as slots:
        assert len({slots.folder_of(one) for one in [job, *others]}) == 6
        assert slots.folder_of(job) == slots.folder_of(replace(job, label="another name"))
