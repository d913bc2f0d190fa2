"""Nights in which Claude cannot be had: they go on without it, and say so."""

from pathlib import Path
from typing import Any

import pytest

from agent.calls import Spent
from agent.journal import Journal, open_journal
from bench.data import Dataset
from tests.fakes import make_repo, with_prompts
from tests.fakes.aimock import aimock
from tests.fakes.script import Script, run_night

pytestmark = pytest.mark.network


def auto_night(
    data: Dataset, folder: Path, status: int, kind: str, experiments: int
) -> tuple[str, Journal, list[dict[str, Any]]]:
    """What is said in a night whose server answers nothing but that error; its journal; and the requests."""
    script = Script()
    script.fails({"userMessage": "# Where things stand"}, status, kind)
    repo = with_prompts(make_repo(folder / "person", data.root))
    with aimock(folder, script.fixtures) as server:
        done = run_night(repo, server, "auto", experiments)
        requests = server.journal()
    assert done.returncode == 0, done.stderr + done.stdout
    assert f"the night ended: {experiments} experiments decided" in done.stdout
    return done.stdout, open_journal(repo / ".git" / "nightshift" / "n" / "autoresearch.jsonl"), requests


@pytest.mark.long
def test_while_claude_is_out_the_knob_search_goes_on(small_data: Dataset, tmp_path: Path) -> None:
    said, journal, requests = auto_night(small_data, tmp_path, 529, "overloaded_error", 4)
    assert {one.source for one in journal.experiments[1:]} == {"search"}
    assert "Claude: 529: " in said
    assert "and the night goes on" in said
    spent = [one for one in journal.records if isinstance(one, Spent)]
    assert len(spent) == len(requests) >= 4
    assert {(one.usd, one.at_most, (one.error or "")[:4]) for one in spent} == {(0.0, 0.0, "529:")}


def test_a_key_that_is_refused_is_tried_once_and_said_once(small_data: Dataset, tmp_path: Path) -> None:
    said, journal, requests = auto_night(small_data, tmp_path, 401, "authentication_error", 2)
    assert {one.source for one in journal.experiments[1:]} == {"search"}
    assert len(requests) == 1
    assert said.count("Claude: 401") == said.count("Claude is not asked any more this night") == 1
