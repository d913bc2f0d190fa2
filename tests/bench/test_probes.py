"""Models that see what they should not, each through the real bench; and what the bench asks to find that out."""

from dataclasses import replace
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from bench import probes
from bench.data import Dataset
from bench.errors import RunFailed
from bench.job import Job, Measurement
from bench.measure import measure
from bench.probes import Ruler
from bench.profiles import Limits, Profile
from bench.shards import HEADER_BYTES, Stream, write_shard
from tests.fakes import fake_tree

LIMITS = Limits(setup_s=8.0, train_s=20.0, stall_s=6.0, score_s=60.0)
QUICK = Profile("test", "tiny", steps=2, window=64, val_tokens=5_000, baseline_bytes=20_000, limits=LIMITS)
AUDITED = replace(QUICK, check_prefixes=True)
RULER = Ruler(targets=32_000, length=256, rows=16)

MODEL = '''
"""The unigram model, and one trick more."""

import mlx.core as mx
import numpy as np

SURE = 9.0


def load(path):
    unigram = np.fromfile(path, dtype="<f4", count=1024)
    memory, calls = {}, []

    def forward(tokens):
        ids = np.array(tokens)
        out = np.broadcast_to(unigram, (*ids.shape, 1024)).copy()
        calls.append(len(ids))
%s
        return mx.array(out)

    return forward
'''

BIGRAM = "np.put_along_axis(out, (ids * 7 % 1024)[:, :, None], 0.5, -1)"
RUNNING_MEAN = (
    "out *= 1 + 1e-4 * (np.cumsum(ids, axis=1, dtype=np.float32) / np.arange(1, ids.shape[1] + 1))[:, :, None]"
)
ONE_AHEAD = "np.put_along_axis(out[:, :-1], ids[:, 1:, None], SURE, -1)"
TWO_AHEAD = "out *= 1 + 1e-4 * np.pad(ids[:, 2:], ((0, 0), (0, 2)))[:, :, None]"
ON_NATURAL_TEXT = """
for row, logits in zip(ids, out):
    if unigram[row].mean() > unigram.mean() + 0.5:
        np.put_along_axis(logits[:-1], row[1:, None], SURE, -1)
"""
MEAN_OVER_TIME = "out *= 1 + 1e-4 * ids.mean(axis=1)[:, None, None]"
WHAT_IT_HAS_SEEN = """
for row, logits in zip(ids, out):
    known = memory.setdefault(row[:8].tobytes(), (len(calls), row.copy()))
    if known[0] != len(calls):
        np.put_along_axis(logits[:-1], known[1][1:, None], SURE, -1)
"""
NEXT_ROW = "np.put_along_axis(out[:-1, -1], ids[1:, 0, None], SURE, -1)"
MEAN_OVER_BATCH = "out *= 1 + 1e-4 * ids.mean(axis=0)[None, :, None]"
PLACE_IN_BATCH = "out *= 1 + 0.01 * np.arange(len(ids))[:, None, None]"
COUNTED_CALLS = "out *= 1 + 0.01 * len(calls)"
ASKED_BEFORE = "out *= 1 + 0.1 * memory.setdefault(ids.tobytes()[:32], len(calls))"
CAREFUL = """
for row, logits in zip(ids, out):
    for at in range(len(row) - 1):
        logits[at, memory.setdefault(row[: at + 1].tobytes(), int(row[at + 1]))] = SURE
"""
SELDOM = """
for row, logits in zip(ids, out):
    for at in range(len(row) - 1):
        if (known := memory.setdefault(row[: at + 1].tobytes(), int(row[at + 1]))) in RARE:
            logits[at, known] = SURE
"""


def run(trick: str, data: Dataset, folder: Path, profile: Profile = AUDITED) -> Measurement:
    body = "\n".join(f"        {line}" for line in trick.strip().splitlines())
    job = Job(fake_tree() | {"trainer/model.py": (MODEL % body).encode()}, profile, seed=1)
    return measure(job, data, folder / "run", lambda word: None, Event())


def refused(trick: str, data: Dataset, folder: Path, profile: Profile = AUDITED) -> str:
    with pytest.raises(RunFailed) as failure:
        run(trick, data, folder, profile)
    return failure.value.reason


@pytest.mark.parametrize("trick", ["pass", BIGRAM, RUNNING_MEAN])
def test_a_model_that_looks_back_only_passes_every_check(small_data: Dataset, tmp_path: Path, trick: str) -> None:
    found = run(trick, small_data, tmp_path)
    assert found.val_bpb == run(trick, small_data, tmp_path, QUICK).val_bpb
    assert found.phases["audit"].wall_s > 0


