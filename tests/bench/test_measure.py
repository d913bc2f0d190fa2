"""The bench on the fast fake trainer: real processes, real limits, real scoring."""

import math
import secrets
import time
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread

import numpy as np
import psutil
import pytest

from bench.data import Dataset, SplitName
from bench.errors import Interrupted, RunFailed
from bench.job import Job, Measurement
from bench.measure import measure
from bench.profiles import Limits, Profile
from bench.shards import Stream
from tests.fakes import fake_tree

LIMITS = Limits(setup_s=8.0, train_s=20.0, stall_s=6.0, score_s=60.0, output_bytes=100_000)
PROFILE = Profile("test", "tiny", steps=4, window=64, val_tokens=5_000, baseline_bytes=20_000, limits=LIMITS)

SEARCHED: SplitName = "val"
SEALED: SplitName = "audit"


def run(data: Dataset, folder: Path, *, profile: Profile = PROFILE, seed: int = 1, **knobs: str) -> Measurement:
    job = Job(tree=fake_tree(**knobs), profile=profile, seed=seed)
    return measure(job, data, folder / "run", lambda word: None, Event())


def test_the_score_is_what_an_independent_computation_gives(small_data: Dataset, tmp_path: Path) -> None:
    found = run(small_data, tmp_path)
    logits = np.fromfile(tmp_path / "run" / "artifact.bin", dtype="<f4", count=1024).astype(np.float64)
    nats = np.log(np.exp(logits).sum()) - logits
    ids = small_data.tokens("val")[: PROFILE.val_tokens + 1].astype(int)
    targets = [int(target) for target in ids[1:] if target != small_data.document_start]
    import sentencepiece

    tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(small_data.tokenizer))
    documents = " ".join(map(str, ids[1:])).split(f" {small_data.document_start} ")
    pieces = [[int(word) for word in document.split()] for document in documents]
    size = sum(len(tokenizer.decode(document).encode()) for document in pieces)
    assert found.scored_tokens == len(targets)
    assert found.scored_bytes == size
    expected = sum(nats[target] for target in targets) / math.log(2) / found.scored_bytes
    assert found.val_bpb == pytest.approx(expected, abs=5e-7)


