import fcntl
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bench.data import SPLITS, Dataset, open_dataset, replacing, verify
from bench.errors import DataError
from bench.tokenizer import BOS, ByteCounts


@pytest.fixture
def root(small_data: Dataset, tmp_path: Path) -> Path:
    """A copy of prepared data that a test may damage."""
    return shutil.copytree(small_data.root, tmp_path / "data")


def test_the_trainer_sees_training_shards_and_a_tokenizer_and_nothing_else(small_data: Dataset) -> None:
    assert sorted(path.name for path in small_data.train_dir.iterdir()) == ["tokenizer.model", "words_train_000000.bin"]
    assert (small_data.train_dir / "tokenizer.model").read_bytes() == small_data.tokenizer.read_bytes()
    assert small_data.tokenizer.parent != small_data.train_dir


def test_the_manifest_counts_tokens_bytes_and_documents(small_data: Dataset) -> None:
    counts = ByteCounts.load(small_data.tokenizer)
    for name in SPLITS:
        tokens, split = small_data.tokens(name), small_data.splits[name]
        assert split.tokens == len(tokens)
        assert split.documents == int((tokens == small_data.document_start).sum())
        assert split.bytes == int(counts.byte_counts(tokens[:-1], tokens[1:]).sum())
        assert tokens[0] == BOS


def test_opening_gives_what_preparing_gave(small_data: Dataset) -> None:
    assert open_dataset(small_data.root) == small_data


def test_an_empty_folder_says_what_to_type(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no data prepared in .*data: type `nightshift data prepare`"):
        open_dataset(tmp_path / "data")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 1}', '{"format": 2, "source": "x"}', "\xff"])
def test_a_malformed_manifest_is_refused(root: Path, content: str) -> None:
    (root / "manifest.json").write_text(content, encoding="latin-1")
    with pytest.raises(DataError, match=r"manifest\.json"):
        open_dataset(root)


@pytest.mark.parametrize(
    "gone", ["tokenizer.model", "train/tokenizer.model", "train/words_train_000000.bin", "val/words_val_000000.bin"]
)
def test_a_missing_file_is_named(root: Path, gone: str) -> None:
    (root / gone).unlink()
    with pytest.raises(DataError, match=gone):
        open_dataset(root)


def test_a_tokenizer_that_is_another_is_refused(root: Path) -> None:
    with (root / "tokenizer.model").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(DataError, match="not the tokenizer this data was prepared with"):
        open_dataset(root)


def test_an_id_beyond_the_vocabulary_is_refused_in_any_split(root: Path) -> None:
    shard = root / "audit" / "words_audit_000000.bin"
    content = bytearray(shard.read_bytes())
    content[-2:] = b"\x00\x04"
    shard.write_bytes(content)
    with pytest.raises(DataError, match=f"{shard.name}.*beyond the vocabulary of 1024"):
        open_dataset(root)


def test_a_file_beside_the_training_shards_is_refused(root: Path) -> None:
    shutil.copy(root / "val" / "words_val_000000.bin", root / "train")
    with pytest.raises(DataError, match=r"words_val_000000\.bin does not belong there"):
        open_dataset(root)


def test_verify_finds_a_changed_token_that_opening_cannot(root: Path) -> None:
    shard = root / "val" / "words_val_000000.bin"
    content = bytearray(shard.read_bytes())
    content[-2:] = b"\x05\x00" if content[-2:] != b"\x05\x00" else b"\x06\x00"
    verify(open_dataset(root))
    shard.write_bytes(content)
    damaged = open_dataset(root)
    with pytest.raises(DataError, match=f"{shard.name} has changed"):
        verify(damaged)


def test_another_manifest_has_another_digest(root: Path, small_data: Dataset) -> None:
    manifest = json.loads((root / "manifest.json").read_text())
    (root / "manifest.json").write_text(json.dumps({**manifest, "source": "elsewhere"}))
    assert open_dataset(root).digest != small_data.digest


def test_several_shards_are_read_as_one_stream(root: Path, small_data: Dataset) -> None:
    manifest = json.loads((root / "manifest.json").read_text())
    manifest["splits"]["val"]["shards"] *= 2
    (root / "manifest.json").write_text(json.dumps(manifest))
    once = small_data.tokens("val")
    assert np.array_equal(open_dataset(root).tokens("val"), np.concatenate([once, once]))


def test_a_preparation_that_fails_leaves_the_old_data_and_nothing_else(root: Path, small_data: Dataset) -> None:
    with pytest.raises(KeyboardInterrupt), replacing(root) as folder:
        (folder / "train" / "half.bin").write_bytes(b"half")
        raise KeyboardInterrupt
    assert open_dataset(root).digest == small_data.digest
    assert [path.name for path in root.parent.iterdir()] == ["data"]


def test_a_preparation_takes_the_place_of_the_old_data_at_its_end(root: Path) -> None:
    with replacing(root) as folder:
        (folder / "new").touch()
        assert (root / "manifest.json").is_file()
    assert sorted(path.name for path in root.iterdir()) == ["audit", "new", "train", "val"]
    assert [path.name for path in root.parent.iterdir()] == ["data"]


def test_a_killed_preparation_is_cleared_away_by_the_next(root: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from bench.data import replacing\n"
        "with replacing(Path(sys.argv[1])) as folder: (folder / 'half').touch(); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", script, str(root)], check=False).returncode == -9
    assert (root / "manifest.json").is_file()
    assert (root.parent / ".data.new" / "half").exists()
    with replacing(root) as folder:
        assert not (folder / "half").exists()
    assert [path.name for path in root.parent.iterdir()] == ["data"]


def test_data_moved_aside_when_the_machine_stopped_comes_back(root: Path, small_data: Dataset) -> None:
    root.rename(root.with_name(".data.old"))
    with pytest.raises(KeyboardInterrupt), replacing(root):
        raise KeyboardInterrupt
    assert open_dataset(root).digest == small_data.digest


def test_two_preparations_at_once_are_refused(root: Path) -> None:
    other = os.open(root.parent, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    try:
        with pytest.raises(DataError, match="another process"), replacing(root):
            pass
    finally:
        os.close(other)


def test_opening_data_loads_no_heavy_library() -> None:
    script = (
        "import sys, bench.data, bench.corpus; print({'sentencepiece', 'huggingface_hub', 'mlx'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout == "set()\n"
