"""The shipped trainer on real text through the real bench."""

from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest

from agent.cli_bench import working_tree
from bench.data import Dataset
from bench.job import Job, Measurement
from bench.measure import measure
from bench.profiles import PROFILES, profile
from tests.independent import bits_per_byte

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def measured(embedded_data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Measurement]:
    folder = tmp_path_factory.mktemp("run") / "run"
    job = Job(working_tree(ROOT), profile("short-smoke"), seed=1)
    return folder, measure(job, embedded_data, folder, lambda word: None, Event())


def test_an_independent_computation_from_the_artifact_agrees_to_six_digits(
    embedded_data: Dataset, measured: tuple[Path, Measurement]
) -> None:
    folder, found = measured
    budget = profile("short-smoke")
    again = bits_per_byte(folder / "artifact.bin", embedded_data, window=budget.window, targets=budget.val_tokens)
    assert found.val_bpb == pytest.approx(again, abs=5e-7)


def test_three_steps_already_learn_something(measured: tuple[Path, Measurement]) -> None:
    uniform_bits_a_token = 10.0
    _, found = measured
    assert found.val_bpb < 0.95 * uniform_bits_a_token * found.scored_tokens / found.scored_bytes


def test_the_shipped_trainer_fits_its_cap_with_the_slack_that_is_meant(measured: tuple[Path, Measurement]) -> None:
    _, found = measured
    assert found.total_bytes == pytest.approx(profile("short-smoke").baseline_bytes, rel=0.01)


def test_every_profile_of_a_night_exists_in_all_lengths() -> None:
    assert set(PROFILES) == {
        f"{length}{stage}"
        for length in ("", "short-", "x4-")
        for stage in ("smoke", "breadth", "confirm", "audit", "transfer")
    }


@pytest.mark.parametrize("length", ["", "short-", "x4-"])
def test_an_audit_is_confirm_on_the_sealed_split_which_no_other_profile_reads(length: str) -> None:
    assert profile(f"{length}audit") == replace(profile(f"{length}confirm"), name=f"{length}audit", split="audit")
    assert profile(f"{length}audit").check_prefixes
    sealed = {name for name, one in PROFILES.items() if one.split != "val"}
    assert sealed == {name for name in PROFILES if name.endswith("audit")}


def test_every_phase_was_timed_and_the_rest_is_small_beside_it(measured: tuple[Path, Measurement]) -> None:
    _, found = measured
    assert {"twins", "setup", "compile", "train", "export", "load", "score"} <= found.phases.keys()
    assert 0 < found.overhead_s < found.wall_s