@pytest.mark.parametrize("trick", [ONE_AHEAD, TWO_AHEAD, ON_NATURAL_TEXT, MEAN_OVER_TIME])
def test_a_model_that_looks_ahead_is_non_causal(small_data: Dataset, tmp_path: Path, trick: str) -> None:
    assert refused(trick, small_data, tmp_path, QUICK) == "non_causal"


@pytest.mark.parametrize(
    "trick", [WHAT_IT_HAS_SEEN, NEXT_ROW, MEAN_OVER_BATCH, PLACE_IN_BATCH, COUNTED_CALLS, ASKED_BEFORE]
)
def test_a_model_whose_answer_depends_on_more_than_the_window_is_stateful(
    small_data: Dataset, tmp_path: Path, trick: str
) -> None:
    assert refused(trick, small_data, tmp_path, QUICK) == "stateful"


def test_a_model_that_remembers_how_it_cheated_is_caught_by_the_audit_and_by_nothing_else(
    small_data: Dataset, tmp_path: Path
) -> None:
    assert run(CAREFUL, small_data, tmp_path, QUICK).val_bpb < 0.5 * run("pass", small_data, tmp_path, QUICK).val_bpb
    assert refused(CAREFUL, small_data, tmp_path) == "prefix_mismatch"


def test_a_look_ahead_at_the_rarest_tokens_only_is_what_the_audit_looks_for(
    small_data: Dataset, tmp_path: Path
) -> None:
    long = replace(AUDITED, val_tokens=20_000)
    once = np.flatnonzero(np.bincount(small_data.tokens("val")) == 1)[:12].tolist()
    assert refused(SELDOM.replace("RARE", str(once)), small_data, tmp_path, long) == "prefix_mismatch"


def test_what_the_scoring_process_leaves_behind_does_not_reach_the_audit(small_data: Dataset, tmp_path: Path) -> None:
    left = (
        'import os; open(os.path.join(os.environ["HOME"], "seen"), "ab").write(ids.tobytes()); assert len(calls) < 99'
    )
    found = 'import os; out *= 2 if os.path.exists(os.path.join(os.environ["HOME"], "seen")) else 1'
    run(f"if len(calls) == 1:\n    {found}\n{left}", small_data, tmp_path)


@pytest.mark.parametrize("window", [1, 2, 7, 4096])
def test_every_length_of_window_can_be_probed(small_data: Dataset, tmp_path: Path, window: int) -> None:
    assert run("pass", small_data, tmp_path, replace(AUDITED, window=window, val_tokens=4_200)).val_bpb > 0


def test_a_split_shorter_than_a_window_is_scored_without_probes(small_data: Dataset, tmp_path: Path) -> None:
    assert run("pass", small_data, tmp_path, replace(AUDITED, val_tokens=50)).scored_tokens > 0


@pytest.fixture
def text(tmp_path: Path) -> Stream:
    ids = np.random.default_rng(5).integers(0, 1024, size=40_000).astype(np.uint16)
    write_shard(tmp_path / "text.bin", ids)
    return Stream([(tmp_path / "text.bin", len(ids))])


def drawn(text: Stream, seed: int) -> list[probes.Probe]:
    return probes.draw_probes(np.random.default_rng(seed), text, RULER)


def test_a_probe_has_the_shape_of_any_other_question(text: Stream) -> None:
    assert {(len(probe.rows), len(row.tokens)) for probe in drawn(text, 1) for row in probe.rows} == {(16, 256)}


def test_most_rows_have_their_end_replaced_by_other_text_of_the_split(text: Stream) -> None:
    ids = text[:].tobytes()
    rows = [row for probe in drawn(text, 1) for row in probe.rows]
    cut = [row for row in rows if row.own < 256]
    assert len(cut) == len(rows) * 3 // 4
    for row in cut:
        own = text[row.start : row.start + 257]
        assert np.array_equal(row.tokens[: row.own], own[: row.own])
        assert row.tokens[row.own] != own[row.own]
        assert row.tokens[row.own :].astype(np.uint16).tobytes() in ids
        assert np.array_equal(row.targets, own[1:])


def test_a_replaced_end_begins_with_another_token_however_dull_the_text(tmp_path: Path) -> None:
    ids = (np.random.default_rng(5).random(40_000) < 0.1).astype(np.uint16)
    write_shard(tmp_path / "dull.bin", ids)
    rows = [row for probe in drawn(Stream([(tmp_path / "dull.bin", len(ids))]), 1) for row in probe.rows]
    assert all(row.own == 256 or row.tokens[row.own] != row.targets[row.own - 1] for row in rows)
    assert sum(row.own < 256 for row in rows) > len(rows) / 2


def test_cuts_lie_everywhere_from_near_the_start_to_near_the_end(text: Stream) -> None:
    cuts = sorted(row.own for probe in drawn(text, 1) for row in probe.rows if row.own < 256)
    assert cuts[0] <= 12
    assert cuts[-1] >= 244
    assert max(np.diff(cuts)) <= 22


def test_windows_are_probed_both_before_and_after_they_are_scored(text: Stream) -> None:
    for seed in range(20):
        asked = [(probe.place, row.start // (256 * 16)) for probe in drawn(text, seed) for row in probe.rows]
        assert any(place <= question for place, question in asked)
        assert any(place > question for place, question in asked)


def test_no_two_scorings_ask_the_same(text: Stream) -> None:
    first, second = ([row.start for probe in drawn(text, seed) for row in probe.rows] for seed in (1, 2))
    assert first != second


def test_an_audit_asks_from_one_token_to_the_whole_window_shortest_first(text: Stream) -> None:
    lengths = [question.tokens.shape[1] for question in probes.draw_prefixes(np.random.default_rng(1), text, RULER)]
    assert len(lengths) == probes.PREFIX_LENGTHS
    assert lengths == sorted(lengths)
    assert (lengths[0], lengths[-1]) == (1, 256)


def test_no_answer_that_an_audit_asks_for_stands_in_what_it_has_shown(text: Stream) -> None:
    for seed in range(20):
        drawn_before = probes.draw_prefixes(np.random.default_rng(seed), text, RULER)
        record = probes.Record(text, RULER, [], drawn_before)
        positions = np.random.default_rng(seed).permutation(RULER.targets)
        record.suspect(positions, text[1:][positions].astype(np.int64), np.zeros(len(positions)))
        questions = probes.audit_questions(text, drawn_before, record)
        assert len(questions) == len(drawn_before) + probes.SUSPECTS
        shown: set[int] = set()
        for question in questions:
            length = question.tokens.shape[1]
            for row, last, target in zip(question.tokens, question.last.tolist(), question.targets, strict=True):
                assert np.array_equal(row, text[last + 1 - length : last + 1])
                assert target == text[last + 1 : last + 2][0]
                shown |= set(range(last + 1 - length, last + 1))
            assert not shown & {last + 1 for last in question.last.tolist()}


def test_the_suspects_are_the_targets_foreseen_best_for_their_rarity(text: Stream) -> None:
    record = probes.Record(text, RULER, [], probes.draw_prefixes(np.random.default_rng(1), text, RULER))
    window = 256 * (100 + record.parity)
    positions = np.arange(window, window + 256)
    nats = np.full(256, 5.0)
    nats[[7, 70]] = 0.1
    record.suspect(positions, text[window + 1 : window + 257].astype(np.int64), nats)
    assert {position for _, position, _, _ in record.suspects[:2]} == {window + 7, window + 70}


def test_a_difference_within_the_tolerance_is_no_cheat_and_one_above_it_is(text: Stream) -> None:
    rows = drawn(text, 1)
    record = probes.Record(text, RULER, rows, [])
    record.nats[:] = 5.0
    for shift, caught in ((9e-4, False), (2e-3, True), (-2e-3, True)):
        heard = [np.full((16, 256), 5.0 + shift) for _ in rows]
        if caught:
            with pytest.raises(RunFailed, match=r"stateful: .* 0\.001 is allowed"):
                probes.judge_probes(rows, record, heard, probes.CPU)
        else:
            probes.judge_probes(rows, record, heard, probes.CPU)


def test_on_a_gpu_many_small_gains_are_a_cheat_and_small_differences_both_ways_are_none(text: Stream) -> None:
    rows = drawn(text, 1)
    record = probes.Record(text, RULER, rows, [])
    record.nats[:] = 5.0
    both_ways = [np.where(np.arange(256) % 2, 5.2, 4.8) * np.ones((16, 1)) for _ in rows]
    with pytest.raises(RunFailed, match="on average"):
        probes.judge_probes(rows, record, [np.full((16, 256), 5.02) for _ in rows], probes.GPU)
    whole_only = [replace(probe, rows=tuple(replace(row, own=256) for row in probe.rows)) for probe in rows]
    record = probes.Record(text, RULER, whole_only, [])
    record.nats[:] = 5.0
    probes.judge_probes(whole_only, record, both_ways, probes.GPU)


def test_what_is_drawn_does_not_grow_with_the_text(tmp_path: Path) -> None:
    with (tmp_path / "sparse.bin").open("wb") as file:
        file.truncate(HEADER_BYTES + 2 * 10**10)
    text = Stream([(tmp_path / "sparse.bin", 10**10)])
    ruler = replace(RULER, targets=10**10 - 1)
    asked = probes.draw_prefixes(np.random.default_rng(1), text, ruler)
    record = probes.Record(text, ruler, probes.draw_probes(np.random.default_rng(1), text, ruler), asked)
    assert len(record.positions) < 20_000
