"""What a draft costs in tokens, with the shipped notes and 500 past experiments, and how much of it the cache serves.

    python -m scripts.measure_prompt

Twelve drafts with Claude's part scripted: each searches the library, reads a note, a trainer file and past experiments,
and proposes. The champion moves once in the middle. The server is llmock behind a prompt cache that counts as Anthropic
documents it (tests/fakes/caching.py); a token is taken for three bytes, which is more than Claude's tokenizers make.
"""

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmock.pytest_plugin import LLMock
from llmock.testing import LLMockServer

from agent.attempt import Champion
from agent.claude import Claude
from agent.desk import Desk, Standing
from agent.git import Repo
from agent.opening import home
from agent.purse import Purse
from agent.records import AnyRecord
from agent.settings import read_settings
from tests.agent.builders import dropped, header
from tests.fakes.caching import caching

ROOT = Path(__file__).parents[1]
DRAFTS = 12
PAST = 500
LANES = ("training", "optimizer", "export", "shared-depth", "papers")


@dataclass(frozen=True)
class Found:
    """Tokens of every draft, and of every call."""

    uncached: list[int]
    """Of each draft: neither read from the cache nor, if it was written to it, free of charge."""
    calls: list[dict[str, int]]
    usd: float

    @property
    def from_cache(self) -> float:
        """Share of the input that was read from the cache, from the second call on."""
        later = self.calls[1:]
        return sum(one["cache_read_input_tokens"] for one in later) / sum(sum(one.values()) for one in later)


def main() -> None:
    """Print it all."""
    os.environ.setdefault("ANTHROPIC_API_KEY", "none")
    with tempfile.TemporaryDirectory() as folder, LLMockServer() as server:
        found = measure(Path(folder), LLMock(server).reset())
    print(f"{len(found.uncached)} drafts, {len(found.calls)} calls, {PAST} past experiments, a token for three bytes")
    print(
        f"uncached input tokens of a draft: first {found.uncached[0]:,}, most of the others {max(found.uncached[1:]):,}"
    )
    print(f"from the second call on, {100 * found.from_cache:.1f} % of the input is read from the cache")
    print(
        f"${found.usd:.2f} in all, ${found.usd / len(found.uncached):.3f} a draft, at the prices of agent/claude.toml"
    )


def measure(folder: Path, llmock: LLMock, drafts: int = DRAFTS) -> Found:
    """Write the drafts, in a clone's notes and prompts and a journal made up in `folder`."""
    repo = Repo(ROOT, folder)
    journal = home(repo) / "night" / "autoresearch.jsonl"
    journal.parent.mkdir(parents=True)
    lines = [header().model_dump_json()]
    for number in range(2, PAST + 2):
        one = dropped(number, description=f"a change number {number} to the learning rate", lane=LANES[number % 5])
        lines.append(one.model_dump_json())
    journal.write_text("\n".join(lines) + "\n")
    tree = {f"trainer/{path.name}": path.read_bytes() for path in sorted((ROOT / "trainer").glob("*.py"))}
    moved = tree | {"trainer/settings.py": tree["trainer/settings.py"] + b"\n# moved\n"}
    settings, records, uncached = read_settings(ROOT), list[AnyRecord](), list[int]()
    with caching(llmock.base_url("anthropic")) as (url, cache):
        model = Claude(settings, Purse(settings.model, settings.price, note=records.append))
        model.client.base_url = url
        desk = Desk(repo, journal.parent / "drafts", "tiny", 7, model, settings.model)
        for number in range(drafts):
            standing = Standing(Champion("a" * 40, moved if number >= drafts // 2 else tree), [])
            script(llmock, number)
            before = len(cache.calls)
            name = f"d{number + 1:04d}"
            desk.open(name, standing).proposal(lambda found: None)
            calls = cache.calls[before:]
            uncached.append(sum(sum(one.values()) - one["cache_read_input_tokens"] for one in calls))
    return Found(uncached, cache.calls, model.purse.held)


def script(llmock: LLMock, number: int) -> None:
    """What Claude does in a draft."""
    questions = json.loads((ROOT / "tests" / "agent" / "questions.json").read_text())
    question: dict[str, Any] = questions[number]
    llmock.call_tool("search_library", {"question": question["question"]})
    llmock.call_tool("read_note", {"name": question["note"]})
    llmock.call_tool("past_experiments", {"lane": LANES[number % 5]})
    llmock.call_tool("read_trainer_file", {"path": "trainer/optim.py"})
    llmock.call_tool(
        "propose",
        {
            "title": f"a change {number}",
            "hypothesis": "the rate is too low for so few steps",
            "expected": {"thousandths": -2, "because": "so it did before"},
            "lane": LANES[(number + 1) % 5],
            "edits": [{"path": "trainer/optim.py", "old": "x" * 500, "new": "y" * 500}],
        },
    )


if __name__ == "__main__":
    main()
