"""How many slots a night has where nobody says: measured once on a machine, and not at all where it may not be."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from agent import slots
from agent.cli_night import run_night
from agent.slots import Best, best_slots, here
from bench.data import Dataset
from bench.machine import Fingerprint
from tests.fakes import fake_tree

CPU = Fingerprint(processor="any", blas="none", threads=1, mlx="0", device="cpu")
GPU = CPU.model_copy(update={"device": "gpu"})


def test_the_most_runs_an_hour_win_and_are_measured_once(
    small_data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    asked, said = list[int](), list[str]()

    def hourly(count: int, *_: object) -> float:
        asked.append(count)
        return {1: 100.0, 2: 190.0, 4: 240.0, 6: 210.0}[count]

    monkeypatch.setattr(slots, "_runs_an_hour", hourly)
    path = tmp_path / "slots.json"
    for _ in range(2):
        assert best_slots(path, CPU, fake_tree(), small_data, said.append, short=False) == 4
    assert asked == [1, 1, 2, 4, 6], "once more in front, for the kernels"
    assert "100 an hour with 1, 190 an hour with 2, 240 an hour with 4, 210 an hour with 6: 4 slots" in said[1]
    assert best_slots(path, CPU, fake_tree(), small_data, said.append, short=True) == 4, "a short night knows it too"


def test_a_short_night_does_not_wait_for_it_and_a_gpu_has_one(small_data: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "slots.json"
    few = min(os.cpu_count() or 1, 4)
    assert best_slots(path, CPU, fake_tree(), small_data, pytest.fail, short=True) == few
    assert best_slots(path, GPU, fake_tree(), small_data, pytest.fail, short=False) == 1
    assert not path.exists()


def test_real_runs_are_timed_and_another_machine_is_told_apart(small_data: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "slots.json"
    other = Best(machine="another", slots=9, hourly={})
    path.write_text(f"{other.model_dump_json()}\n")
    found = best_slots(path, CPU, fake_tree(), small_data, lambda words: None, short=False)
    lines = [Best.model_validate_json(line) for line in path.read_text().splitlines()]
    assert lines[0] == other
    assert (lines[1].machine, lines[1].slots) == (here(CPU), found)
    assert all(each > 0 for each in lines[1].hourly.values())


@pytest.mark.parametrize("word", ["0", "65", "many", "1.5"])
def test_what_is_no_number_of_slots_is_refused(word: str) -> None:
    assert "a number from 1 to 64, or auto" in CliRunner().invoke(run_night, ["--slots", word]).output