def test_the_split_that_the_profile_names_is_read_and_no_other(
    small_data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[SplitName] = []
    stream = Dataset.stream

    def spy(data: Dataset, split: SplitName) -> Stream:
        read.append(split)
        return stream(data, split)

    monkeypatch.setattr(Dataset, "stream", spy)
    val, audit = (run(small_data, tmp_path, profile=replace(PROFILE, split=split)) for split in (SEARCHED, SEALED))
    assert read == ["val", "audit"]
    assert val.artifact_sha256 == audit.artifact_sha256
    assert val.val_bpb != audit.val_bpb
    starts = small_data.tokens("audit")[1 : PROFILE.val_tokens + 1] == small_data.document_start
    assert audit.scored_tokens == PROFILE.val_tokens - int(starts.sum())


def test_the_same_seed_gives_the_same_number_to_the_last_digit(small_data: Dataset, tmp_path: Path) -> None:
    first, second, other = (run(small_data, tmp_path, seed=seed) for seed in (1, 1, 2))
    assert first.val_bpb == second.val_bpb
    assert first.artifact_sha256 == second.artifact_sha256
    assert first.val_bpb != other.val_bpb


def test_a_better_model_scores_lower(small_data: Dataset, tmp_path: Path) -> None:
    assert run(small_data, tmp_path, QUALITY="0.9").val_bpb < run(small_data, tmp_path).val_bpb


def test_the_window_length_does_not_change_what_is_scored(small_data: Dataset, tmp_path: Path) -> None:
    short = run(small_data, tmp_path, profile=replace(PROFILE, window=7))
    long = run(small_data, tmp_path, profile=replace(PROFILE, window=4096))
    assert (short.scored_tokens, short.scored_bytes) == (long.scored_tokens, long.scored_bytes)
    assert short.val_bpb == pytest.approx(long.val_bpb, abs=1e-9)


@pytest.mark.parametrize(
    ("behaviour", "reason", "words"),
    [
        ("silent", "hang", "phase setup"),
        ("mute", "silent", "no progress line"),
        ("hang", "hang", "phase train after step 2"),
        ("raise", "exit_code", "ValueError: the widget is bent"),
        ("abort", "signal", "SIGABRT"),
        ("no_artifact", "no_artifact", "left no artifact.bin"),
        ("symlink", "bad_artifact", "not a regular file"),
        ("nan", "not_finite", "NaN"),
        ("nan_loss", "not_finite", "step 3"),
        ("rising_loss", "diverged", "to 29.00 by step 4"),
        ("endless", "endless_output", "phase train"),
        ("endless_stderr", "endless_output", "phase train"),
        ("early", "too_slow", "2 of 4 steps"),
    ],
)
def test_each_way_to_go_wrong_has_a_name(
    small_data: Dataset, tmp_path: Path, behaviour: str, reason: str, words: str
) -> None:
    with pytest.raises(RunFailed) as failure:
        run(small_data, tmp_path, BEHAVIOUR=f'"{behaviour}"')
    assert failure.value.reason == reason
    assert words in failure.value.detail


def test_an_artifact_over_the_cap_is_refused(small_data: Dataset, tmp_path: Path) -> None:
    with pytest.raises(RunFailed) as failure:
        run(small_data, tmp_path, PADDING="30_000")
    assert failure.value.reason == "artifact_too_large"


def test_a_run_that_outstays_its_phase_is_killed(small_data: Dataset, tmp_path: Path) -> None:
    patient = replace(LIMITS, train_s=0.5, stall_s=60.0)
    with pytest.raises(RunFailed) as failure:
        run(small_data, tmp_path, profile=replace(PROFILE, limits=patient), BEHAVIOUR='"hang"')
    assert failure.value.reason == "over_time"


def test_a_run_that_goes_back_and_forth_between_phases_is_killed_all_the_same(
    small_data: Dataset, tmp_path: Path
) -> None:
    brief = replace(LIMITS, total_s=2.0, output_bytes=10**9)
    with pytest.raises(RunFailed) as failure:
        run(small_data, tmp_path, profile=replace(PROFILE, limits=brief), BEHAVIOUR='"dither"')
    assert failure.value.reason == "over_time"
    assert "in all" in failure.value.detail


def test_output_that_is_no_progress_does_no_harm(small_data: Dataset, tmp_path: Path) -> None:
    assert run(small_data, tmp_path, BEHAVIOUR='"babble"').val_bpb == run(small_data, tmp_path).val_bpb


def test_only_the_first_run_of_a_tree_warms_up(small_data: Dataset, tmp_path: Path) -> None:
    new = f"0.5{secrets.randbelow(10**9):09}"
    first, second = (run(small_data, tmp_path, QUALITY=new) for _ in range(2))
    assert "warm" in first.phases
    assert "warm" not in second.phases
    assert first.val_bpb == second.val_bpb


def test_a_run_warms_up_on_made_up_text_and_how_that_ends_is_no_matter(small_data: Dataset, tmp_path: Path) -> None:
    tree = fake_tree(QUALITY=f"0.5{secrets.randbelow(10**9):09}")
    theirs = next(small_data.train_dir.glob("*.bin")).name
    spy = f"import os\nif {theirs!r} not in os.listdir(os.environ['DATA_DIR']):\n    raise SystemExit(3)\n".encode()
    job = Job(tree | {"trainer/train.py": spy + tree["trainer/train.py"]}, PROFILE, seed=3)
    assert "warm" in measure(job, small_data, tmp_path / "run", lambda word: None, Event()).phases


def test_a_daemon_does_not_outlive_its_run(small_data: Dataset, tmp_path: Path) -> None:
    run(small_data, tmp_path, BEHAVIOUR='"daemon"')
    assert not [process for process in psutil.process_iter() if "611" in _command(process)]


def test_a_stopped_run_is_interrupted_and_not_judged(small_data: Dataset, tmp_path: Path) -> None:
    stop, ended = Event(), []

    def work() -> None:
        job = Job(tree=fake_tree(BEHAVIOUR='"hang"'), profile=PROFILE, seed=1)
        with pytest.raises(Interrupted):
            measure(job, small_data, tmp_path / "run", lambda word: None, stop)
        ended.append(True)

    thread = Thread(target=work)
    thread.start()
    time.sleep(0.5)
    stop.set()
    thread.join(timeout=10)
    assert ended


def test_the_trainer_sees_its_contract_and_nothing_of_the_caller(
    small_data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "secret")
    spy = b"import os, sys, json\nprint(json.dumps(dict(os.environ)), file=sys.stderr)\n"
    tree = fake_tree()
    job = Job(tree | {"trainer/train.py": spy + tree["trainer/train.py"]}, PROFILE, seed=3)
    measure(job, small_data, tmp_path / "run", lambda word: None, Event())
    seen = (tmp_path / "run" / "stderr.txt").read_text()
    assert "secret" not in seen
    assert str(small_data.train_dir) in seen
    assert "_val_" not in " ".join(path.name for path in small_data.train_dir.iterdir())


def _command(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []
