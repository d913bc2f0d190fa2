import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data import Dataset
from bench.errors import DataError
from bench.tokenizer import BOS, ByteCounts, encode, load_tokenizer, train_tokenizer

TRICKY = [
    "Plain words, 1984 and 3.14.",
    "Grüße aus Zürich – ½ кофе, 東京 ☕ 🧪 e\u0301",
    "  spaces   around\tand\n\nbetween  ",
    "ﬁne ligatures, ＦＵＬＬ width, ①",
    "#!/usr/bin/env <s> </s> <unk> <0x41>",
    "",
    "x",
]


@pytest.fixture(scope="module")
def model(small_data: Dataset) -> Path:
    return small_data.tokenizer


def truth(model: Path, text: str) -> int:
    """The UTF-8 length of the text as SentencePiece itself normalises it."""
    return len(load_tokenizer(model).normalize(text).replace("▁", " ").encode())


def counted(model: Path, text: str) -> int:
    (ids,) = encode(model, [text])
    return int(ByteCounts.load(model).byte_counts(ids[:-1], ids[1:]).sum())


@pytest.mark.parametrize("text", TRICKY)
def test_the_bytes_of_a_document_are_those_of_its_normalised_text(model: Path, text: str) -> None:
    assert counted(model, text) == truth(model, text)


@given(text=st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="▁"), max_size=60))
def test_the_bytes_are_right_for_any_unicode(small_data: Dataset, text: str) -> None:
    assert counted(small_data.tokenizer, text) == truth(small_data.tokenizer, text)


def test_a_space_is_counted_only_after_a_token_that_is_text(model: Path) -> None:
    processor = load_tokenizer(model)
    spaced = processor.piece_to_id("▁the")
    letter = processor.piece_to_id("e")
    counts = ByteCounts.load(model).byte_counts(np.array([letter, BOS, letter]), np.array([spaced, spaced, BOS]))
    assert counts.dtype == np.int64
    assert counts.tolist() == [4, 3, 0]


def test_a_document_begins_with_bos_and_ends_without_a_mark(model: Path) -> None:
    ids = list(encode(model, ["one two", ""]))
    assert ids[0][0] == BOS
    assert load_tokenizer(model).decode(ids[0][1:].tolist()) == "one two"
    assert ids[1].tolist() == [BOS]


def test_control_tokens_stand_where_parameter_golf_has_them(model: Path) -> None:
    processor = load_tokenizer(model)
    assert processor.get_piece_size() == 1024
    assert (processor.pad_id(), processor.bos_id(), processor.eos_id(), processor.unk_id()) == (0, 1, 2, 3)


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer that has met enough accents and years to have pieces for them."""
    path = tmp_path_factory.mktemp("foreign") / "m.model"
    train_tokenizer(["Über Zürich, café, 1984 über 1984 crème brûlée, 1984"] * 50, path, 320)
    return path


def test_a_piece_with_accents_counts_its_bytes_and_not_its_characters(foreign: Path) -> None:
    processor = load_tokenizer(foreign)
    assert any(len(processor.id_to_piece(i).lstrip("▁").encode()) == 6 for i in processor.encode(" über café crème"))
    assert counted(foreign, "Zürich über café") == len("Zürich über café".encode())


def test_digits_are_apart_however_often_a_number_was_seen(foreign: Path) -> None:
    assert load_tokenizer(foreign).encode("1984", out_type=str) == ["1", "9", "8", "4"]


def test_unknown_characters_become_bytes(model: Path) -> None:
    assert load_tokenizer(model).encode("x☕", out_type=str)[-3:] == ["<0xE2>", "<0x98>", "<0x95>"]


def test_the_same_texts_train_the_same_model_without_a_word(text_dir: Path, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from bench.tokenizer import train_tokenizer\n"
        "texts = [path.read_text() for path in sorted(Path(sys.argv[1]).iterdir())]\n"
        "train_tokenizer(texts, Path(sys.argv[2]), 512)"
    )
    for name in ("a", "b"):
        command = [sys.executable, "-c", script, str(text_dir), str(tmp_path / name)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout == done.stderr == ""
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_long_line_is_learned_from_like_any_other(tmp_path: Path) -> None:
    long_line = " ".join(["zyzzyva", "quixotic", "fjord", "waltz", "banjo"] * 4000)
    train_tokenizer([long_line, "a few other words"], tmp_path / "m", 300)
    assert len(load_tokenizer(tmp_path / "m").encode("zyzzyva zyzzyva")) < len("zyzzyva zyzzyva") / 2


def test_text_that_is_too_poor_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="1024 pieces"):
        train_tokenizer(["the same words"] * 10, tmp_path / "m")


def test_a_file_that_is_no_tokenizer_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "m.model").write_bytes(b"not a model")
    for path in (tmp_path / "m.model", tmp_path / "missing.model"):
        with pytest.raises(DataError, match=path.name):
            ByteCounts.load(path)
