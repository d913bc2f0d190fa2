from pathlib import Path

import numpy as np
import pytest

from bench.errors import DataError
from bench.shards import Stream, read_shard, write_shard


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    path = tmp_path / "words_val_000000.bin"
    write_shard(path, np.arange(1000, dtype=np.uint16))
    return path


def overwrite(path: Path, offset: int, value: int, width: int) -> None:
    content = bytearray(path.read_bytes())
    content[offset : offset + width] = value.to_bytes(width, "little")
    path.write_bytes(content)


def test_a_shard_is_the_published_format_byte_for_byte(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    write_shard(path, np.array([1, 1023, 258], dtype=np.uint16))
    content = path.read_bytes()
    assert content[:12] == bytes.fromhex("88d83401 01000000 03000000")
    assert content[12:1024] == bytes(1012)
    assert content[1024:] == bytes.fromhex("0100 ff03 0201")


def test_what_was_written_is_read_back(shard: Path) -> None:
    assert read_shard(shard, 1024).tolist() == list(range(1000))


def test_tokens_cannot_be_changed_through_what_was_read(shard: Path) -> None:
    with pytest.raises(ValueError, match="read-only"):
        read_shard(shard, 1024)[0] = 7


@pytest.mark.parametrize(
    ("offset", "value", "width", "said"),
    [
        (0, 20240521, 4, "wrong magic 20240521, expected 20240520"),
        (4, 2, 4, "wrong version 2, expected 1"),
        (8, 1001, 4, "its header says 1001 tokens, its size 1000"),
        (8, 999, 4, "its header says 999 tokens, its size 1000"),
        (8, 2**32 - 1, 4, "its header says -1 tokens, its size 1000"),
        (1024 + 2 * 500, 1024, 2, "token 500 is beyond the vocabulary of 1024"),
    ],
)
def test_a_damaged_shard_is_refused_by_name(shard: Path, offset: int, value: int, width: int, said: str) -> None:
    overwrite(shard, offset, value, width)
    with pytest.raises(DataError) as refusal:
        read_shard(shard, 1024)
    assert said in str(refusal.value)
    assert str(shard) in str(refusal.value)
    assert "nightshift data prepare" in str(refusal.value)


@pytest.mark.parametrize("size", [0, 1023, 1024, 2999])
def test_a_shard_that_was_cut_short_is_refused(shard: Path, size: int) -> None:
    shard.write_bytes(shard.read_bytes()[:size])
    with pytest.raises(DataError, match=shard.name):
        read_shard(shard, 1024)


def test_a_missing_shard_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="missing"):
        read_shard(tmp_path / "gone.bin", 1024)


def test_a_stream_over_several_shards_gives_any_slice_of_them(shard: Path, tmp_path: Path) -> None:
    write_shard(tmp_path / "next.bin", np.arange(1000, 1005, dtype=np.uint16))
    stream = Stream([(shard, 1000), (tmp_path / "next.bin", 5)])
    assert len(stream) == 1005
    assert stream[:].tolist() == list(range(1005))
    assert stream[998:1003].tolist() == [998, 999, 1000, 1001, 1002]
    assert stream[1003:2000].tolist() == [1003, 1004]
    assert stream[7:7].tolist() == []
