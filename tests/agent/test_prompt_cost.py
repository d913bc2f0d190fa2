"""What a draft costs in tokens, over the shipped notes, prompts and trainer: scripts/measure_prompt.py."""

from pathlib import Path

from llmock.pytest_plugin import LLMock

from scripts.measure_prompt import measure


def test_a_draft_is_cheap_and_nearly_all_that_is_sent_was_sent_before(tmp_path: Path, llmock: LLMock) -> None:
    found = measure(tmp_path, llmock, drafts=6)
    assert max(found.uncached) <= 40_000
    assert found.from_cache >= 0.85
