"""Identifiers, in all the ways they are written."""

import pytest

from agent.arxiv import Identifier, identifier


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2505.08823", Identifier("2505.08823")),
        ("2505.08823v2", Identifier("2505.08823", 2)),
        ("arXiv:2505.08823v12", Identifier("2505.08823", 12)),
        ("0706.0001", Identifier("0706.0001")),
        ("cs/0506001", Identifier("cs/0506001")),
        ("math.GT/0309136v1", Identifier("math/0309136", 1)),
        ("cond-mat/9901001", Identifier("cond-mat/9901001")),
        ("https://arxiv.org/abs/2505.08823v2", Identifier("2505.08823", 2)),
        ("http://www.arxiv.org/pdf/2505.08823.pdf", Identifier("2505.08823")),
        ("https://arxiv.org/pdf/cs/0506001v1", Identifier("cs/0506001", 1)),
        ("https://arxiv.org/abs/2505.08823?context=cs.LG", Identifier("2505.08823")),
        ("https://www.alphaxiv.org/overview/2505.08823", Identifier("2505.08823")),
        ("alphaxiv.org/abs/2505.08823.md", Identifier("2505.08823")),
        ("https://huggingface.co/papers/2505.08823", Identifier("2505.08823")),
        ("  2410.20670 ", Identifier("2410.20670")),
    ],
)
def test_an_identifier_is_read_in_every_form(text: str, meant: Identifier) -> None:
    assert identifier(text) == meant


@pytest.mark.parametrize("text", ["", "25.08823", "2505.088", "2505.08823v0", "../2505.08823", "cs/05060", "a paper"])
def test_what_is_none_is_none(text: str) -> None:
    assert identifier(text) is None


def test_a_file_name_has_no_slash() -> None:
    assert Identifier("cs/0506001", 2).file_name == "cs-0506001"
    assert str(Identifier("cs/0506001", 2)) == "cs/0506001v2"
