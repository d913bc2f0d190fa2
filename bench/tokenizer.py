"""The tokenizer: trained on the training text, and the ruler that says how many bytes a token stands for."""

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.errors import DataError
from bench.shards import Tokens

VOCAB_SIZE = 1024
PAD, BOS, EOS, UNK = 0, 1, 2, 3
SPACE = "▁"


def train_tokenizer(texts: Iterable[str], out: Path, vocab_size: int = VOCAB_SIZE) -> None:
    """Trains a SentencePiece BPE model on `texts` and writes it to `out`.

    The settings are those of Parameter Golf's published tokenizers (byte fallback, digits apart, nmt_nfkc, no dummy
    prefix, 0.999 of all characters covered), so that its byte counts mean the same here. The same texts in the same
    order give the same bytes. Raises DataError if the text is too poor, or has too many characters, for `vocab_size`.
    """
    import sentencepiece

    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts),
            model_writer=model,
            model_type="bpe",
            vocab_size=vocab_size,
            character_coverage=0.999,
            byte_fallback=True,
            split_digits=True,
            normalization_rule_name="nmt_nfkc",
            add_dummy_prefix=False,
            pad_id=PAD,
            bos_id=BOS,
            eos_id=EOS,
            unk_id=UNK,
            # Longer lines would be left out without a word; BPE looks at words only, so length costs nothing.
            max_sentence_length=1 << 30,
            num_threads=1,
            minloglevel=2,
        )
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise DataError(f"this text cannot fill a tokenizer of {vocab_size} pieces: {reason}") from error
    out.write_bytes(model.getvalue())


def load_tokenizer(model: Path) -> Any:  # noqa: ANN401
    """The `SentencePieceProcessor` of a model file. Raises DataError if it is missing or is no such model."""
    import sentencepiece

    try:
        return sentencepiece.SentencePieceProcessor(model_file=str(model))
    except (OSError, RuntimeError) as error:
        raise DataError(f"{model} is not a tokenizer: type `nightshift data prepare` to write it afresh") from error


def encode(model: Path, texts: Iterable[str]) -> Iterator[Tokens]:
    """The token ids of each text, with BOS before it and nothing after it: one array (tokens,) a text."""
    processor = load_tokenizer(model)
    for text in texts:
        yield np.asarray(processor.encode(text, add_bos=True), dtype=np.uint16)


@dataclass(frozen=True)
class ByteCounts:
    """How many UTF-8 bytes of text each token stands for, given the token before it.

    The rule is Parameter Golf's: the bytes of the piece without a leading ▁, and one more for the space that the ▁
    stands for unless a control token comes before; a byte piece is one byte; control tokens are none. Summed over a
    document it is the length of the text as the tokenizer normalises it.
    """

    own: npt.NDArray[np.int64]
    """(vocab,) bytes of the piece itself."""
    spaced: npt.NDArray[np.bool_]
    """(vocab,) whether the piece begins with a space."""
    silent: npt.NDArray[np.bool_]
    """(vocab,) whether the token is a control token: pad, begin, end, unknown."""

    @classmethod
    def load(cls, model: Path) -> "ByteCounts":
        """The counts of a SentencePiece model file. Raises DataError if it is not one."""
        processor = load_tokenizer(model)
        size = processor.get_piece_size()
        own = np.zeros(size, dtype=np.int64)
        spaced, silent = np.zeros(size, dtype=np.bool_), np.zeros(size, dtype=np.bool_)
        for token in range(size):
            if processor.is_control(token) or processor.is_unknown(token) or processor.is_unused(token):
                silent[token] = True
            elif processor.is_byte(token):
                own[token] = 1
            else:
                piece = processor.id_to_piece(token)
                spaced[token] = piece.startswith(SPACE)
                own[token] = len(piece.removeprefix(SPACE).encode())
        return cls(own, spaced, silent)

    def byte_counts(
        self, previous: npt.NDArray[np.integer[Any]], targets: npt.NDArray[np.integer[Any]]
    ) -> npt.NDArray[np.int64]:
        """The bytes that each of `targets` adds after each of `previous` (same shape; the result's too)."""
        counts: npt.NDArray[np.int64] = self.own[targets] + (self.spaced[targets] & ~self.silent[previous])
        return counts
