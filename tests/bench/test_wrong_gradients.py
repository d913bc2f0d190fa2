"""The comparison of hand-written gradients with plain ones: the shipped trainer, edited, through the real bench."""

import json
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest

from agent.cli_bench import working_tree
from agent.twins import MODEL, without_stale
from bench import files, twins
from bench.data import Dataset
from bench.errors import RunFailed
from bench.job import Job, Measurement
from bench.measure import measure
from bench.profiles import PROFILES, Limits, profile
from tests.fakes import fake_tree

FAST = twins.TWINS
SHIPPED = working_tree(Path(__file__).parents[2])
BUDGET = replace(profile("short-smoke"), steps=1, val_tokens=256)


def edited(path: str, old: str, new: str) -> dict[str, bytes]:
    """The shipped trainer with one passage written otherwise."""
    assert SHIPPED[path].count(old.encode()) == 1
    return SHIPPED | {path: SHIPPED[path].replace(old.encode(), new.encode())}


def run(tree: dict[str, bytes], data: Dataset, folder: Path, *, limits: Limits = BUDGET.limits) -> Measurement:
    job = Job(tree, replace(BUDGET, limits=limits), seed=1, parent=files.tree_key(SHIPPED))
    return measure(job, data, folder / "run", lambda word: None, Event())


def refusal(tree: dict[str, bytes], data: Dataset, folder: Path) -> RunFailed:
    with pytest.raises(RunFailed) as failure:
        run(tree, data, folder)
    return failure.value


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("grad_v.reshape(v.shape), grad_gain", "1.01 * grad_v.reshape(v.shape), grad_gain", "attention and its twin"),
        ("(LOG2_E * mx.where(gain == 0, 1, gain))", "LOG2_E", "q_gain differ by"),
        (" - push * embedding[index]", "", "cross_entropy and its twin"),
        ("pull = weight * (1 - bent * bent)", "pull = weight", "tok_emb.weight differ by"),
        ("share = 1 / (count * total)", "share = 1 / (count * total - count * total)", "not both finite"),
    ],
)
def test_a_twin_whose_gradient_alone_is_wrong_is_refused_before_any_training(
    small_data: Dataset, tmp_path: Path, old: str, new: str, words: str
) -> None:
    failure = refusal(edited(FAST, old, new), small_data, tmp_path)
    assert failure.reason == "wrong_gradient"
    assert words in failure.detail
    assert not (tmp_path / "run" / "progress.jsonl").exists()


def test_a_twin_written_otherwise_that_computes_the_same_passes(small_data: Dataset, tmp_path: Path) -> None:
    found = run(edited(FAST, "BLOCKS = 4", "BLOCKS = 8"), small_data, tmp_path)
    assert found.phases["twins"].cpu_s > 0


def test_a_plain_form_that_changed_alone_is_refused_with_its_twin_and_passes_without(
    small_data: Dataset, tmp_path: Path
) -> None:
    changed = edited(MODEL, "return cap * mx.tanh(x / cap)", "return 0.9 * cap * mx.tanh(x / cap)")
    assert "cross_entropy and its twin: the losses differ" in refusal(changed, small_data, tmp_path).detail
    assert run(without_stale(SHIPPED, changed), small_data, tmp_path).phases["twins"].cpu_s > 0


def test_a_plain_model_that_runs_twins_cannot_be_compared_with(small_data: Dataset, tmp_path: Path) -> None:
    failure = refusal(edited(MODEL, "usable = not config.plain and", "usable ="), small_data, tmp_path)
    assert failure.reason == "exit_code"
    assert "while its twins were compared" in failure.detail
    assert "PLAIN = 1 must run no twin, and ran attention, cross_entropy" in failure.detail


def test_a_comparison_that_hangs_is_killed_like_any_run(small_data: Dataset, tmp_path: Path) -> None:
    hanging = SHIPPED | {FAST: SHIPPED[FAST] + b"import time\ntime.sleep(600)\n"}
    with pytest.raises(RunFailed, match="while its twins were compared") as failure:
        run(hanging, small_data, tmp_path, limits=Limits(setup_s=1.0))
    assert failure.value.reason == "hang"


def test_a_trainer_without_twins_is_measured_as_it_is(small_data: Dataset, tmp_path: Path) -> None:
    for tree in (fake_tree(), fake_tree() | {FAST: b"TWINS = {}\n"}, fake_tree() | {FAST: b"def fast(): ...\n"}):
        assert ("twins" in run(tree, small_data, tmp_path).phases) == (FAST in tree)


def test_smoke_compares_and_the_longer_profiles_do_not() -> None:
    assert {name for name, one in PROFILES.items() if one.check_twins} == {"smoke", "short-smoke", "x4-smoke"}


def said(**changes: object) -> bytes:
    twin = {"name": "attention", "ran": True, "loss": 1e-7, "gradient": 1e-5, "tensor": "q_gain", **changes}
    return json.dumps({"phase": "setup", "twins": [twin]}).encode() + b"\n"


def test_what_rounding_explains_passes_and_what_did_not_run_is_no_matter() -> None:
    twins.judge(said())
    twins.judge(said(gradient=twins.TOLERANCE))
    twins.judge(said(gradient=0.5, ran=False))
    twins.judge(b'{"phase": "setup", "twins": []}\n')


@pytest.mark.parametrize("relative", [2 * twins.TOLERANCE, float("inf"), float("nan")])
@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_more_than_that_is_refused(what: str, relative: float) -> None:
    with pytest.raises(RunFailed, match="wrong_gradient"):
        twins.judge(said(**{what: relative}))


@pytest.mark.parametrize("noise", [b"", b"[1]\n", b'{"twins": 3}\n', b"\xff\n"])
def test_a_trainer_s_own_words_are_passed_over_and_silence_is_none(noise: bytes) -> None:
    twins.judge(said() + noise)
    with pytest.raises(RunFailed, match="silent"):
        twins.judge(noise)
