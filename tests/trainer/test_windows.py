"""Shards that are not what they say, and the order in which windows come."""

from itertools import islice
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest

from tests.trainer.toys import text, write_shard
from trainer.config import Config
from trainer.data import ShardError, batches, check_vocabulary, open_shard, open_shards, windows
from trainer.model import new_model


def test_a_shard_gives_back_its_tokens(tmp_path: Path) -> None:
    write_shard(tmp_path / "a_train_0.bin", text(0, 100))
    assert np.array_equal(open_shard(tmp_path / "a_train_0.bin"), text(0, 100))


@pytest.mark.parametrize(
    ("lie", "said"),
    [
        ({"magic": 7}, "its magic is not 20240520"),
        ({"version": 2}, "is a shard of version 2"),
        ({"count": 99}, "says that it holds 99 tokens and holds 100"),
    ],
)
def test_a_shard_that_is_not_what_it_says_is_refused_by_name(lie: dict[str, int], said: str, tmp_path: Path) -> None:
    write_shard(tmp_path / "a_train_0.bin", text(0, 100), **lie)
    with pytest.raises(ShardError, match=f"a_train_0.bin.*{said}"):
        open_shards(tmp_path)


def test_a_file_shorter_than_a_header_is_no_shard(tmp_path: Path) -> None:
    (tmp_path / "a_train_0.bin").write_bytes(b"x" * 100)
    with pytest.raises(ShardError, match=r"a_train_0\.bin is not a shard"):
        open_shards(tmp_path)


def test_a_folder_without_training_shards_says_what_to_type(tmp_path: Path) -> None:
    write_shard(tmp_path / "a_val_0.bin", text(0, 100))
    with pytest.raises(ShardError, match="type `nightshift data prepare`"):
        open_shards(tmp_path)


def test_a_pass_visits_every_window_once_and_none_crosses_shards() -> None:
    shards = [np.arange(0, 101, dtype=np.uint16), np.arange(1000, 1057, dtype=np.uint16)]
    stream = windows(shards, 10, seed=0)
    first = [next(stream) for _ in range(14)]
    assert all(np.array_equal(w, np.arange(w[0], w[0] + 11)) for w in first)
    starts = [int(w[0]) for w in first]
    assert len(set(starts)) == 14
    assert starts != sorted(starts)


def test_the_next_pass_has_other_windows_in_another_order() -> None:
    shards = [np.arange(1001, dtype=np.uint16)]
    starts = [int(w[0]) for w in islice(windows(shards, 10, seed=0), 190)]
    assert {s % 10 for s in starts[:95]} != {s % 10 for s in starts[105:]}
    assert len(set(starts)) > 150


def test_the_order_derives_from_the_seed(shards: Path) -> None:
    def draw(seed: int) -> np.ndarray:
        return np.stack(list(islice(windows(open_shards(shards), 80, seed), 20)))

    assert np.array_equal(draw(1), draw(1))
    assert not np.array_equal(draw(1), draw(2))


def test_the_order_is_the_same_whatever_the_model_draws(shards: Path, config: Config) -> None:
    quiet = batches(open_shards(shards), 80, rows=4, vocab_size=96, seed=1)
    expected = [next(quiet) for _ in range(5)]
    busy = batches(open_shards(shards), 80, rows=4, vocab_size=96, seed=1)
    for ids, targets in expected:
        new_model(config, seed=int(np.random.default_rng().integers(1000)))
        mx.eval(mx.random.normal((10,)))
        got = next(busy)
        assert np.array_equal(got[0], ids)
        assert np.array_equal(got[1], targets)


def test_targets_are_the_inputs_one_later(shards: Path) -> None:
    ids, targets = next(batches(open_shards(shards), 80, rows=4, vocab_size=96, seed=1))
    assert ids.shape == targets.shape == (4, 80)
    assert np.array_equal(ids[:, 1:], targets[:, :-1])


def test_an_id_beyond_the_vocabulary_is_refused(shards: Path) -> None:
    with pytest.raises(ShardError, match="hold the id 95: VOCAB_SIZE is 90"):
        next(batches(open_shards(shards), 80, rows=60, vocab_size=90, seed=1))


def test_a_tokenizer_is_looked_at_only_where_there_is_one(tmp_path: Path) -> None:
    check_vocabulary(tmp_path, 96)
    (tmp_path / "tokenizer.model").write_bytes(b"words")
    with pytest.raises(ShardError, match=r"tokenizer\.model is not a tokenizer: type `nightshift data prepare`"):
        check_vocabulary(tmp_path, 96)


def test_shards_shorter_than_a_window_are_refused() -> None:
    with pytest.raises(ShardError, match="no training shard is longer than a window of 80"):
        next(windows([np.arange(80, dtype=np.uint16)], 80, seed=1))
